"""How does a faulty way to a node look from the service? An HTTP server that passes JSON-RPC on, or fails to.

The faults are the way's, never the chain's: what the proxy lets through is what the node got and said. Control is a port of
its own: POST /on, POST /off, GET /counts.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from tests.proxy.faults import Faults

HANG_SECS = 6.0
"""A lost request hangs for up to so long: longer than the time-out that the tests give the service."""
LATE_SECS = (6.0, 30.0)
DELAY_SECS = 2.0
OUTAGE_SECS = (0.1, 1.0)
UPSTREAM_SECS = 60.0
PIECES = 12
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
GARBAGE = (
    b"\x00\x01\xfe\xff" * 16,
    b"upstream connect error",
    b"null",
    b"[]",
    b"{}",
    b'{"jsonrpc":"2.0"',
    b"[[[[1]]]]",
    b"",
)
Answer = tuple[int, bytes]
Entry = dict[str, Any]


class Proxy:
    """One way to one node."""

    def __init__(self, upstream: str, faults: Faults, port: int) -> None:
        self._upstream = upstream
        self._faults = faults
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._outages: set[asyncio.Task[None]] = set()
        self._server: web.Server | None = None
        self._kinds: dict[str, Callable[[web.BaseRequest, bytes, Random], Awaitable[web.StreamResponse]]] = {
            "refused": self._refused,
            "request_lost": self._request_lost,
            "answer_lost": self._answer_lost,
            "delayed": self._delayed,
            "late": self._late,
            "duplicated": self._duplicated,
            "limited": self._limited,
            "bad_gateway": self._bad_gateway,
            "garbage": self._garbage,
            "truncated": self._truncated,
            "left_out": partial(self._changed, change=_left_out),
            "reordered": partial(self._changed, change=_reordered),
            "denied": partial(self._changed, change=_denied),
            "slow": self._slow,
        }

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The port is open within the block."""
        timeout = aiohttp.ClientTimeout(total=UPSTREAM_SECS)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=256)) as self._session:
            self._server = web.Server(self._handle, access_log=None, logger=_Quiet())  # type: ignore[arg-type]
            self._runner = web.ServerRunner(self._server)
            await self._runner.setup()
            await self._listen()
            try:
                yield
            finally:
                for task in self._outages:
                    task.cancel()
                await self._runner.cleanup()

    async def _listen(self) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True, shutdown_timeout=0.1)
        await self._site.start()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        fate = self._faults.next()
        try:
            if fate.kind is None:
                return _as_http(await self._forward(body))
            return await self._kinds[fate.kind](request, body, fate.random)
        except (aiohttp.ClientError, TimeoutError):
            return web.Response(status=504, text="upstream")

    async def _forward(self, body: bytes) -> Answer:
        assert self._session is not None
        async with self._session.post(
            self._upstream, data=body, headers={"content-type": "application/json"}
        ) as answer:
            return answer.status, await answer.read()

    async def _refused(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        if not self._outages:
            outage = asyncio.create_task(self._outage(random.uniform(*OUTAGE_SECS)))
            self._outages.add(outage)
            outage.add_done_callback(self._outages.discard)
        return _cut(request)

    async def _outage(self, secs: float) -> None:
        """Nobody listens, and whoever was connected is not any more."""
        assert self._site is not None
        assert self._server is not None
        await self._site.stop()
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(secs)
        await self._listen()

    async def _request_lost(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        await asyncio.sleep(random.uniform(0, HANG_SECS))
        return _cut(request)

    async def _answer_lost(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        await self._forward(body)
        return _cut(request)

    async def _delayed(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        secs = random.uniform(0, DELAY_SECS)
        before = random.random() < 0.5
        await asyncio.sleep(secs if before else 0)
        answer = await self._forward(body)
        await asyncio.sleep(0 if before else secs)
        return _as_http(answer)

    async def _late(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        await asyncio.sleep(random.uniform(*LATE_SECS))
        return _as_http(await self._forward(body))

    async def _duplicated(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        first = await self._forward(body)
        await asyncio.sleep(random.choice((0.0, 0.0, 0.5)))
        second = await self._forward(body)
        return _as_http(random.choice((first, second)))

    async def _limited(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        said = {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": -32005, "message": "daily request count exceeded, slow down"},
        }
        text = random.choice((json.dumps(said), "Too Many Requests"))
        return web.Response(status=429, text=text, headers={"retry-after": random.choice(("1", "2", "0"))})

    async def _bad_gateway(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        if random.random() < 0.5:
            await self._forward(body)
        return web.Response(status=502, body=HTML, content_type="text/html")

    async def _garbage(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        await self._forward(body)
        return web.Response(body=random.choice(GARBAGE), content_type="application/json")

    async def _truncated(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        status, answer = await self._forward(body)
        return _as_http((status, answer[: random.randrange(len(answer) or 1)]))

    async def _changed(
        self,
        request: web.BaseRequest,
        body: bytes,
        random: Random,
        change: Callable[[list[Entry], Random], list[Entry]],
    ) -> web.StreamResponse:
        """A single call is a batch of one."""
        status, answer = await self._forward(body)
        document = json.loads(answer)
        if isinstance(document, list):
            return _as_http((status, json.dumps(change(document, random)).encode()))
        entries = change([document], random)
        return _as_http((status, json.dumps(entries[0]).encode() if entries else b""))

    async def _slow(self, request: web.BaseRequest, body: bytes, random: Random) -> web.StreamResponse:
        status, answer = await self._forward(body)
        response = web.StreamResponse(status=status, headers={"content-type": "application/json"})
        response.content_length = len(answer)
        size = max(1, -(-len(answer) // PIECES))
        pause_secs = random.uniform(0, DELAY_SECS) / PIECES
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            for start in range(0, len(answer), size):
                await response.write(answer[start : start + size])
                await asyncio.sleep(pause_secs)
            await response.write_eof()
        return response


def _left_out(entries: list[Entry], random: Random) -> list[Entry]:
    return [entry for entry in entries if random.random() < 0.6]


def _reordered(entries: list[Entry], random: Random) -> list[Entry]:
    return random.sample(entries, len(entries))


def _denied(entries: list[Entry], random: Random) -> list[Entry]:
    chosen = random.randrange(len(entries))
    error = {"code": -32603, "message": "Internal error"}
    denied = {"jsonrpc": "2.0", "id": entries[chosen].get("id"), "error": error}
    return [*entries[:chosen], denied, *entries[chosen + 1 :]]


class _Quiet:
    """A cut connection is what this is for, and no news."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


def control(faults: Faults) -> web.Application:
    """Switch the faults, ask what was done."""

    async def switch(request: web.Request) -> web.Response:
        faults.on = request.path == "/on"
        return web.json_response({"on": faults.on})

    async def counts(_request: web.Request) -> web.Response:
        return web.json_response({"requests": faults.requests, "faults": faults.done, "seed": faults.seed})

    app = web.Application()
    app.add_routes([web.post("/on", switch), web.post("/off", switch), web.get("/counts", counts)])
    return app


def _as_http(answer: Answer) -> web.Response:
    return web.Response(status=answer[0], body=answer[1], content_type="application/json")


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
