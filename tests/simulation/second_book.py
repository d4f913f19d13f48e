"""What does the fleet spend? Kept a second time from the events alone, exactly, in another way than the service keeps it."""

from collections import deque
from dataclasses import dataclass

from ghostfleet.config import loaded as settings
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import DAY_US, Address


@dataclass
class Open:
    """An action whose nonce the chain has not settled: what it costs at worst, and the attempts' own values."""

    gas_wei: int
    values: dict[bytes, int]
    tokens: int


@dataclass(frozen=True)
class Spent:
    time_us: int
    action_id: str
    gas_wei: int = 0
    value_wei: int = 0
    tokens: int = 0


class SecondBook:
    """Of the whole fleet. What a reorganisation takes back is open again, and not spent."""

    def __init__(self) -> None:
        self._open: dict[str, Open] = {}
        self._included: dict[str, Open] = {}
        self._spent: deque[Spent] = deque()

    def signed(self, own: Address, event: ev.TransactionSigned, tokens: int, *, errand: bool = False) -> Open:
        """What this action costs at worst, now that this attempt exists. What an errand moves is the operator's own."""
        action = self._open.setdefault(event.action_id, Open(0, {}, tokens))
        action.gas_wei = max(action.gas_wei, event.gas * event.fees.max_fee_wei)
        action.values[event.hash] = 0 if errand or event.to == own else event.value_wei
        return action

    def mined(self, event: ev.TransactionMined, time_us: int) -> None:
        action = self._included[event.action_id] = self._open.pop(event.action_id)
        value_wei = action.values[event.hash] if event.success else 0
        cost_wei = event.gas_used * event.gas_price_wei
        self._spent.append(Spent(time_us, event.action_id, gas_wei=cost_wei, value_wei=value_wei))

    def reorged(self, event: ev.TransactionReorged) -> None:
        self._open[event.action_id] = self._included.pop(event.action_id)
        newest = max(index for index, it in enumerate(self._spent) if it.action_id == event.action_id and not it.tokens)
        del self._spent[newest]

    def succeeded(self, event: ev.ActionSucceeded, time_us: int) -> None:
        action = self._included.get(event.action_id)
        if action is not None and action.tokens:
            self._spent.append(Spent(time_us, event.action_id, tokens=action.tokens))
            action.tokens = 0

    def superseded(self, event: ev.TransactionSuperseded) -> None:
        self._open.pop(event.action_id, None)

    def passed(self, limits: settings.Limits, action: Open, now_us: int) -> list[str]:
        """The limits that are passed with this new action, whoever else acts at the same moment."""
        while self._spent and self._spent[0].time_us <= now_us - DAY_US:
            self._spent.popleft()
        value_wei = max(action.values.values())
        held = [*self._open.values()]
        totals = {
            "gas_wei_per_action": (action.gas_wei, action.gas_wei),
            "value_wei_per_action": (value_wei, value_wei),
            "tokens_per_action": (action.tokens, action.tokens),
            "fleet_gas_wei_per_day": (
                action.gas_wei,
                sum(it.gas_wei for it in self._spent) + sum(it.gas_wei for it in held),
            ),
            "fleet_value_wei_per_day": (
                value_wei,
                sum(it.value_wei for it in self._spent) + sum(max(it.values.values()) for it in held),
            ),
            "fleet_tokens_per_day": (
                action.tokens,
                sum(it.tokens for it in self._spent) + sum(it.tokens for it in held),
            ),
        }
        return [
            f"{name}: {total} of {getattr(limits, name)}"
            for name, (wanted, total) in totals.items()
            if wanted and getattr(limits, name) and total > getattr(limits, name)
        ]
