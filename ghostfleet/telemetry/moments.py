"""How is a moment written? Microseconds inside, ISO 8601 in UTC at the edges; both are read."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999: no later moment can be written as ISO 8601 with four digits."""
_MICROSECOND = timedelta(microseconds=1)
UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US}
_AGO = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_DATE_FIRST = re.compile(r"\d{4}-\d{2}-\d{2}")


def iso(time_us: int) -> str:
    """`2026-02-03T04:05:06.000789Z`; moments outside the years 1970 to 9999 are pinned to their ends."""
    secs, micros = divmod(min(max(time_us, 0), LATEST_US), SECOND_US)
    return f"{_to_the_second(secs)}.{micros:06d}Z"


@lru_cache(maxsize=16)
def _to_the_second(secs: int) -> str:
    """Thousands of events a second are written with the same one."""
    return (EPOCH + timedelta(seconds=secs)).strftime("%Y-%m-%dT%H:%M:%S")


def clock_time(time_us: int) -> str:
    """The same to the second, as a sentence has it: `2026-02-03 04:05:06 UTC`."""
    return f"{iso(time_us)[:19].replace('T', ' ')} UTC"


def parse_moment(text: str) -> int:
    """Microseconds since the epoch, from that number or from ISO 8601 (UTC where it names no zone). Raises ValueError.

    A date before 1970 is 0: nothing was recorded before.
    """
    if re.fullmatch(r"[0-9]{1,18}", text) and int(text) <= LATEST_US:
        return int(text)
    if _DATE_FIRST.match(text):
        try:
            moment = datetime.fromisoformat(text.upper())
            zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return min(max((zoned - EPOCH) // _MICROSECOND, 0), LATEST_US)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{text[:40]!r} is no moment")


def parse_since(text: str, now_us: int) -> int:
    """A moment as `parse_moment` reads it, or how long ago: `30s`, `10m`, `2h`, `1d`, `1w`. Raises ValueError."""
    ago = _AGO.fullmatch(text)
    if ago is None:
        return parse_moment(text)
    return max(now_us - int(ago[1]) * UNITS_US[ago[2]], 0)


def parse_until(text: str, now_us: int) -> int:
    """A moment as `parse_moment` reads it, or how long from now: `30s`, `10m`, `2h`, `1d`, `1w`. Raises ValueError."""
    ahead = _AGO.fullmatch(text)
    if ahead is None:
        return parse_moment(text)
    return min(now_us + int(ahead[1]) * UNITS_US[ahead[2]], LATEST_US)


def span(us: int) -> str:
    """How long, for people, to the unit that matters: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    secs = max(us, 0) // SECOND_US
    minutes, hours, days = secs // 60, secs // 3600, secs // 86_400
    if minutes < 1:
        return f"{secs} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
