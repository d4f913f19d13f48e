"""How do amounts read and how are they read back? As exact decimals: no amount passes through a floating-point number."""

import re

NATIVE_DECIMALS = 18
MAX_DECIMALS = 77
"""10**77 is the largest power of ten that fits into a uint256."""
BPS = 10_000
"""Basis points in a whole."""
_DECIMAL = re.compile(r"(?P<whole>[0-9]{1,78})(\.(?P<rest>[0-9]{1,78}))?", re.ASCII)


def decimal_text(units: int, decimals: int = NATIVE_DECIMALS) -> str:
    """An amount in whole coins, without needless zeros: 1500000000000000000 wei is `1.5`."""
    whole, rest = divmod(abs(units), 10**decimals)
    digits = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{'-' if units < 0 else ''}{whole}{'.' + digits if digits else ''}"


def parse_decimal(text: str, decimals: int = NATIVE_DECIMALS) -> int:
    """Smallest units of an amount in whole coins. Raises ValueError for anything else, and for a part of a smallest unit."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no amount: expected digits like 12 or 0.005")
    rest = (found["rest"] or "").rstrip("0")
    if len(rest) > decimals:
        raise ValueError(f"{text[:40]} has more than {decimals} digits after the point")
    return int(found["whole"] + rest.ljust(decimals, "0"))
