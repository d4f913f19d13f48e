"""Stop means stop: the one place that every transaction passes on its way out, at the moment its batch is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from ghostfleet.chain.edge import GateClosed


class Reason(Enum):
    """Why nothing may leave."""

    PAUSE = "the fleet is paused"
    STORE = "the log cannot be written"
    STOP = "the service is stopping"


class Gate:
    """Open while nothing shuts it. The edge holds `sending()` from just before a batch is written until its answer is in."""

    def __init__(self) -> None:
        self._shut_by: set[Reason] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sending = 0

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Hold while bytes leave. Raises GateClosed, and nothing may be written then."""
        if not self._open.is_set():
            raise GateClosed("nothing is sent: " + ", ".join(sorted(reason.value for reason in self._shut_by)))
        self._sending += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._sending -= 1
            if not self._sending:
                self._quiet.set()

    def shut(self, reason: Reason = Reason.PAUSE) -> None:
        """Let nothing more in. What is being sent goes on; `close` waits for it."""
        self._shut_by.add(reason)
        self._open.clear()

    async def close(self, reason: Reason = Reason.PAUSE) -> None:
        """Shut, and wait for the sends in flight; each of them is bounded by the edge's time limit."""
        self.shut(reason)
        await self._quiet.wait()

    def open(self, reason: Reason = Reason.PAUSE) -> None:
        """This reason shuts it no longer; it opens when none is left."""
        self._shut_by.discard(reason)
        if not self._shut_by:
            self._open.set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._open.wait()
