"""A fleet by what the decisions make of it: each method is one happening, and returns the names of the events it wrote.

No log, no engine: a decision, its events tried on a candidate, and the candidate swapped in, as the commit loop does.
"""

from collections.abc import Iterable
from hashlib import sha256

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Breaker, BreakerPolicy, Tripped
from ghostfleet.domain.slot import Included, Pending
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import HOUR_US, Address, BlockRef, Call, Fees, Hash, Octets
from ghostfleet.domain.wallet import Wallet

START_US = 1_700_000_000_000_000
RULES = decisions.Rules(breaker=BreakerPolicy(max_consecutive_errors=3, cooldown_us=HOUR_US))
SOMEBODY = Address(b"\2" * 20)


def hash_of(*what: object) -> Hash:
    return Hash(sha256(repr(what).encode()).digest())


class Told:
    """Wallets by these names. `now_us` is the time of whatever happens next, `recorded` all that has happened."""

    def __init__(self, *names: str, rules: decisions.Rules = RULES) -> None:
        self.state = State()
        self.rules = rules
        self.now_us = START_US
        self.head = 100
        self.recorded: list[ev.Recorded] = []
        for name in names or ("w",):
            address = Address(hash_of(name)[:20])
            registered = ev.WalletRegistered(address=address, profile="p", plugin="t", first_turn_us=0)
            self.happens([ev.NewEvent(ev.wallet_stream(name), registered)])

    @property
    def candidate(self) -> Candidate:
        return Candidate(self.state)

    def wallet(self, name: str = "w") -> Wallet:
        return self.state.wallets[name]

    def breaker(self, name: str = "w") -> Breaker:
        return self.wallet(name).breaker

    @property
    def tripped(self) -> Tripped:
        breaker = self.breaker()
        assert isinstance(breaker, Tripped)
        return breaker

    def happens(self, events: Iterable[ev.NewEvent]) -> list[str]:
        candidate = self.candidate
        candidate.mark()
        recorded = candidate.try_events(events, self.now_us)
        candidate.swap()
        self.recorded += recorded
        return [type(it.event).__name__ for it in recorded]

    def event(self, event: ev.Event, name: str = "w") -> list[str]:
        """An event of a wallet that needs no decision."""
        return self.happens(decisions.for_wallet(name, "", [event]))

    def decided(self, name: str = "w") -> ev.ActionDecided:
        return ev.ActionDecided(
            action_id=f"{name}/{self.wallet(name).decisions + 1}",
            plugin="t",
            kind="k",
            params={},
            seed=0,
            observation={},
            profile="p",
            config_digest=self.state.fleet.config_digest,
            call=Call(to=SOMEBODY),
            spend_wei=7,
            balance_wei=1,
            next_turn_us=self.now_us,
        )

    def signed(self, action_id: str, nonce: int, attempt: int = 1) -> ev.TransactionSigned:
        return ev.TransactionSigned(
            action_id=action_id,
            nonce=nonce,
            attempt=attempt,
            purpose="action",
            hash=hash_of(action_id, nonce, attempt),
            raw=Octets(b"\2" + action_id.encode()),
            to=SOMEBODY,
            value_wei=3,
            gas=21_000,
            fees=Fees(attempt, 0),
        )

    def rejected(self, name: str = "w") -> list[str]:
        """The node says in estimation that the action would fail: nothing is signed, and it counts."""
        decided = self.decided(name)
        why = ev.ActionRejected(action_id=decided.action_id, error_class="reverted", reason="NoPosition", counts=True)
        return self.happens(
            decisions.reject(self.candidate, self.now_us, name=name, decided=decided, rejected=why, rules=self.rules)
        )

    def signs(self, name: str = "w") -> list[str]:
        """A turn that ends in a signature: a slot is open."""
        decided = self.decided(name)
        signed = self.signed(decided.action_id, self.wallet(name).next_nonce or 0)
        return self.happens(
            decisions.open_slot(
                self.candidate, self.now_us, name=name, decided=decided, signed=signed, rules=self.rules
            )
        )

    def open_slot(self, name: str = "w") -> Pending:
        """Its lowest."""
        return self.wallet(name).pending[0]

    def mined(self, name: str = "w", *, success: bool = True) -> list[str]:
        """The open slot's newest attempt in a new block."""
        slot = self.open_slot(name)
        self.head += 1
        mined = ev.TransactionMined(
            action_id=slot.action_id,
            nonce=slot.nonce,
            attempt=slot.newest.number,
            hash=slot.newest.hash,
            block=BlockRef(self.head, hash_of("block", self.head)),
            success=success,
            gas_used=20_000,
            gas_price_wei=1,
            revert_reason="" if success else "NoPosition",
        )
        return self.happens(
            decisions.include(
                self.candidate,
                self.now_us,
                name=name,
                mined=mined,
                rules=self.rules,
                head_number=self.head,
                counts=True,
            )
        )

    def taken(self, name: str = "w") -> list[str]:
        """The open slot's nonce was used by somebody else."""
        nonce = self.open_slot(name).nonce
        return self.happens(
            decisions.supersede(
                self.candidate, self.now_us, name=name, nonce=nonce, by=hash_of("other"), rules=self.rules
            )
        )

    def final(self, name: str = "w") -> list[str]:
        """The block of its lowest included slot is final."""
        slot = self.included(name)
        return self.event(ev.TransactionFinal(action_id=slot.action_id, nonce=slot.nonce, hash=slot.attempt.hash), name)

    def reorged(self, name: str = "w") -> list[str]:
        """The block of its lowest included slot is gone."""
        slot = self.included(name)
        return self.event(
            ev.TransactionReorged(action_id=slot.action_id, nonce=slot.nonce, hash=slot.attempt.hash, block=slot.block),
            name,
        )

    def included(self, name: str = "w") -> Included:
        return self.wallet(name).included[0]

    def errs(self, name: str = "w") -> list[str]:
        """An error of the wallet's own, away from any action."""
        error = ev.ErrorRecorded(error_class="k", message="m", counts=True)
        return self.happens(
            decisions.record_error(self.candidate, self.now_us, name=name, error=error, rules=self.rules)
        )

    def trips(self, name: str = "w") -> list[str]:
        """As many errors as it takes, in one moment. What the last one wrote."""
        for _ in range(self.rules.breaker.max_consecutive_errors - 1):
            assert "BreakerTripped" not in self.rejected(name)
        return self.rejected(name)
