"""When does a wallet take its next turn? Pure: the profile, the time and the random numbers come in."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from ghostfleet.domain.profile import Profile
from ghostfleet.domain.values import HOUR_US, SECOND_US

T = TypeVar("T")


class Random(Protocol):
    """The part of `random.Random` that decisions may use."""

    def random(self) -> float: ...
    def uniform(self, a: float, b: float) -> float: ...
    def randint(self, a: int, b: int) -> int: ...
    def choice(self, seq: Sequence[T]) -> T: ...


class Turn(msgspec.Struct, frozen=True):
    """The next turn: when (microseconds UTC) and, where the wallet rests first, why."""

    at_us: int
    rest: str = ""


MIN_INTERVAL_US = 50_000
"""No profile makes a wallet turn more often than twenty times a second."""


def hour_of(now_us: int) -> int:
    """The hour of the day, UTC, 0 to 23."""
    return now_us // HOUR_US % 24


def is_active(profile: Profile, now_us: int) -> bool:
    """Whether the profile's active hours cover this moment; a range may wrap around midnight, 24 is the end of day."""
    start, end = profile.active_hours_start, profile.active_hours_end
    hour = hour_of(now_us)
    if start == end % 24:
        return True
    return start <= hour < end if start < end else hour >= start or hour < end


def interval_us(profile: Profile, random: Random) -> int:
    """The profile's interval with its jitter, microseconds."""
    jitter = profile.action_interval_jitter_pct / 100
    factor = 1 + random.uniform(-jitter, jitter)
    return max(MIN_INTERVAL_US, int(profile.action_interval_secs * factor * SECOND_US))


def next_turn(profile: Profile, now_us: int, random: Random) -> Turn:
    """The turn after one at `now_us`: the jittered interval, stretched outside active hours, or after a spell away."""
    interval = interval_us(profile, random)
    if random.random() < profile.afk_probability:
        away = int(random.uniform(profile.afk_min_hours, profile.afk_max_hours) * HOUR_US)
        return Turn(now_us + interval + away, "away from keyboard")
    if is_active(profile, now_us):
        return Turn(now_us + interval)
    until_active = _until_active_us(profile, now_us)
    if profile.off_hours_factor <= 0:
        return Turn(now_us + until_active + interval, "outside active hours")
    return Turn(now_us + min(int(interval / profile.off_hours_factor), until_active + interval))


def first_turn(profile: Profile, now_us: int, random: Random) -> int:
    """A fleet that starts does not act all at once: somewhere within the first interval."""
    return now_us + int(random.random() * profile.action_interval_secs * SECOND_US)


def _until_active_us(profile: Profile, now_us: int) -> int:
    """Microseconds until the next active hour starts."""
    hours = (profile.active_hours_start - hour_of(now_us)) % 24
    return hours * HOUR_US - now_us % HOUR_US if hours else 0


def is_over(now_us: int, since_us: int | None, wait_us: int) -> bool:
    """Whether so long has passed; a clock that was put back counts as if it had."""
    return since_us is None or not 0 <= now_us - since_us < wait_us
