"""Who says whether bytes may leave? The contract between the edge, its transport and the gate (../engine/gate.py)."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ghostfleet.errors import TryAgain


class GateClosed(TryAgain):
    """Nothing may leave: the fleet is paused, stopping, or its log cannot be written. No byte was sent."""


class Passage(Protocol):
    """Leave to write one request. Told by the transport of the two moments that count."""

    def leave(self) -> None:
        """Just before the body's first byte is written. Raises GateClosed: then none may be."""
        ...

    def left(self) -> None:
        """The body's last byte has left the process, or none will follow."""
        ...


class SendPassage(Passage, Protocol):
    """Leave for one batch; `senders` are those that may be in it."""

    @property
    def senders(self) -> Collection[str]: ...


class SendGate(Protocol):
    """Asked when a batch is made up, and by its passage when the bytes leave; held until the answer is in."""

    def sending(self, senders: Collection[str]) -> AbstractAsyncContextManager[SendPassage]:
        """Raises GateClosed on entry when none of these senders may leave."""
        ...
