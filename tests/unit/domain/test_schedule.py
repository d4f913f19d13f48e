"""When the next turn comes: active hours (UTC, also past midnight), jitter within its bounds, spells away from keyboard."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain.profile import CASUAL, Profile
from ghostfleet.domain.schedule import MIN_INTERVAL_US, Turn, first_turn, is_active, next_turn
from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US

T = TypeVar("T")
DAY = datetime(2026, 3, 29, tzinfo=UTC)
"""The clocks of half the world change on this day; these do not."""
NOON_US = int((DAY + timedelta(hours=12)).timestamp()) * SECOND_US
STEADY = msgspec.structs.replace(
    CASUAL,
    action_interval_secs=600.0,
    action_interval_jitter_pct=0.0,
    active_hours_start=0,
    active_hours_end=24,
    afk_probability=0.0,
)
"""Every ten minutes, day and night."""


class Draws:
    """Random numbers that a test chooses: where within each range, and whether to go away (below the probability)."""

    def __init__(self, within: float = 0.5, away: float = 0.999) -> None:
        self._within, self._away = within, away

    def random(self) -> float:
        return self._away

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._within

    def randint(self, a: int, b: int) -> int:
        raise NotImplementedError

    def choice(self, seq: Sequence[T]) -> T:
        raise NotImplementedError


def profile(**changes: object) -> Profile:
    return msgspec.structs.replace(STEADY, **changes)


def hours(start: int, end: int, **changes: object) -> Profile:
    return profile(active_hours_start=start, active_hours_end=end, **changes)


def at(clock: str) -> int:
    """A moment of DAY, microseconds."""
    moment = datetime.combine(DAY, time.fromisoformat(clock), UTC)
    return int(moment.timestamp()) * SECOND_US + moment.microsecond


def wait_of(turn: Turn, now_us: int = NOON_US) -> float:
    """Seconds."""
    return (turn.at_us - now_us) / SECOND_US


starts, ends = st.integers(0, 23), st.integers(0, 24)
moments = st.integers(0, 4_000_000_000 * SECOND_US)
randoms = st.integers(0, 2**32).map(Random)


@pytest.mark.parametrize(
    ("start", "end", "active", "resting"),
    [
        (8, 22, ["08:00", "12:00", "21:59:59.999999"], ["00:00", "07:59:59.999999", "22:00", "23:59"]),
        (18, 6, ["18:00", "23:59:59.999999", "00:00", "05:59:59.999999"], ["06:00", "12:00", "17:59:59.999999"]),
        (23, 0, ["23:00", "23:59:59.999999"], ["00:00", "12:00", "22:59:59.999999"]),
        (8, 24, ["08:00", "23:59:59.999999"], ["00:00", "07:59:59.999999"]),
        (0, 1, ["00:00", "00:59:59.999999"], ["01:00", "23:59:59.999999"]),
        (0, 24, ["00:00", "12:00", "23:59:59.999999"], []),
        (0, 0, ["00:00", "12:00", "23:59:59.999999"], []),
        (7, 7, ["00:00", "06:59:59.999999", "07:00", "23:59"], []),
    ],
)
def test_active_hours_begin_and_end_on_the_hour_in_utc(
    start: int, end: int, active: list[str], resting: list[str]
) -> None:
    told = {clock: is_active(hours(start, end), at(clock)) for clock in active + resting}
    assert told == dict.fromkeys(active, True) | dict.fromkeys(resting, False)


@given(start=starts, end=ends, now_us=moments)
def test_a_moment_is_active_where_walking_from_start_to_end_around_the_clock_passes_its_hour(
    start: int, end: int, now_us: int
) -> None:
    passed = {(start + step) % 24 for step in range((end - start) % 24 or 24)}
    hour = datetime.fromtimestamp(now_us // SECOND_US, UTC).hour
    assert is_active(hours(start, end), now_us) == (hour in passed)


@pytest.mark.parametrize(
    ("jitter_pct", "within", "secs"),
    [(0, 0.0, 600), (0, 1.0, 600), (25, 0.0, 450), (25, 0.5, 600), (25, 1.0, 750), (100, 1.0, 1200)],
)
def test_the_interval_is_spread_either_way_by_its_jitter(jitter_pct: float, within: float, secs: float) -> None:
    turn = next_turn(profile(action_interval_jitter_pct=jitter_pct), NOON_US, Draws(within))
    assert (wait_of(turn), turn.rest) == (secs, "")


@given(interval_secs=st.floats(0.001, 7200), jitter_pct=st.floats(0, 100), random=randoms)
def test_no_wait_is_outside_the_jitter_nor_shorter_than_the_least(
    interval_secs: float, jitter_pct: float, random: Random
) -> None:
    spread = profile(action_interval_secs=interval_secs, action_interval_jitter_pct=jitter_pct)
    waited_us = next_turn(spread, NOON_US, random).at_us - NOON_US
    least_us, most_us = (interval_secs * SECOND_US * (1 + way * jitter_pct / 100) for way in (-1, 1))
    assert max(MIN_INTERVAL_US, int(least_us) - 1) <= waited_us <= max(MIN_INTERVAL_US, int(most_us) + 1)


def test_a_fleet_with_the_same_profile_spreads_over_the_whole_jitter() -> None:
    waits = [wait_of(next_turn(profile(action_interval_jitter_pct=50.0), NOON_US, Random(n))) for n in range(500)]
    assert min(waits) < 320
    assert max(waits) > 880
    assert len(set(waits)) > 490


@pytest.mark.parametrize(("within", "hours_away"), [(0.0, 2), (0.5, 5), (1.0, 8)])
def test_a_spell_away_comes_on_top_of_the_interval_and_says_so(within: float, hours_away: float) -> None:
    sometimes = profile(afk_probability=0.05, afk_min_hours=2.0, afk_max_hours=8.0)
    turn = next_turn(sometimes, NOON_US, Draws(within, away=0.0499))
    assert turn == Turn(NOON_US + 10 * MINUTE_US + int(hours_away * HOUR_US), "away from keyboard")


@pytest.mark.parametrize(("probability", "away"), [(0.05, 0.05), (0.05, 0.9), (0.0, 0.0)])
def test_nobody_goes_away_whose_draw_is_not_below_the_probability(probability: float, away: float) -> None:
    assert next_turn(profile(afk_probability=probability), NOON_US, Draws(away=away)) == Turn(NOON_US + 10 * MINUTE_US)


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.1, 70, 130), (1.0, 1000, 1000)])
def test_spells_away_come_as_often_as_the_profile_says(probability: float, least: int, most: int) -> None:
    random, sometimes = Random(1), profile(afk_probability=probability)
    rests = [next_turn(sometimes, NOON_US, random).rest for _ in range(1000)]
    assert least <= rests.count("away from keyboard") <= most


@pytest.mark.parametrize(
    ("start", "end", "now", "factor", "due", "rest"),
    [
        (8, 22, "12:00", 0.0, timedelta(hours=12, minutes=10), ""),
        (8, 22, "21:59", 0.0, timedelta(hours=22, minutes=9), ""),
        (8, 22, "22:00", 0.0, timedelta(days=1, hours=8, minutes=10), "outside active hours"),
        (8, 22, "05:30", 0.0, timedelta(hours=8, minutes=10), "outside active hours"),
        (18, 6, "23:00", 0.0, timedelta(hours=23, minutes=10), ""),
        (18, 6, "03:00", 0.0, timedelta(hours=3, minutes=10), ""),
        (18, 6, "06:00", 0.0, timedelta(hours=18, minutes=10), "outside active hours"),
        (8, 22, "02:00", 0.2, timedelta(hours=2, minutes=50), ""),
        (8, 22, "07:30", 0.2, timedelta(hours=8, minutes=10), ""),
        (8, 22, "12:00", 0.2, timedelta(hours=12, minutes=10), ""),
        (8, 22, "02:00", 1.0, timedelta(hours=2, minutes=10), ""),
    ],
)
def test_outside_its_active_hours_a_wallet_is_slower_by_its_factor_but_not_beyond_their_beginning(
    start: int, end: int, now: str, factor: float, due: timedelta, rest: str
) -> None:
    turn = next_turn(hours(start, end, off_hours_factor=factor), at(now), Draws())
    assert turn == Turn(int((DAY + due).timestamp()) * SECOND_US, rest)


@given(start=starts, end=ends, now_us=moments, random=randoms)
def test_whom_the_factor_keeps_from_acting_at_night_acts_again_within_active_hours(
    start: int, end: int, now_us: int, random: Random
) -> None:
    """As soon as they begin, and the interval with its jitter after that: less than an hour here."""
    nights_off = hours(start, end, action_interval_jitter_pct=50.0, off_hours_factor=0.0)
    turn = next_turn(nights_off, now_us, random)
    if is_active(nights_off, now_us):
        assert turn.rest == ""
        assert turn.at_us - now_us <= 15 * MINUTE_US
    else:
        assert turn.rest == "outside active hours"
        assert is_active(nights_off, turn.at_us)
        assert turn.at_us - now_us <= DAY_US
        assert (turn.at_us - at(f"{start:02}:00")) % DAY_US <= 15 * MINUTE_US


@given(start=starts, end=ends, factor=st.floats(0.01, 1), now_us=moments, random=randoms)
def test_a_slower_night_is_never_faster_than_the_day(
    start: int, end: int, factor: float, now_us: int, random: Random
) -> None:
    slower = hours(start, end, action_interval_jitter_pct=50.0, off_hours_factor=factor)
    assert next_turn(slower, now_us, random).at_us - now_us >= 5 * MINUTE_US


@pytest.mark.parametrize(("draw", "secs"), [(0.0, 0), (0.5, 300), (0.999, 599.4)])
def test_first_turns_lie_within_the_first_interval(draw: float, secs: float) -> None:
    assert first_turn(STEADY, NOON_US, Draws(away=draw)) == NOON_US + int(secs * SECOND_US)
