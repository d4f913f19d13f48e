"""The circuit breaker, decision by decision: given what a wallet went through, when one more error counts, then this."""

import pytest

from ghostfleet.domain import decisions
from ghostfleet.domain.breaker import BreakerPolicy, Closed, Probing, Tripped
from ghostfleet.domain.values import DAY_US, HOUR_US
from tests.unit.domain.told_fleet import START_US, Told


def tripped() -> Told:
    """One wallet after three errors, at the end of its cooldown of an hour."""
    told = Told()
    told.trips()
    told.now_us = told.tripped.until_us
    return told


def test_the_third_error_in_a_row_trips_it() -> None:
    told = Told()
    assert ["BreakerTripped" in told.rejected() for _ in range(3)] == [False, False, True]
    assert told.tripped == Tripped(START_US + HOUR_US, trips=1)


def test_an_action_that_succeeds_between_errors_starts_the_count_anew() -> None:
    told = Told()
    told.rejected()
    told.rejected()
    told.signs()
    assert told.mined() == ["TransactionMined", "ActionSucceeded"]
    assert ["BreakerTripped" in told.rejected() for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("late_us", [0, 1, 10 * HOUR_US])
def test_after_the_cooldown_an_error_before_any_signature_trips_it_for_longer(late_us: int) -> None:
    """The probe begins with a signature, and this wallet never comes so far."""
    told = Told()
    told.trips()
    for trips, hours in ((2, 2), (3, 4), (4, 8)):
        told.now_us = told.tripped.until_us + late_us
        assert "BreakerTripped" in told.rejected()
        assert told.tripped == Tripped(told.now_us + hours * HOUR_US, trips)


def test_an_error_during_the_cooldown_changes_nothing() -> None:
    """What was under way when it tripped still ends."""
    told = Told()
    told.trips()
    before = told.tripped
    told.now_us = before.until_us - 1
    assert "BreakerTripped" not in told.rejected()
    assert told.tripped == before


def test_nothing_is_signed_before_the_cooldown_is_over() -> None:
    told = tripped()
    told.now_us -= 1
    with pytest.raises(decisions.Refused, match="the breaker of w is open"):
        told.signs()


def test_the_first_signature_after_the_cooldown_is_a_probe() -> None:
    told = tripped()
    assert told.signs() == ["BreakerProbing", "ActionDecided", "TransactionSigned"]
    assert told.breaker() == Probing(trips=1)


def test_a_probe_that_fails_trips_it_at_once_and_for_longer() -> None:
    told = tripped()
    told.signs()
    assert told.mined(success=False) == ["TransactionMined", "ActionFailed", "BreakerTripped"]
    assert told.tripped == Tripped(told.now_us + 2 * HOUR_US, trips=2)


def test_a_probe_that_succeeds_closes_it_and_forgets_the_trips() -> None:
    told = tripped()
    told.signs()
    told.mined()
    assert told.breaker() == Closed()
    assert told.signs() == ["ActionDecided", "TransactionSigned"]
    told.mined(success=False)
    told.rejected()
    assert told.breaker() == Closed(2)
    told.rejected()
    assert told.tripped == Tripped(told.now_us + HOUR_US, trips=1)


def failing_probes(told: Told, count: int) -> list[int]:
    """How long each further trip lasts."""
    cooldowns_us = []
    for _ in range(count):
        told.now_us = told.tripped.until_us
        told.signs()
        told.mined(success=False)
        cooldowns_us.append(told.tripped.until_us - told.now_us)
    return cooldowns_us


def test_each_trip_in_a_row_waits_twice_as_long_up_to_a_day() -> None:
    told = Told()
    told.trips()
    hours = [us / HOUR_US for us in failing_probes(told, 30)]
    assert hours == [2, 4, 8, 16] + [24] * 26


def test_a_configured_cooldown_of_more_than_a_day_is_kept_and_not_doubled() -> None:
    policy = BreakerPolicy(max_consecutive_errors=1, cooldown_us=2 * DAY_US)
    told = Told(rules=decisions.Rules(breaker=policy))
    told.trips()
    assert told.tripped.until_us == START_US + 2 * DAY_US
    assert failing_probes(told, 2) == [2 * DAY_US] * 2
