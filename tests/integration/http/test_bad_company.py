"""Slow, greedy, lying and lost clients: refused or cut off, the service unmoved."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from fleet_over_http import Running, admin_settings, running
from starlette.applications import Starlette

from ghostfleet.http import edge, server
from ghostfleet.http.server import CannotListen, serving


def status_of(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1])


async def test_answers_carry_the_headers_that_keep_browsers_out(fleet: Running) -> None:
    for method, path in (("GET", "/health"), ("GET", "/nothing"), ("PUT", "/admin/pause"), ("GET", "/")):
        _, _, headers = await fleet.ask(method, path, headers={"X-Request-Id": "mine"})
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert headers["x-request-id"] != "mine", "ids from outside are not accepted"
        assert "server" not in headers


async def test_what_is_not_there_is_told_in_a_problem_document(fleet: Running) -> None:
    for path in ("/nothing", "/health/", "/admin", "/..%2f..%2fetc/passwd", "//health", "/HEALTH", "/health%00"):
        status, problem, headers = await fleet.get(path)
        assert (status, problem["status"], headers["content-type"]) == (404, 404, "application/problem+json")
        assert "location" not in headers
    status, problem, headers = await fleet.ask("DELETE", "/admin/pause")
    assert (status, headers["allow"]) == (405, "POST")
    assert problem["title"] == "Method Not Allowed"
    assert (await fleet.ask("OPTIONS", "/health"))[2]["allow"] == "GET, HEAD"
    assert (await fleet.ask("HEAD", "/health"))[:2] == (200, b"")
    assert (await fleet.get("/nothing", headers={"Host": "evil.example"}))[0] == 403


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\n0",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\tc\x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /health?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=range(13),
)
async def test_malformed_and_smuggled_requests_are_refused_and_the_connection_ends(fleet: Running, head: bytes) -> None:
    answered = await fleet.raw(head + (b"\r\n\r\n" if head.startswith(b"\x16") else b""))
    assert not answered or 400 <= status_of(answered) < 502
    assert answered.count(b"HTTP/1.1 ") <= 1
    assert fleet.service.state.fleet.paused is None
    assert (await fleet.get("/health"))[0] == 200


async def test_http_1_0_without_a_host_is_refused(fleet: Running) -> None:
    assert status_of(await fleet.raw(b"GET /health HTTP/1.0\r\n\r\n")) == 403


async def test_a_proxy_that_says_nothing_of_itself_may_not_command(log: Any) -> None:
    """A request as nginx 1.22 passes it on with `proxy_pass http://127.0.0.1:8080;` and nothing else."""
    async with running(log, admin_settings(tokens=())) as fleet:
        head = b"POST /admin/pause HTTP/1.0\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert status_of(await fleet.raw(head)) == 401
        assert status_of(await fleet.raw(head.replace(b"POST /admin/pause", b"GET /health"))) == 200
        assert fleet.service.state.fleet.paused is None
        assert status_of(await fleet.raw(head.replace(b"HTTP/1.0", b"HTTP/1.1"))) == 200


async def test_an_absolute_target_does_not_get_around_the_host_rule(fleet: Running) -> None:
    head = b"GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert status_of(await fleet.raw(head)) == 403


async def test_a_websocket_is_not_spoken_here(fleet: Running) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert status_of(await fleet.raw(head)) == 200


async def test_strangers_write_no_lines_into_the_service_s_output(
    fleet: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Or they could fill its disk: each of these has a warning of uvicorn's."""
    said = (
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    )
    for level, lines in (("INFO", 0), ("DEBUG", 3)):
        caplog.clear()
        caplog.set_level(level, "ghostfleet")
        for request in said:
            await fleet.raw(request)
        assert len([it for it in caplog.records if it.name == "ghostfleet.http.server"]) >= lines
        assert lines or "ghostfleet.http.server" not in {it.name for it in caplog.records}


async def test_an_answer_that_a_stop_cuts_off_is_no_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STOP_SECS", 1)
    caplog.set_level("INFO", "ghostfleet")
    app = Generous(32 * 2**20)
    async with serving(app, "127.0.0.1", 0) as served:
        _, writer = await asyncio.open_connection(served.host, served.port, limit=2**10)
        writer.write(b"GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await app.waiting.get()
    await app.ended.wait()
    writer.transport.abort()
    assert [it.message for it in caplog.records if it.name == "ghostfleet.http.server"] == []


async def test_a_stop_ends_both_doors_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One after the other, each might take its time with clients that do not read: a stop is over within ten seconds."""
    made: list[server.QuietServer] = []
    ending: list[list[bool]] = []
    ended = server._ended

    class Noted(server.QuietServer):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            made.append(self)

    async def noted(task: "asyncio.Task[None]") -> None:
        ending.append([it.should_exit for it in made])
        await ended(task)

    monkeypatch.setattr(server, "QuietServer", Noted)
    monkeypatch.setattr(server, "_ended", noted)
    async with serving(Generous(1), "127.0.0.1", 0, socket_path=tmp_path / "admin.sock"):
        assert [it.should_exit for it in made] == [False, False]
    assert ending == [[True, True], [True, True]]


async def test_a_client_that_never_finishes_its_request_is_cut_off(
    fleet: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_SECS", 0.2)
    for start in (
        b"",
        b"GET /health HT",
        b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ):
        assert await fleet.raw(start, wait_secs=3) == b""
    assert fleet.service.state.fleet.paused is None


async def test_dripping_bytes_does_not_extend_the_deadline(fleet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECS", 0.3)
    _reader, writer = await asyncio.open_connection(fleet.server.host, fleet.server.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(drip(), 5)
    writer.close()


async def test_a_slow_body_is_refused(fleet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_SECS", 0.1)
    head = b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    answered = await fleet.raw(head)
    assert status_of(answered) == 408
    assert fleet.service.state.fleet.paused is None


async def test_a_kept_connection_answers_again_and_ends_when_idle(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECS", 0.3)
    monkeypatch.setattr(server, "REQUEST_SECS", 2.0)
    async with running(log) as fleet:
        reader, writer = await asyncio.open_connection(fleet.server.host, fleet.server.port)
        for _ in range(3):
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()


async def test_idle_connections_lock_nobody_out(fleet: Running) -> None:
    held: list[asyncio.StreamWriter] = []
    try:
        for _ in range(10):
            for _ in range(100):
                held.append((await asyncio.open_connection(fleet.server.host, fleet.server.port))[1])
            assert (await fleet.get("/health", headers={"Connection": "close"}))[0] == 200
        assert len(held) == 1000
    finally:
        for each in held:
            each.close()


async def test_a_client_that_does_not_read_is_cut_off(fleet: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SEND_SECS", 0.2)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((fleet.server.host, fleet.server.port))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def ask_and_never_read() -> None:
        while True:
            await loop.sock_sendall(sock, request * 50)
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask_and_never_read(), 10)
    sock.close()
    assert (await fleet.get("/health"))[0] == 200


class Generous:
    """An application that has more to say than a connection holds; `waiting` has an entry for each answer that is not taken."""

    def __init__(self, octets: int) -> None:
        self.octets = octets
        self.waiting: asyncio.Queue[None] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        if scope["path"] == "/all":
            await send({"type": "http.response.body", "body": bytes(self.octets), "more_body": True})
            self.waiting.put_nowait(None)
        try:
            await send({"type": "http.response.body", "body": b"ended"})
        finally:
            self.ended.set()


async def test_clients_that_do_not_read_lock_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    app = Generous(32 * 2**20)
    async with serving(app, "127.0.0.1", 0) as served:
        held = []
        for _ in range(5):
            held.append((await asyncio.open_connection(served.host, served.port, limit=2**10))[1])
            held[-1].write(b"GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await app.waiting.get()
        for _ in range(3):
            reader, writer = await asyncio.open_connection(served.host, served.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
        for each in held:
            each.transport.abort()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at by hand, not by the clock: again and again before it has taken all that keeps more from being written."""
    stalled: list[server.BoundedConnection] = []
    pause = server.BoundedConnection.pause_writing
    monkeypatch.setattr(server.BoundedConnection, "pause_writing", lambda it: (stalled.append(it), pause(it)))
    app, taken, looks = Generous(16 * 2**20), 0, 0
    async with serving(app, "127.0.0.1", 0) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port, limit=2**10)
        writer.write(b"GET /all HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await app.waiting.get()
        [connection] = stalled
        while connection.stalled:
            before_bytes = connection._untaken_bytes()
            while connection.stalled and connection._untaken_bytes() > before_bytes - server.LEAST_TAKEN_BYTES:
                taken += len(await reader.read(2**16))
            if connection.stalled:
                connection._look_at_client(before_bytes)
                looks += 1
        assert taken + len(await reader.read()) > app.octets
        assert looks > 10
        writer.close()


async def test_a_port_that_is_taken_is_told_with_what_to_do(fleet: Running) -> None:
    with pytest.raises(CannotListen, match=rf"cannot listen on 127.0.0.1:{fleet.server.port}: .*health_port"):
        async with serving(Starlette(), "127.0.0.1", fleet.server.port):
            pass
    with pytest.raises(CannotListen, match="cannot listen"):
        async with serving(Starlette(), "203.0.113.7", 0):
            pass
    with pytest.raises(CannotListen, match="no address"):
        async with serving(Starlette(), "no.such.host.invalid", 0):
            pass


async def test_the_server_ends_with_its_block_and_frees_its_port(log: Any) -> None:
    async with running(log) as fleet:
        port = fleet.server.port
        assert (await fleet.get("/health"))[0] == 200
    async with serving(Starlette(), "localhost", port) as again:
        assert again.port == port


async def test_public_probes_are_all_a_stranger_gets(log: Any) -> None:
    async with running(log, admin_settings(require_token_on_loopback=True)) as fleet:
        for path, status in (
            ("/health", 200),
            ("/health/ready", 200),
            ("/admin/status", 401),
            ("/metrics", 401),
            ("/", 401),
        ):
            assert (await fleet.get(path))[0] == status


async def test_the_longest_idle_connection_makes_room_and_no_more_than_the_bound_are_held(
    fleet: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    opened = [await asyncio.open_connection(fleet.server.host, fleet.server.port) for _ in range(12)]
    await asyncio.sleep(0.2)
    ended = []
    for reader, _ in opened:
        try:
            async with asyncio.timeout(0.05):
                ended.append(await reader.read() == b"")
        except ConnectionError:
            ended.append(True)
        except TimeoutError:
            ended.append(False)
    assert ended == [True] * 7 + [False] * 5
    for _, writer in opened:
        writer.close()
