"""How are many things named in one sentence? The first few of them, and the number of the others."""

from collections.abc import Sequence


def some_of(names: Sequence[str], most: int, rest: str = "more") -> str:
    """All of a few; of more than `most` the first ones: `a, b and 7 more`."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left} {rest}" if left > 0 else "")
