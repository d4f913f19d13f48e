"""The circuit breaker, decision by decision: given what a wallet went through, when one more error counts, then this."""

import pytest

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import BreakerPolicy, Tripped
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import HOUR_US, Address, Call

START_US = 1_700_000_000_000_000
RULES = decisions.Rules(breaker=BreakerPolicy(max_consecutive_errors=3, cooldown_us=HOUR_US))


class Told:
    """One wallet, by what the decisions make of it."""

    def __init__(self) -> None:
        self.state = State()
        self.now_us = START_US
        registered = ev.WalletRegistered(address=Address(b"\1" * 20), profile="p", plugin="t", first_turn_us=0)
        self.happens([ev.NewEvent(ev.wallet_stream("w"), registered)])

    def happens(self, events: list[ev.NewEvent]) -> list[str]:
        candidate = Candidate(self.state)
        candidate.mark()
        recorded = candidate.try_events(events, self.now_us)
        candidate.swap()
        return [type(it.event).__name__ for it in recorded]

    def rejected(self) -> list[str]:
        """The node says in estimation that the action would fail: nothing is signed, and it counts."""
        action_id = f"w/{self.state.wallets['w'].decisions + 1}"
        decided = ev.ActionDecided(
            action_id=action_id,
            plugin="t",
            kind="k",
            params={},
            seed=0,
            observation={},
            profile="p",
            config_digest="",
            call=Call(to=Address(b"\2" * 20)),
            spend_wei=0,
            balance_wei=1,
            next_turn_us=self.now_us,
        )
        why = ev.ActionRejected(action_id=action_id, error_class="reverted", reason="NoPosition", counts=True)
        state = Candidate(self.state)
        return self.happens(decisions.reject(state, self.now_us, name="w", decided=decided, rejected=why, rules=RULES))

    @property
    def tripped(self) -> Tripped:
        breaker = self.state.wallets["w"].breaker
        assert isinstance(breaker, Tripped)
        return breaker


def test_the_third_error_in_a_row_trips_it() -> None:
    told = Told()
    assert ["BreakerTripped" in told.rejected() for _ in range(3)] == [False, False, True]
    assert told.tripped == Tripped(START_US + HOUR_US, trips=1)


@pytest.mark.parametrize("late_us", [0, 1, 10 * HOUR_US])
def test_after_the_cooldown_an_error_before_any_signature_trips_it_for_longer(late_us: int) -> None:
    """The probe begins with a signature, and this wallet never comes so far."""
    told = Told()
    for _ in range(3):
        told.rejected()
    for trips, hours in ((2, 2), (3, 4), (4, 8)):
        told.now_us = told.tripped.until_us + late_us
        assert "BreakerTripped" in told.rejected()
        assert told.tripped == Tripped(told.now_us + hours * HOUR_US, trips)


def test_an_error_during_the_cooldown_changes_nothing() -> None:
    """What was under way when it tripped still ends."""
    told = Told()
    for _ in range(3):
        told.rejected()
    before = told.tripped
    told.now_us = before.until_us - 1
    assert "BreakerTripped" not in told.rejected()
    assert told.tripped == before
