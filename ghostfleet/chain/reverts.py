"""What does revert data say? Error(string), Panic(uint256), and a protocol's custom errors by their selectors."""

from collections.abc import Mapping

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from ghostfleet.chain.answers import one_line

ERROR, PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")
MAX_REASON = 1000
PANICS = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such enum value",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}


def decode_revert(data: bytes, errors: Mapping[bytes, tuple[str, tuple[str, ...]]]) -> str:
    """The reason in words, for example `ERC20InsufficientBalance(0x.., 1, 2)`; the selector where it is not known."""
    selector, body = bytes(data[:4]), bytes(data[4:])
    if len(selector) < 4:
        return ""
    name = ""
    types: tuple[str, ...] = ()
    if selector == ERROR:
        types = ("string",)
    elif selector == PANIC:
        types = ("uint256",)
    elif selector in errors:
        name, types = errors[selector]
    else:
        return f"error 0x{selector.hex()}"
    try:
        values = abi_decode(types, body)
    except (DecodingError, OverflowError, UnicodeDecodeError):
        return name or f"error 0x{selector.hex()}"
    if selector == ERROR:
        return one_line(values[0])
    if selector == PANIC:
        return f"Panic: {PANICS.get(values[0], hex(values[0]))}"
    return f"{name}({', '.join(_word(value) for value in values)})"[:MAX_REASON] if types else name


def _word(value: object) -> str:
    return one_line("0x" + value.hex() if isinstance(value, bytes) else str(value))
