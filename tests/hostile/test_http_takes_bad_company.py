"""The running service among smugglers, floods and web pages of others: it refuses, answers everybody else,
and goes on acting."""

import asyncio
import contextlib
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from schemathesis import GenerationMode

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.process import Devnet
from ghostfleet.domain import events as ev
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet
from tests.integration.http.interrogation import interrogate

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.3], indirect=True)]
ANSWER_SECS = 60.0
QUIET_SECS = 1.0
AT_ONCE = 40
EXAMPLES = 5
"""Of each operation and mode here; against the application alone there are more of them."""
ENDS_IT = ("/admin/stop",)
"""It does what it is asked: test_who_may_command asks it."""
SLOW_CLIENTS = 20
"""Of each kind."""
PROMPT_SECS = 5.0
"""What two answers take at the very most, on a machine that has other things to do."""
EVIL = b"evil.example"


@pytest.fixture
async def fleet(anvil: Devnet, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with connected(anvil.url) as chain:
        yield await prepared_fleet(chain, tmp_path / "fleet", wallets=3, chain__block_time_secs=0.3)


@contextlib.asynccontextmanager
async def unmoved(fleet: Fleet) -> AsyncIterator[ServiceProcess]:
    """The service; afterwards nobody has paused it, it has nothing to complain of, and its wallets act."""
    async with fleet.service("--log-level", "debug") as service:
        await service.ready()
        await fleet.acted(1)
        yield service
        await fleet.acted(1)
        assert await fleet.recorded(ev.FleetPaused, ev.FleetResumed) == []
        for word in ("Traceback", "Task exception", "failed", "ERROR"):
            assert word not in service.output, service.output[-3000:]
        assert await service.terminate() == 0


def port_of(service: ServiceProcess) -> int:
    return int(service.url.rpartition(":")[2])


async def said(service: ServiceProcess, request: bytes) -> bytes:
    """All that the service answers until it closes, or is silent after its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(service))
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(request.replace(b"HOST", b"127.0.0.1:%d" % port_of(service)))
        await writer.drain()
        while True:
            async with asyncio.timeout(QUIET_SECS if answer else ANSWER_SECS):
                piece = await reader.read(65536)
            if not piece:
                break
            answer += piece
    writer.close()
    return answer


def status(answer: bytes) -> int:
    """0 where the connection was closed without a word."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


def pausing(*headers: bytes, body: bytes = b"", target: bytes = b"/admin/pause", method: bytes = b"POST") -> bytes:
    """A request to pause; whether it was obeyed stands in the log."""
    lines = [method + b" " + target + b" HTTP/1.1", *headers]
    if not any(it.lower().startswith(b"host:") for it in headers):
        lines.insert(1, b"Host: HOST")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


SMUGGLED = b"POST /admin/pause HTTP/1.1\r\nHost: HOST\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLING = [
    pausing(CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Content-Length: 5", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Content-Length: 0", b"Content-Length: 44", body=SMUGGLED),
    pausing(b"Content-Length: 44, 0", body=SMUGGLED),
    pausing(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(CHUNKED, CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Content-Length : 5", body=b"0\r\n\r\n" + SMUGGLED),
    pausing(b"Content_Length: 5", b"Content-Length: 1e1", body=SMUGGLED),
    pausing(b"Content-Length: 0x5", body=SMUGGLED),
    pausing(b"Content-Length: \xd9\xa5", body=SMUGGLED),
    pausing(b"Content-Length: " + b"9" * 5000, body=SMUGGLED),
    pausing(b"Content-Length: " + b"9" * 20, body=SMUGGLED),
    *(
        pausing(CHUNKED, body=size + b"\r\n" + SMUGGLED)
        for size in (b"zz", b"-1", b"0x5", b"+5", b"5 5", b"", b"f" * 17, b"5;" + b"a" * 20_000, b"\xd9\xa5", b"1_0")
    ),
    pausing(CHUNKED, body=b"1\r\n{" + SMUGGLED),
    pausing(CHUNKED, body=b"5\r\n{}\r\n\r\n0\r\n\r\n" + b"X: " + b"a" * 20_000),
    pausing(b"Host: HOST\r\n " + EVIL),
    pausing(b" Host: HOST"),
    pausing(b"X\x00: a"),
    pausing(b"X: a\x00"),
    pausing(b"X: a\rHost: " + EVIL),
    pausing(b": nameless"),
    pausing(b"Expect: 200-ok, no", b"Content-Length: 99999999"),
]
OTHER_PEOPLE = [
    *(
        pausing(b"Host: " + host)
        for host in (
            EVIL, b"127.0.0.1." + EVIL, b"localhost." + EVIL, b"127.0.0.1@" + EVIL, EVIL + b"#@127.0.0.1",
            b"0.0.0.0", b"127.1",
            b"2130706433", b"0x7f000001", b"[::ffff:127.0.0.1]", b"[::]", b"localhost:99999", b"localhost:",
            b"localhost:80:80",
            b"", b"localhost,evil", b"localhost " + EVIL, b"localhost%00", b"xn--lcalhost-54a", b"//localhost",
            b"\xe2\x80\xa8localhost",
        )
    ),
    pausing(b"Host: HOST", b"Host: HOST"),
    b"POST /admin/pause HTTP/1.0\r\n\r\n",
    b"POST /admin/pause HTTP/1.0\r\nHost: HOST\r\n\r\n",
    b"POST /admin/pause HTTP/1.1\r\n\r\n",
    pausing(b"X-Forwarded-Host: HOST", b"X-Forwarded-For: 127.0.0.1", b"Host: " + EVIL),
    pausing(b"X-Forwarded-For: 127.0.0.1"),
    pausing(b"Forwarded: for=127.0.0.1;host=localhost"),
    *(
        pausing(b"Origin: " + origin)
        for origin in (
            b"http://" + EVIL, b"null", b"http://HOST." + EVIL, b"https://localhost", b"http://localhost:1",
            b"file://", b"",
            b"http://HOST@" + EVIL, b"http://HOST/", b"http://HOST http://" + EVIL, b"chrome-extension://abc", b"HOST",
        )
    ),
    pausing(b"Origin: http://HOST", b"Origin: http://" + EVIL),
    *(
        pausing(b"Sec-Fetch-Site: " + site)
        for site in (b"cross-site", b"same-site", b"CROSS-SITE", b"cross-site, none", b"")
    ),
    pausing(b"Authorization: Bearer x"),
    pausing(b"Authorization: Basic Og=="),
    pausing(b"Authorization: "),
]  # fmt: skip
TRICKS = [
    *(
        pausing(target=target)
        for target in (
            b"//admin/pause", b"/admin//pause", b"/admin/./pause", b"/admin/../admin/pause", b"/x/../admin/pause",
            b"/admin/pause/",
            b"/%2e%2e/admin/pause", b"/%2e/admin/pause", b"/admin/pause%00", b"/admin/pause%20", b"/admin/pause;x=1",
            b"/admin;/pause",
            b"/admin%2fpause", b"/admin%2Fpause", b"/admin%5cpause", b"/admin\\pause", b"/admin/pause#x",
            b"/ADMIN/PAUSE", b"/Admin/pause",
            b"/admin/pause%0d%0aX: y", b"/admin/pause%3f", b"/admin%252fpause", b"/%c0%ae/admin/pause",
            b"/admin/pau%73e", b"admin/pause",
            b"http://HOST/admin/pause", b"http://evil.example/admin/pause", b"*", b"/", b"/admin",
            b"/admin/pause?token=x",
            b"/admin/reset/%2e%2e%2fpause", b"/admin/reset/..%2fpause", b"/admin/reset/../pause",
            b"/audit/wallets/..%2f..%2fadmin%2fpause",
            b"/admin/reset/" + b"a" * 8000, b"/admin/reset/%00", b"/admin/reset/%ff%fe",
            b"/admin/reset/%F0%9F%91%BB", b"/" + b"%2e" * 4000,
        )
    ),
    *(
        pausing(method=method)
        for method in (b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"post", b"POST1", b"X" * 9000)
    ),
    pausing(method=b"CONNECT", target=b"evil.example:443"),
    pausing(b"X-HTTP-Method-Override: POST", method=b"GET"),
    pausing(b"X-Original-URL: /admin/pause", target=b"/health"),
    b"POST /admin/pause HTTP/0.9\r\nHost: HOST\r\n\r\n",
    b"POST /admin/pause HTTP/2.0\r\nHost: HOST\r\n\r\n",
    b"POST /admin/pause HTTP/1.1.1\r\nHost: HOST\r\n\r\n",
    b"POST /admin/pause\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\x00" * 5000,
    b"\r\n" * 5000,
    b"*1\r\n$4\r\nPING\r\n",
]  # fmt: skip
BODIES = [
    pausing(b"Content-Length: 16385", body=b"{" * 16385),
    pausing(b"Content-Length: 99999999999", body=b"{"),
    pausing(CHUNKED, body=b"4000\r\n" + b"a" * 0x4000 + b"\r\n" + b"4000\r\n" + b"a" * 0x4000 + b"\r\n0\r\n\r\n"),
    *(
        pausing(b"Content-Length: %d" % len(body), body=body)
        for body in (
            b"[" * 9000, b'{"a":' * 3000, b'{"reason": ' + b"1" * 9000 + b"}", b'{"reason": 1e999}',
            b'{"reason": "\\ud800"}', b"\xff\xfe{}",
            b'{"reason": NaN}', b'{"reason": "' + b"a" * 501 + b'"}', b'{"reason": null, "x": 1}', b'"pause"', b"[]",
            b"0", b"reason=x", b"\x00",
            b'{"reason": "a"', b'{"reason": ["a"]}', b'{"reason": "\x01"}',
        )
    ),
]  # fmt: skip


async def test_nobody_is_obeyed_who_should_not_be(fleet: Fleet) -> None:
    """Every one of these asks for a pause, or hides such a request inside of another one."""
    refused = (*SMUGGLING, *OTHER_PEOPLE, *TRICKS, *BODIES)
    wrong = []
    async with unmoved(fleet) as service:
        for start in range(0, len(refused), AT_ONCE):
            requests = refused[start : start + AT_ONCE]
            answers = await asyncio.gather(*(said(service, it) for it in requests))
            wrong += [
                (it[:200], answer[:100]) for it, answer in zip(requests, answers, strict=True) if not fits(it, answer)
            ]
        assert wrong == []
        assert (await service.get("/admin/status"))["paused"] is False


@pytest.mark.timeout(900)
async def test_no_question_that_its_document_allows_or_forbids_moves_the_running_service(fleet: Fleet) -> None:
    """schemathesis, all checks, against the process: right questions and wrong ones, by somebody who may command."""
    async with fleet.service("--log-level", "debug") as service:
        await service.ready()
        await fleet.acted(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                assert await asyncio.to_thread(interrogate, service.url, None, mode, EXAMPLES, but=ENDS_IT) > 20
        assert (await service.get("/health"))["status"] == "healthy"
        for word in ("Traceback", "Task exception", "ERROR"):
            assert word not in service.output, service.output[-3000:]
        assert await service.terminate() == 0
    assert (await fleet.command("audit", "verify")).code == 0


async def test_a_thousand_idle_connections_and_slow_clients_hold_up_nobody(fleet: Fleet) -> None:
    """Those that say nothing, those that drip, those that never read: everybody else is answered, and wallets act."""
    async with unmoved(fleet) as service, asyncio.TaskGroup() as group:
        idle = [await asyncio.open_connection("127.0.0.1", port_of(service)) for _ in range(1000)]
        clients = [
            group.create_task(behave(service))
            for behave in (drips_a_head, drips_a_body, never_reads)
            for _ in range(SLOW_CLIENTS)
        ]
        for _ in range(20):
            before = time.monotonic()
            assert (await service.get("/health"))["status"] == "healthy"
            assert len((await service.get("/admin/status"))["wallets"]) == 3
            assert time.monotonic() - before < PROMPT_SECS
            await asyncio.sleep(0.2)
        await fleet.acted(2)
        for client in clients:
            client.cancel()
        for _, writer in idle:
            writer.transport.abort()


async def drips_a_head(service: ServiceProcess) -> None:
    """A request that never ends, again as soon as it is cut off."""
    await _keeps_writing(service, b"GET /health HTTP/1.1\r\nHost: HOST\r\n", b"X: y\r\n")


async def drips_a_body(service: ServiceProcess) -> None:
    await _keeps_writing(service, pausing(b"Content-Length: 9000"), b"{")


async def never_reads(service: ServiceProcess) -> None:
    """Asks for the largest page, again and again."""
    await _keeps_writing(service, b"", b"GET /openapi.json HTTP/1.1\r\nHost: HOST\r\n\r\n")


async def _keeps_writing(service: ServiceProcess, start: bytes, drop: bytes) -> None:
    host = b"127.0.0.1:%d" % port_of(service)
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(service), limit=2**10)
            try:
                writer.write(start.replace(b"HOST", host))
                while not writer.is_closing():
                    await asyncio.sleep(0.1)
                    writer.write(drop.replace(b"HOST", host))
                    await writer.drain()
            finally:
                writer.transport.abort()


def fits(request: bytes, answer: bytes) -> bool:
    """Refused, by an answer or by closing the connection."""
    return status(answer) in (0, 505, *range(400, 500)) or (is_harmless(request) and status(answer) == 200)


def is_harmless(request: bytes) -> bool:
    """Asks for nothing but a page."""
    return request.split(b" ")[0] in (b"GET", b"HEAD", b"OPTIONS")
