"""Stop means stop: the one place that every transaction passes on its way out, at the moment its batch is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ghostfleet.chain.edge import GateClosed


class Gate:
    """Open or closed. The edge holds `sending()` from just before a batch is written until its answer is in."""

    def __init__(self, *, opened: bool = True) -> None:
        self._open = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sending = 0
        if opened:
            self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Hold while bytes leave. Raises GateClosed, and nothing may be written then."""
        if not self._open.is_set():
            raise GateClosed("the fleet is paused: nothing is sent")
        self._sending += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._sending -= 1
            if not self._sending:
                self._quiet.set()

    def shut(self) -> None:
        """Let nothing more in. What is being sent goes on; `close` waits for it."""
        self._open.clear()

    async def close(self) -> None:
        """Shut, and wait for the sends in flight; each of them is bounded by the edge's time limit."""
        self.shut()
        await self._quiet.wait()

    def open(self) -> None:
        """Let transactions through again."""
        self._open.set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._open.wait()
