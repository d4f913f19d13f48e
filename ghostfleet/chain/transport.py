"""How bytes get to an endpoint and back: one POST. A simulator implements the same protocol."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec

from ghostfleet.errors import OtherEndpoint

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
MAX_CONNECTIONS = 32
DNS_SECS = 60
"""Names are resolved again after this long: stale DNS is what a 502 in a long-running process often is."""


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

    async def post(self, url: str, body: bytes, *, timeout_secs: float) -> Response:
        """Raises TransportFault."""
        ...

    async def close(self) -> None: ...


class AiohttpTransport:
    """HTTP over a bounded pool of connections."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, *, timeout_secs: float) -> Response:
        session = self._session
        if session is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=DNS_SECS, keepalive_timeout=30)
            session = self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        try:
            async with asyncio.timeout(timeout_secs):
                async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                    content = await _bounded(answer)
                    headers = {name.lower(): value for name, value in answer.headers.items()}
                    return Response(answer.status, headers, content)
        except aiohttp.ClientConnectorError as problem:
            raise TransportFault(f"cannot connect: {type(problem).__name__}", sent=False) from None
        except TimeoutError:
            raise TransportFault(f"no answer within {timeout_secs:g} s", sent=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise TransportFault(f"connection lost: {type(problem).__name__}", sent=True) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_chunked(256 * 1024):
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise TransportFault(f"an answer of more than {MAX_RESPONSE_BYTES} bytes", sent=True)
        chunks.append(chunk)
    return b"".join(chunks)
