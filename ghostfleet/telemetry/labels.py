"""How many values may a label have? A bounded number; whatever comes after them is `other`."""

import re

MAX_LABEL_VALUES = 64
"""Per label: error classes, plugins, kinds and endpoints are few; a defect must not make them many."""
MAX_LABEL_CHARS = 64
OTHER = "other"
_ODD = re.compile(r"[^A-Za-z0-9_.:/-]+")


class Label:
    """The values of one label so far. Known ones keep their place, new ones get one while there is room."""

    def __init__(self, limit: int = MAX_LABEL_VALUES) -> None:
        self._limit = limit
        self._given: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The value to use."""
        value = value[:MAX_LABEL_CHARS]
        given = self._given.get(value)
        if given is not None:
            return given
        if len(self._given) >= self._limit:
            return OTHER
        clean = self._given[value] = _ODD.sub("_", value) or "none"
        return clean
