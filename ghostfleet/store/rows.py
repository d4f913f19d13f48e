"""What is a row of the log, and what proves that nobody changed it?

`hash = sha256(previous hash || header || stream || type || correlation || payload)`, texts as UTF-8, where `header` is
`struct.pack(">QQIBQIIII", position, version, type_version, critical, time_us, len(stream), len(type), len(correlation),
len(payload))` with lengths in bytes, and the hash before the first row is 32 zero bytes. Every column is covered and no two
rows have the same encoding. docs/decisions/0007-hash-chain.md has the 20 lines with which an auditor recomputes it.
"""

import struct
from hashlib import sha256

import msgspec

from ghostfleet.domain.events import Stream
from ghostfleet.domain.values import Hash

GENESIS = Hash(bytes(32))
"""The hash before the first row."""

_pack_header = struct.Struct(">QQIBQIIII").pack


class LogHead(msgspec.Struct, frozen=True):
    """The newest row: its position and its hash, which stands for everything before it."""

    position: int = 0
    hash: Hash = GENESIS


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """A row as it is stored, in the order of its columns. `payload` is JSON exactly as it was written."""

    position: int
    stream: Stream
    version: int
    type: str
    type_version: int
    critical: int
    time_us: int
    correlation: str
    payload: str
    hash: Hash


class Text(msgspec.Struct, frozen=True, gc=False):
    """The texts of a row as one run of bytes, and their lengths."""

    stream: int
    type: int
    correlation: int
    payload: int
    joined: bytes


def text_of(stream: str, type_: str, correlation: str, payload: bytes) -> Text:
    """The texts of a row to be. Raises UnicodeEncodeError for what is not Unicode."""
    names = f"{stream}{type_}{correlation}"
    if names.isascii():  # as almost always: a character is a byte
        return Text(len(stream), len(type_), len(correlation), len(payload), names.encode() + payload)
    stream_bytes, type_bytes, correlation_bytes = stream.encode(), type_.encode(), correlation.encode()
    return Text(
        len(stream_bytes),
        len(type_bytes),
        len(correlation_bytes),
        len(payload),
        b"".join((stream_bytes, type_bytes, correlation_bytes, payload)),
    )


def chain_hash(
    previous: bytes, position: int, version: int, type_version: int, critical: int, time_us: int, text: Text
) -> bytes:
    """The hash of a row after `previous`. Raises struct.error for numbers that no row can have."""
    header = _pack_header(
        position, version, type_version, critical, time_us, text.stream, text.type, text.correlation, text.payload
    )
    return sha256(b"".join((previous, header, text.joined))).digest()


def hash_of(previous: bytes, row: EventRow) -> bytes:
    """The hash that a stored row should have."""
    text = text_of(row.stream, row.type, row.correlation, row.payload.encode())
    return chain_hash(previous, row.position, row.version, row.type_version, row.critical, row.time_us, text)
