"""Which limits are set, and what counts towards each? One table, and a bound for each limit that an action could pass."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.limits import PACE_LIMITS, Bound, Limits, Spending, Window
from ghostfleet.domain.throttle import FULL_PACE
from ghostfleet.domain.wallet import Wallet


class _Limit(msgspec.Struct, frozen=True):
    """One limit of the settings: how an action uses it up, and what has used it up before."""

    key: str
    words: str
    most: Callable[[Limits], int]
    asked: Callable[[Spending], int]
    window: Callable[[Wallet, Fleet], Window | None]
    held: Callable[[Fleet], int] = lambda _fleet: 0
    """What open slots may spend of it: only limits of the whole fleet ask."""


def _gas(it: Spending) -> int:
    return it.gas_wei


def _value(it: Spending) -> int:
    return it.value_wei


def _tokens(it: Spending) -> int:
    return it.tokens


def _one(_: Spending) -> int:
    return 1


def _none(_wallet: Wallet, _fleet: Fleet) -> None:
    """It holds for a single action."""


_LIMITS = (
    _Limit("gas_wei_per_action", "gas wei per action", lambda it: it.gas_wei_per_action, _gas, _none),
    _Limit("value_wei_per_action", "value wei per action", lambda it: it.value_wei_per_action, _value, _none),
    _Limit("tokens_per_action", "tokens per action", lambda it: it.tokens_per_action, _tokens, _none),
    _Limit("max_actions_per_hour", "actions per hour", lambda it: it.actions_per_hour, _one, lambda w, _: w.actions),
    _Limit(
        "transactions_per_minute",
        "fleet transactions per minute",
        lambda it: it.transactions_per_minute,
        _one,
        lambda _, fleet: fleet.transactions,
    ),
    _Limit(
        "gas_wei_per_wallet_per_day", "gas wei per day", lambda it: it.gas_wei_per_day, _gas, lambda w, _: w.gas_spent
    ),
    _Limit(
        "value_wei_per_wallet_per_day",
        "value wei per day",
        lambda it: it.value_wei_per_day,
        _value,
        lambda wallet, _: wallet.value_spent,
    ),
    _Limit(
        "tokens_per_wallet_per_day",
        "tokens per day",
        lambda it: it.tokens_per_day,
        _tokens,
        lambda wallet, _: wallet.tokens_spent,
    ),
    _Limit(
        "fleet_gas_wei_per_day",
        "fleet gas wei per day",
        lambda it: it.fleet_gas_wei_per_day,
        _gas,
        lambda _, fleet: fleet.ledger.gas,
        lambda fleet: fleet.ledger.reserved.gas_wei,
    ),
    _Limit(
        "fleet_value_wei_per_day",
        "fleet value wei per day",
        lambda it: it.fleet_value_wei_per_day,
        _value,
        lambda _, fleet: fleet.ledger.value,
        lambda fleet: fleet.ledger.reserved.value_wei,
    ),
    _Limit(
        "fleet_tokens_per_day",
        "fleet tokens per day",
        lambda it: it.fleet_tokens_per_day,
        _tokens,
        lambda _, fleet: fleet.ledger.tokens,
        lambda fleet: fleet.ledger.reserved.tokens,
    ),
)
"""Every limit there is, in the order in which they are told."""


@lru_cache(maxsize=8)
def _that_are_set(limits: Limits) -> tuple[tuple[_Limit, int], ...]:
    return tuple((each, most) for each in _LIMITS if (most := each.most(limits)))


def bounds(wallet: Wallet, fleet: Fleet, limits: Limits, wanted: Spending) -> Iterator[Bound]:
    """Every limit that is set, with what would count towards it: of the fleet, what its open slots may spend as well."""
    slowed = "" if fleet.pace == FULL_PACE else "throttled "
    for each, most in _that_are_set(limits):
        asked = each.asked(wanted)
        amount = asked and asked + each.held(fleet)
        words = slowed + each.words if each.key in PACE_LIMITS else each.words
        yield Bound(each.key, words, most, amount, each.window(wallet, fleet))
