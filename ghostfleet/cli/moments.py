"""Times on the command line: ISO 8601, UTC where no zone is given, or microseconds since the epoch."""

from ghostfleet.errors import BadInput
from ghostfleet.telemetry.moments import iso, parse_moment


def moment_of(option: str, text: str) -> int:
    """Microseconds since the epoch. Raises BadInput."""
    try:
        return parse_moment(text)
    except ValueError:
        raise BadInput(
            f"{option} {text[:40]}: expected ISO 8601, such as 2026-11-01T00:00:00Z, or microseconds"
        ) from None


def check_order(since_us: int | None, until_us: int | None) -> None:
    """What is between two moments the wrong way round would be read as that nothing happened. Raises BadInput."""
    if since_us is not None and until_us is not None and since_us > until_us:
        raise BadInput(f"--since {iso(since_us)} is later than --until {iso(until_us)}: nothing can be between them")
