"""What leaves the service for its node? A relay between the two, in the test's own process, that keeps count of every send.

Stricter than the node's pool: what has left counts, whether the node took it or not, the same bytes again among it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from tests.acceptance.service_process import listening_port

SEND_METHODS = frozenset({"eth_sendRawTransaction", "eth_sendRawTransactionSync"})
REQUEST_SECS = 60.0
BUFFERS_SECS = 0.5
"""What left the process before a moment has been read by the relay so long after it, on a machine under full load too."""


class Wire:
    """One way to one node, without faults."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self.sends = 0
        """How often signed bytes went by."""
        self._upstream = upstream
        self._session = session

    async def left(self) -> int:
        """How often signed bytes have left until now, those included that are still in a socket's buffer."""
        await asyncio.sleep(BUFFERS_SECS)
        return self.sends

    async def relay(self, request: web.BaseRequest) -> web.StreamResponse:
        """Count, and pass on."""
        body = await request.read()
        calls = json.loads(body)
        self.sends += sum(call["method"] in SEND_METHODS for call in (calls if isinstance(calls, list) else [calls]))
        headers = {"content-type": "application/json"}
        async with self._session.post(self._upstream, data=body, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


@contextlib.asynccontextmanager
async def wire_to(upstream: str) -> AsyncIterator[Wire]:
    """The relay before `upstream`, within the block."""
    port = listening_port()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECS)) as session:
        wire = Wire(upstream, session, f"http://127.0.0.1:{port}")
        runner = web.ServerRunner(web.Server(wire.relay, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield wire
        finally:
            await runner.cleanup()
