"""The edge of the node: hex in, hex out. What a client sent wrongly is answered with -32602 and the reason."""

import re

from ghostfleet.devnet.rpc_errors import invalid_params

MAX_DATA_BYTES = 256 * 1024
_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_DATA = re.compile(r"0x([0-9a-fA-F]{2})*")


def quantity(value: int) -> str:
    """An integer as JSON-RPC writes it."""
    return hex(value)


def octets(value: bytes) -> str:
    """Bytes as JSON-RPC writes them."""
    return "0x" + value.hex()


def parse_quantity(value: object, what: str) -> int:
    """0x-hex without leading zeros."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise invalid_params(f"invalid {what}: expected a 0x-prefixed quantity without leading zeros")
    return int(value, 16)


def parse_octets(value: object, what: str, length: int | None = None) -> bytes:
    """0x-hex of whole bytes, of a given length where one is given."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise invalid_params(f"invalid {what}: expected 0x-prefixed hex of whole bytes")
    parsed = bytes.fromhex(value[2:])
    if length is not None and len(parsed) != length:
        raise invalid_params(f"invalid {what}: expected {length} bytes, got {len(parsed)}")
    if len(parsed) > MAX_DATA_BYTES:
        raise invalid_params(f"invalid {what}: oversized data: {len(parsed)} bytes, limit {MAX_DATA_BYTES}")
    return parsed
