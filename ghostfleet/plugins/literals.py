"""Does what stands in a settings file fit an ABI type, and which value is it?

TOML integers end at 64 bits, so integers may be texts of digits; addresses and bytes are hex; arrays and structs are lists.
"""

import re
from typing import Any

from ghostfleet.keys.addresses import parse_address
from ghostfleet.plugins.abi import split_types

_INTEGER = re.compile(r"-?[0-9][0-9_]{0,90}")
_ARRAY = re.compile(r"(.+)\[([0-9]*)\]")


def parse_literal(kind: str, literal: object) -> Any:
    """The value for an ABI type. Raises ValueError with what would be right."""
    if array := _ARRAY.fullmatch(kind):
        return _parse_array(array[1], array[2], literal)
    if kind.startswith("("):
        parts = split_types(kind[1:-1])
        if not isinstance(literal, list) or len(literal) != len(parts):
            raise ValueError(f"expected a list of {len(parts)} values for {kind}")
        return tuple(parse_literal(part, item) for part, item in zip(parts, literal, strict=True))
    if kind.startswith(("uint", "int")):
        return parse_integer(kind, literal)
    if kind == "bool" and isinstance(literal, bool):
        return literal
    if kind == "address" and isinstance(literal, str):
        return parse_address(literal)
    if kind == "string" and isinstance(literal, str):
        return literal
    if kind.startswith("bytes") and isinstance(literal, str):
        return _parse_bytes(kind, literal)
    raise ValueError(f"expected {_expected(kind)}")


def parse_integer(kind: str, literal: object) -> int:
    """A whole number within the type's range."""
    if not kind.startswith(("uint", "int")) or kind.endswith("]"):
        raise ValueError(f"a range is for whole numbers, this is {kind}: give {{choices = [...]}}")
    if isinstance(literal, str) and _INTEGER.fullmatch(literal):
        literal = int(literal)
    if isinstance(literal, bool) or not isinstance(literal, int):
        raise ValueError(f"expected {_expected(kind)}")
    bits = int(kind.removeprefix("u").removeprefix("int"))
    low, high = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not low <= literal <= high:
        raise ValueError(f"expected {_expected(kind)} from {low} to {high}")
    return literal


def _parse_array(kind: str, size: str, literal: object) -> list[Any]:
    if not isinstance(literal, list) or (size and len(literal) != int(size)):
        raise ValueError(f"expected a list of {size + ' ' if size else ''}{kind} values")
    return [parse_literal(kind, item) for item in literal]


def _parse_bytes(kind: str, literal: str) -> bytes:
    size = kind.removeprefix("bytes")
    try:
        value = bytes.fromhex(literal.removeprefix("0x")) if literal.startswith("0x") else None
    except ValueError:
        value = None
    if value is None or (size and len(value) != int(size)):
        raise ValueError(f"expected {_expected(kind)}")
    return value


def _expected(kind: str) -> str:
    if kind.startswith(("uint", "int")):
        return f'a whole number ({kind}), in quotes where it is large, for example "1000000000000000000"'
    if kind.startswith("bytes"):
        size = kind.removeprefix("bytes")
        return f"{size + ' ' if size else ''}bytes as 0x and hexadecimal digits"
    return {"bool": "true or false", "address": "an address in quotes", "string": "a text"}.get(kind, f"a {kind}")
