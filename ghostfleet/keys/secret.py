"""A value that must not be seen: in a repr, a log line, a pickle, a traceback's locals or a JSON document."""

from collections.abc import Callable
from typing import NoReturn


class Secret:
    """Holds bytes behind `reveal()` and nothing else: no attribute, no equality, no pickle shows them."""

    __slots__ = ("reveal",)

    reveal: Callable[[], bytes]
    """The bytes. Call it as late and as locally as possible."""

    def __init__(self, value: bytes) -> None:
        self.reveal = lambda: value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")
