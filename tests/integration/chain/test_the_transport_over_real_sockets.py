"""What the HTTP transport knows of a request that failed, and what it never does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ghostfleet.chain import transport as transport_module
from ghostfleet.chain.passage import GateClosed
from ghostfleet.chain.transport import AiohttpTransport, TransportFault
from ghostfleet.engine.gate import Gate

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A bare TCP server: each connection is handled by `serve`; how many there were, and which ended."""

    def __init__(self, serve: Serve) -> None:
        self.serve, self.url = serve, ""
        self.connections = 0
        self.ended = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[Server]:
    found = Server(serve)
    listening = await asyncio.start_server(found.handle, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with listening:
        yield found


@asynccontextmanager
async def transport() -> AsyncIterator[AiohttpTransport]:
    found = AiohttpTransport()
    try:
        yield found
    finally:
        await found.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


def saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                await read_request(reader)
            except asyncio.IncompleteReadError:
                return
            writer.write(answer)
            await writer.drain()

    return serve


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_time_out_closes_the_connection_and_the_request_may_have_been_sent():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        assert await reader.read() == b"", "after the time-out nothing more arrives"

    async with server(silent) as node, transport() as client:
        with pytest.raises(TransportFault) as fault:
            await client.post(node.url, b"{}", timeout_secs=0.1)
        assert fault.value.sent
        async with asyncio.timeout(60):
            await node.ended.wait()


async def test_where_nobody_listens_nothing_was_sent():
    async with transport() as client:
        with pytest.raises(TransportFault, match="cannot connect") as fault:
            await client.post("http://127.0.0.1:1/", b"{}", timeout_secs=5)
    assert not fault.value.sent


async def test_a_connection_that_is_never_accepted_has_sent_nothing():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queued = []
        for _ in range(4):  # fill the backlog: further ones hang in the handshake
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            queued.append(one)
        async with transport() as client:
            with pytest.raises(TransportFault, match="no connection within") as fault:
                await client.post(f"http://127.0.0.1:{address[1]}/", b"{}", timeout_secs=0.2)
        for one in queued:
            one.close()
    assert not fault.value.sent


async def test_a_connection_that_ends_before_the_answer_may_have_sent_it():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with server(hang_up) as node, transport() as client:
        with pytest.raises(TransportFault) as fault:
            await client.post(node.url, b"{}", timeout_secs=5)
        assert fault.value.sent
        assert node.connections == 1, "a POST is never repeated by itself"


async def test_an_answer_beyond_the_bound_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport_module, "MAX_RESPONSE_BYTES", 100_000)
    written = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    async with server(endless) as node, transport() as client:
        with pytest.raises(TransportFault, match="more than 100000 bytes"):
            await client.post(node.url, b"{}", timeout_secs=5)
        async with asyncio.timeout(60):
            await node.ended.wait()
    assert written < 100_000_000


async def test_garbage_instead_of_http_is_a_fault():
    async with server(saying(b"SSH-2.0-OpenSSH_9.2\r\n")) as node, transport() as client:
        with pytest.raises(TransportFault):
            await client.post(node.url, b"{}", timeout_secs=5)


async def test_a_redirect_is_not_followed_and_cookies_are_not_kept():
    bodies: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            bodies.append(await read_request(reader))
            writer.write(http("307 Elsewhere", b"", "Location: http://127.0.0.1:1/", "Set-Cookie: a=b; Path=/"))
            await writer.drain()

    async with server(redirect) as node, transport() as client:
        for _ in range(2):
            assert (await client.post(node.url, b"{}", timeout_secs=5)).status == 307
    assert b"cookie" not in b"".join(bodies).lower()


async def test_connections_are_kept_and_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch):
    async with server(saying(http("200 OK", b"[]"))) as node, transport() as client:
        for _ in range(3):
            await client.post(node.url, b"{}", timeout_secs=5)
        assert node.connections == 1
        monkeypatch.setattr(transport_module, "POOL_SECS", 0.0)
        await client.post(node.url, b"{}", timeout_secs=5)
        await client.post(node.url, b"{}", timeout_secs=5)
        assert node.connections >= 2


async def test_a_bad_gateway_makes_it_resolve_and_connect_anew(monkeypatch: pytest.MonkeyPatch):
    """MegaETH: 502 in a long-running process is often stale DNS."""
    monkeypatch.setattr(transport_module, "MIN_POOL_SECS", 0.0)
    async with server(saying(http("502 Bad Gateway", b"<html>"))) as node, transport() as client:
        for _ in range(3):
            assert (await client.post(node.url, b"{}", timeout_secs=5)).status == 502
        assert node.connections == 3


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/k3y-canary", "http://[::1/k3y-canary", "k3y-canary"])
async def test_a_url_that_is_none_is_a_fault_without_its_words(url: str):
    async with transport() as client:
        with pytest.raises(TransportFault) as fault:
            await client.post(url, b"{}", timeout_secs=5)
    assert not fault.value.sent
    assert "canary" not in f"{fault.value!r}{fault.value.__cause__!r}"


async def test_a_request_that_waits_for_a_connection_when_the_gate_shuts_is_never_written() -> None:
    """It had passed the gate when its batch was made up: the gate is asked again where the bytes are written."""
    gate, release, full, written = Gate(), asyncio.Event(), asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await read_request(reader)
        written += 1
        if written == transport_module.MAX_CONNECTIONS:
            full.set()
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    async def send(way: AiohttpTransport, url: str) -> None:
        async with gate.sending(["wallet-001"]) as passage:
            await way.post(url, b"{}", timeout_secs=10, passage=passage)

    async with server(serve) as node, transport() as way:
        sends = [asyncio.create_task(send(way, node.url)) for _ in range(transport_module.MAX_CONNECTIONS + 12)]
        await full.wait()
        in_flight = await gate.close(answers_secs=0)
        assert in_flight.transactions == transport_module.MAX_CONNECTIONS
        release.set()
        results = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(it) for it in results].count(GateClosed) == 12
    assert written == transport_module.MAX_CONNECTIONS
    assert gate.in_flight.requests == 0
