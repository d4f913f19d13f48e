"""What a row of the log is, and the hash that chains it to the one before.

`hash = sha256(previous hash || canonical row)`; the canonical row is its nine columns as netstrings (`<length>:<bytes>,`) in
the order of the fields below, numbers in decimal, `critical` as 0 or 1, text as UTF-8. Before the first row the hash is 32
zero bytes.
"""

from hashlib import sha256

import msgspec

from ghostfleet.domain.events import Recorded
from ghostfleet.domain.values import Hash
from ghostfleet.store.codec import CODEC

NO_HASH = Hash(32)


class EventRow(msgspec.Struct, frozen=True):
    """One event as it is stored. `payload` is the event as JSON, byte for byte as it was hashed."""

    position: int
    stream: str
    version: int
    type: str
    type_version: int
    critical: bool
    time_us: int
    correlation: str
    payload: str
    hash: Hash

    def recorded(self) -> Recorded | None:
        """The event, or None where this release does not know it and need not."""
        return CODEC.decode(self)


class LogHead(msgspec.Struct, frozen=True):
    """Where the log ends: position 0 and 32 zero bytes when it is empty."""

    position: int
    hash: Hash


EMPTY = LogHead(0, NO_HASH)


def row_hash(
    previous: bytes,
    position: int,
    stream: str,
    version: int,
    event_type: str,
    type_version: int,
    critical: bool,
    time_us: int,
    correlation: str,
    payload: str,
) -> Hash:
    """The chained hash of a row."""
    head = b""
    for text in (
        str(position),
        stream,
        str(version),
        event_type,
        str(type_version),
        "1" if critical else "0",
        str(time_us),
    ):
        field = text.encode()
        head += b"%d:%s," % (len(field), field)
    tail, body = correlation.encode(), payload.encode()
    return Hash(sha256(b"%s%s%d:%s,%d:%s," % (previous, head, len(tail), tail, len(body), body)).digest())


def rehash(previous: bytes, row: EventRow) -> Hash:
    """What the row's hash has to be after `previous`."""
    return row_hash(
        previous,
        row.position,
        row.stream,
        row.version,
        row.type,
        row.type_version,
        row.critical,
        row.time_us,
        row.correlation,
        row.payload,
    )
