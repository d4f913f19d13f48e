"""Stop means stop: the one place that every transaction passes on its way out, at the moment its bytes are written.

A pause holds back everybody but the senders that an operator has permitted since: the wallets of a running operation. Trouble
with the log and a stop hold back all of them.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from enum import Enum

from ghostfleet.chain.passage import GateClosed
from ghostfleet.engine.ports import InFlight

ANSWERS_SECS = 0.075
"""A pause waits so long for the answers of what has left already, and then says how much has none: it answers at once."""


class Reason(Enum):
    """Why nothing may leave."""

    PAUSE = "the fleet is paused"
    STORE = "the log cannot be written"
    STOP = "the service is stopping"


class Passage:
    """One batch on its way: who is in it, and whether it is being written, or written and not yet answered."""

    def __init__(self, gate: "Gate", senders: frozenset[str], transactions: int) -> None:
        self._gate = gate
        self.senders = senders
        self.transactions = transactions
        self.written = False

    def leave(self) -> None:
        """Called by the transport just before the first byte. Raises GateClosed: then nothing may be written."""
        self._gate.begin(self)

    def left(self) -> None:
        """Called by the transport once the last byte is out of the process, or none will follow."""
        self._gate.end(self)


class Gate:
    """Open while nothing shuts it. `permitted` are the senders that a pause does not hold back."""

    def __init__(self) -> None:
        self._shut_by: set[Reason] = set()
        self._permitted: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._writing: set[Passage] = set()
        self._answering: set[Passage] = set()

    @property
    def is_open(self) -> bool:
        """For everybody."""
        return not self._shut_by

    def lets(self, sender: str) -> bool:
        """Whether this wallet's transactions may leave now."""
        return not self._shut_by or (self._shut_by == {Reason.PAUSE} and sender in self._permitted)

    @property
    def in_flight(self) -> InFlight:
        """What has left without an answer so far."""
        waiting = self._writing | self._answering
        return InFlight(len(waiting), sum(passage.transactions for passage in waiting))

    @asynccontextmanager
    async def sending(self, senders: Collection[str]) -> AsyncIterator[Passage]:
        """Hold from before a batch is written until its answer is in; a sender is named once for each transaction.

        The passage holds those who may leave. Raises GateClosed when nobody may.
        """
        may = [sender for sender in senders if self.lets(sender)]
        if not may:
            raise self._closed()
        passage = Passage(self, frozenset(may), len(may))
        try:
            yield passage
        finally:
            self.end(passage)
            self._answering.discard(passage)
            self._tell()

    def begin(self, passage: Passage) -> None:
        """The passage's bytes are about to be written. Raises GateClosed when one of its senders may not leave any more."""
        if not all(self.lets(sender) for sender in passage.senders):
            raise self._closed()
        self._writing.add(passage)
        self._answering.add(passage)

    def end(self, passage: Passage) -> None:
        """The passage's bytes are out."""
        self._writing.discard(passage)
        self._tell()

    def shut(self, reason: Reason = Reason.PAUSE) -> None:
        """Let nothing more out. What is being written goes on; `close` waits for it."""
        self._shut_by.add(reason)
        self._tell()

    async def close(self, reason: Reason = Reason.PAUSE, *, answers_secs: float = ANSWERS_SECS) -> InFlight:
        """Shut, wait until no byte is left to be written, then a moment for answers. What has none yet, at the end."""
        self.shut(reason)
        while self._writing:
            await self._changed.wait()
        try:
            async with asyncio.timeout(answers_secs):
                while self._answering:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.in_flight

    def open(self, reason: Reason = Reason.PAUSE) -> None:
        """This reason shuts it no longer; it opens when none is left."""
        self._shut_by.discard(reason)
        self._tell()

    def permit(self, senders: frozenset[str]) -> None:
        """From now on a pause holds back all but these."""
        self._permitted = senders
        self._tell()

    async def passable(self, sender: str) -> None:
        """Wait until this sender may leave."""
        while not self.lets(sender):
            await self._changed.wait()

    def _closed(self) -> GateClosed:
        return GateClosed("nothing is sent: " + ", ".join(sorted(reason.value for reason in self._shut_by)))

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
