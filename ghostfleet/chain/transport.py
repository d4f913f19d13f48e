"""How bytes get to an endpoint and back: one POST. A simulator implements the same protocol."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp.abc import AbstractStreamWriter

from ghostfleet.chain.passage import GateClosed, Passage
from ghostfleet.errors import OtherEndpoint

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
MAX_CONNECTIONS = 128
"""Of all endpoints together; the edge bounds what is under way at each."""
IDLE_SECS = 15
"""An idle connection is closed after so long: before most servers close it just as a request leaves."""
POOL_SECS = 300.0
"""Connections and resolved names are given up after this long: stale DNS is what a 502 in a long-running process often is."""
DNS_SECS = 30
GATEWAY_TROUBLE = frozenset({502, 503, 504})
FLUSH_LOOK_SECS = 0.001
"""How often a body that the kernel has not taken whole is looked at."""
MIN_POOL_SECS = 5.0
"""After trouble at a gateway the name is resolved anew, but not more often than this."""


class Response(msgspec.Struct, frozen=True):
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportFault(OtherEndpoint):
    """No answer. `sent` is False only when it is certain that no byte of the request has left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Transport(Protocol):
    """One request, one answer."""

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        """Raises TransportFault, after `timeout_secs` at the latest; the connection is then closed.

        With a passage nothing of the body is written before it was asked; raises GateClosed when it says no.
        """
        ...

    async def close(self) -> None: ...


class _Way:
    """How far one request has come: nothing can have left before a connection stands."""

    def __init__(self) -> None:
        self.connected = False
        self.closed: GateClosed | None = None
        """Why the body was not written, where its passage was refused."""


class _Gated(aiohttp.BytesPayload):
    """A body that asks its passage at the moment it is written, and tells it once the kernel has all of it."""

    def __init__(self, body: bytes, passage: Passage, way: _Way) -> None:
        super().__init__(body, content_type="application/json")
        self._passage = passage
        self._way = way

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        try:
            self._passage.leave()
        except GateClosed as closed:
            self._way.closed = closed
            raise
        try:
            await super().write_with_length(writer, content_length)
            await _written(writer)
        finally:
            self._passage.left()


async def _written(writer: AbstractStreamWriter) -> None:
    """Wait until nothing of what was written waits in this process any more."""
    transport = getattr(writer, "transport", None)
    while transport is not None and not transport.is_closing() and transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport has no event for this
        await asyncio.sleep(FLUSH_LOOK_SECS)


class _Pool:
    """A session with its connections, closed when it is retired and its last request is over."""

    def __init__(self, born: float) -> None:
        self.born = born
        self.using = 0
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=DNS_SECS, keepalive_timeout=IDLE_SECS)
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            trace_configs=[_tracing()],
        )


class AiohttpTransport:
    """HTTP over a bounded pool of connections, renewed from time to time."""

    def __init__(self) -> None:
        self._pool: _Pool | None = None
        self._retired: list[_Pool] = []

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        pool, way = self._current(), _Way()
        pool.using += 1
        try:
            async with asyncio.timeout(timeout_secs):
                response = await _exchange(pool.session, url, _Gated(body, passage, way) if passage else body, way)
        except TimeoutError:
            what = "answer" if way.connected else "connection"
            raise TransportFault(f"no {what} within {timeout_secs:g} s", sent=way.connected) from None
        except aiohttp.ClientConnectorError as problem:
            self._retire_early(pool)
            raise TransportFault(f"cannot connect: {problem.os_error.strerror or _kind(problem)}", sent=False) from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            if way.closed is not None:
                raise way.closed from None
            raise TransportFault(f"connection lost: {_kind(problem)}", sent=way.connected) from None
        finally:
            pool.using -= 1
            await self._close_retired()
        if response.status in GATEWAY_TROUBLE:
            self._retire_early(pool)
        return response

    async def close(self) -> None:
        if self._pool is not None:
            self._retired.append(self._pool)
            self._pool = None
        for pool in self._retired:
            pool.using = 0
        await self._close_retired()

    def _current(self) -> _Pool:
        now = asyncio.get_running_loop().time()
        if self._pool is not None and now - self._pool.born >= POOL_SECS:
            self._retired.append(self._pool)
            self._pool = None
        if self._pool is None:
            self._pool = _Pool(now)
        return self._pool

    def _retire_early(self, pool: _Pool) -> None:
        if pool is self._pool and asyncio.get_running_loop().time() - pool.born >= MIN_POOL_SECS:
            self._retired.append(pool)
            self._pool = None

    async def _close_retired(self) -> None:
        for pool in [pool for pool in self._retired if not pool.using]:
            self._retired.remove(pool)
            await pool.session.close()


async def _exchange(session: aiohttp.ClientSession, url: str, body: bytes | _Gated, way: _Way) -> Response:
    headers = {"content-type": "application/json"}
    async with session.post(url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=way) as answer:
        content = await _bounded(answer)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            answer.close()
            raise TransportFault(f"an answer of more than {MAX_RESPONSE_BYTES} bytes", sent=True)
        chunks.append(chunk)
    return b"".join(chunks)


def _tracing() -> aiohttp.TraceConfig:
    """Notes on each request's `_Way` when its connection stands."""

    async def connected(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.connected = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(connected)
    config.on_connection_reuseconn.append(connected)
    return config


def _kind(problem: BaseException) -> str:
    """The kind of an error without its words, which may hold the URL."""
    return type(problem).__name__
