"""How is a moment written? Microseconds inside, ISO 8601 in UTC at the edges; both are read."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999: no later moment can be written as ISO 8601 with four digits."""
_MICROSECOND = timedelta(microseconds=1)
_DATE_FIRST = re.compile(r"\d{4}-\d{2}-\d{2}")


def iso(time_us: int) -> str:
    """`2026-02-03T04:05:06.000789Z`; moments outside the years 1970 to 9999 are pinned to their ends."""
    moment = EPOCH + timedelta(microseconds=min(max(time_us, 0), LATEST_US))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment.year >= 1000 else moment.isoformat()


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
