"""Times on the command line: ISO 8601, UTC where no zone is given, or microseconds since the epoch."""

from datetime import UTC, datetime

from ghostfleet.errors import BadInput


def moment_of(option: str, text: str) -> int:
    """Microseconds since the epoch. Raises BadInput."""
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text}: expected ISO 8601, such as 2026-11-01T00:00:00Z, or microseconds") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
