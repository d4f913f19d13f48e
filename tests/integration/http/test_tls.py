"""HTTPS over real sockets: who is let in, and that a client who never finishes its handshake holds nothing."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fleet_over_http import Running, running

from ghostfleet.config.loaded import Tls
from ghostfleet.config.tls_files import pinning
from ghostfleet.http import handshake
from ghostfleet.http.server import serving
from tests.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Tls:
    cert, key = authority.issue("localhost")
    return Tls(cert=cert, key=key)


@pytest.fixture
async def secured(log: Any, own: Tls) -> AsyncIterator[Running]:
    async with running(log, tls=own) as fleet:
        yield fleet


async def asked(url: str, trust: ssl.SSLContext) -> int:
    async with aiohttp.ClientSession() as session, session.post(url + "/admin/pause", ssl=trust) as answer:
        await answer.read()
        return answer.status


async def test_it_answers_who_trusts_the_authority_or_the_very_certificate(
    secured: Running, own: Tls, authority: Authority
) -> None:
    assert secured.server.url.startswith("https://127.0.0.1:")
    assert await asked(secured.server.url, ssl.create_default_context(cafile=authority.cert)) == 200
    assert await asked(secured.server.url, pinning(own.cert)) == 200
    assert await asked(secured.server.url.replace("127.0.0.1", "localhost"), pinning(own.cert)) == 200


async def test_curl_speaks_to_it(secured: Running, authority: Authority) -> None:
    curl = ["curl", "-s", "--cacert", str(authority.cert), f"https://localhost:{secured.server.port}/health"]
    done = await asyncio.to_thread(subprocess.run, curl, capture_output=True, timeout=20)
    assert b'"healthy"' in done.stdout


async def test_a_slow_client_gets_all_of_a_long_answer(own: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the connection ends with it: what was said before the end is still taken, however long that takes."""
    looked = asyncio.Event()
    look = handshake.Handshake._check_shutdown_timeout
    monkeypatch.setattr(handshake, "SHUTDOWN_SECS", 0.01)
    monkeypatch.setattr(handshake.Handshake, "_check_shutdown_timeout", lambda it: (look(it), looked.set()))
    octets = 16 * 2**20

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": bytes(octets)})

    async with serving(app, "127.0.0.1", 0, tls=own) as served:
        reader, writer = await asyncio.open_connection(served.host, served.port, ssl=pinning(own.cert), limit=2**10)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await looked.wait()
        assert len(await reader.read()) > octets
        writer.close()


async def test_another_certificate_of_the_same_authority_is_not_this_service(
    secured: Running, authority: Authority
) -> None:
    other, _ = authority.issue("other")
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await asked(secured.server.url, pinning(other))


async def test_plain_http_is_told_that_https_is_spoken_here(secured: Running) -> None:
    answered = await secured.raw(b"POST /admin/pause HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"speaks https" in answered
    assert secured.service.state.fleet.paused is None


async def test_old_versions_of_tls_are_not_spoken(secured: Running, own: Tls) -> None:
    old = pinning(own.cert)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(aiohttp.ClientError):
        await asked(secured.server.url, old)


async def test_with_an_authority_of_clients_only_they_get_through(log: Any, own: Tls, authority: Authority) -> None:
    stranger = Authority(own.cert.parent / "strangers")
    async with running(log, tls=Tls(cert=own.cert, key=own.key, client_ca=authority.cert)) as fleet:
        without, of_ours, of_others = (pinning(own.cert) for _ in range(3))
        of_ours.load_cert_chain(*authority.issue("operator", extensions="extendedKeyUsage=clientAuth"))
        of_others.load_cert_chain(*stranger.issue("operator", extensions="extendedKeyUsage=clientAuth"))
        assert await asked(fleet.server.url, of_ours) == 200
        for refused in (without, of_others):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await asked(fleet.server.url, refused)


async def test_a_client_that_never_finishes_its_handshake_is_cut_off(
    secured: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECS", 0.3)
    for start in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        assert await secured.raw(start, wait_secs=3) == b""


async def test_handshakes_under_way_lock_nobody_out(
    secured: Running, own: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "MAX_HANDSHAKES", 20)
    held = [await asyncio.open_connection("127.0.0.1", secured.server.port) for _ in range(60)]
    try:
        assert await asked(secured.server.url, pinning(own.cert)) == 200
        ended = 0
        for reader, _ in held:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                    ended += 1
        assert ended >= 40
    finally:
        for _, writer in held:
            writer.close()


async def test_the_port_is_free_again_after_it(log: Any, own: Tls) -> None:
    for _ in range(2):
        async with running(log, tls=own) as fleet:
            assert await asked(fleet.server.url, pinning(own.cert)) == 200


def test_the_key_stays_out_of_what_is_shown(own: Tls) -> None:
    secret = Path(own.key).read_text().splitlines()[1]
    assert secret not in repr(own)
