"""A node that is healthy until the test gives it another mood: then it answers what the mood makes of a request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

MAX_REQUEST_BYTES = 64 * 2**20
Mood = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


class HostileNode:
    """Hands requests on to the real node while `mood` is None."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.mood: Mood | None = None
        self.moody = 0
        """How often the mood answered."""
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.mood is not None:
            self.moody += 1
            return await self.mood(request, body)
        return web.Response(body=await self.truth(body), content_type="application/json")

    async def truth(self, body: bytes) -> bytes:
        """What the real node says."""
        headers = {"content-type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.upstream, data=body, headers=headers) as answer,
        ):
            return await answer.read()


@asynccontextmanager
async def hostile_node(upstream: str) -> AsyncIterator[HostileNode]:
    """On a port of its own, at any path."""
    node = HostileNode(upstream)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_route("*", "/{path:.*}", node.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        node.port = runner.addresses[0][1]
        yield node
    finally:
        await runner.cleanup()
