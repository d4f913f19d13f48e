"""status, pause, resume and reset reach the running service, and say so when they do not."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ServerDisconnectedError, web
from typer.testing import CliRunner

from ghostfleet.cli.client import _reason
from ghostfleet.cli.main import app

TOKEN = "canary-token"


class Service:
    """The admin routes as docs/http.md has them, noting what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, object]] = []
        self.needs_token = False
        self.wallets = 1
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text() or "null")
        self.asked.append((request.method, request.path, body))
        if self.needs_token and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response(
                {"title": "Unauthorized", "status": 401, "detail": "this needs a token"}, status=401
            )
        if request.path == "/admin/status":
            return web.json_response({"paused": False, "wallets": self._wallets()})
        if request.path.endswith("/nobody"):
            return web.json_response({"title": "Not Found", "status": 404, "detail": "no wallet nobody"}, status=404)
        if request.path == "/admin/resume":
            return web.Response(text="<html>", content_type="text/html")
        return web.json_response({"paused": True})

    def _wallets(self) -> list[dict[str, str]]:
        return [{"id": f"wallet-{number:03}", "breaker": "closed"} for number in range(1, self.wallets + 1)]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    for name in ("GHOST_FLEET_CONFIG", "CONFIG_PATH", "GHOST_FLEET_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    server = web.Application()
    server.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = runner.addresses[0][1]
    yield service
    await runner.cleanup()


async def run(*arguments: str):
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


def url(service: Service) -> tuple[str, str]:
    return ("--url", f"http://127.0.0.1:{service.port}")


async def test_status_for_people_and_as_json(service):
    people = await run("status", *url(service))
    assert people.exit_code == 0
    assert "paused: false" in people.stdout
    assert "wallet-001" in people.stdout
    machine = await run("status", *url(service), "--json")
    assert json.loads(machine.stdout)["wallets"][0]["breaker"] == "closed"


async def test_an_answer_that_comes_in_many_pieces_is_read_to_its_end(service):
    """A thousand wallets and more: some hundred kilobytes."""
    service.wallets = 20_000
    found = await run("status", *url(service), "--json")
    assert len(json.loads(found.stdout)["wallets"]) == service.wallets


async def test_a_command_carries_its_reason(service):
    result = await run("pause", *url(service), "--reason", "fire")
    assert result.exit_code == 0
    assert service.asked == [("POST", "/admin/pause", {"reason": "fire"})]


async def test_pause_finds_the_service_though_the_settings_are_half_edited(service, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(f"[service]\nhealth_port = 1\n[admin]\nport = {service.port}\n[chain]\nnonsense = 1\n[[wallets]]\n")
    result = await run("--config", str(path), "pause")
    assert result.exit_code == 0, result.stderr
    assert service.asked[0][1] == "/admin/pause"


async def test_a_token_goes_with_the_request_and_nowhere_else(service, monkeypatch):
    service.needs_token = True
    refused = await run("pause", *url(service))
    assert refused.exit_code == 5
    assert "refused (401): this needs a token; put a token into $GHOST_FLEET_ADMIN_TOKEN" in refused.stderr
    monkeypatch.setenv("OTHER", TOKEN)
    granted = await run("pause", *url(service), "--token-env", "OTHER")
    assert granted.exit_code == 0
    assert TOKEN not in granted.output


async def test_a_refusal_is_in_the_words_of_the_service(service):
    result = await run("reset", "nobody", *url(service))
    assert result.exit_code == 5
    assert "no wallet nobody" in result.stderr


async def test_a_wallet_with_strange_letters_stays_one_wallet(service):
    await run("reset", "../pause", *url(service))
    assert service.asked[0][1] == "/admin/reset/../pause"


async def test_something_else_on_that_port(service):
    result = await run("resume", *url(service))
    assert result.exit_code == 4
    assert "not Ghost Fleet" in result.stderr


async def test_nobody_there():
    result = await run("status", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 1
    assert "no service at http://127.0.0.1:1/admin/status: Connection refused; is it running" in result.stderr


async def test_nobody_on_the_socket(tmp_path):
    (tmp_path / "config.toml").write_text('[admin]\nsocket = "here.sock"\n')
    result = await run("--config", str(tmp_path / "config.toml"), "status")
    assert result.exit_code == 4
    assert f"{tmp_path}/here.sock: No such file or directory; is it running" in result.stderr


async def test_an_interface_that_is_turned_off(tmp_path):
    (tmp_path / "config.toml").write_text("[service]\nhealth_port = 0\n")
    result = await run("status")
    assert result.exit_code == 2
    assert "health_port = 0" in result.stderr


async def test_a_reason_that_is_not_utf_8_does_not_keep_a_pause_from_being_asked(service):
    """As a terminal in Latin-1 gives it: Python passes the byte of an umlaut on as a lone surrogate."""
    result = await run("pause", *url(service), "--reason", "gas f\udcfcr nothing")
    assert result.exit_code == 0, result.stderr
    assert service.asked == [("POST", "/admin/pause", {"reason": "gas f\ufffdr nothing"})]


async def test_other_words_that_are_not_utf_8_are_refused_and_not_a_fault(service):
    result = await run("admin", "token", "create", "f\udcfcr", *url(service))
    assert (result.exit_code, service.asked) == (2, [])
    assert "not UTF-8" in result.stderr


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " "])
async def test_a_token_may_come_with_the_line_break_of_its_file(service, monkeypatch, end):
    service.needs_token = True
    monkeypatch.setenv("GHOST_FLEET_ADMIN_TOKEN", TOKEN + end)
    assert (await run("pause", *url(service))).exit_code == 0


async def test_what_cannot_be_a_token_is_told_and_is_no_service_that_is_down(service, monkeypatch):
    monkeypatch.setenv("GHOST_FLEET_ADMIN_TOKEN", f"{TOKEN}\n{TOKEN}")
    result = await run("pause", *url(service))
    assert (result.exit_code, service.asked) == (2, [])
    assert "$GHOST_FLEET_ADMIN_TOKEN has characters in it" in result.stderr
    assert TOKEN not in result.output


async def test_a_key_that_the_service_would_not_take_is_bad_input(service):
    result = await run("pause", *url(service), "--idempotency-key", "a\nb")
    assert (result.exit_code, service.asked) == (2, [])
    assert "--idempotency-key: a key is 1 to 128 letters" in result.stderr


@pytest.mark.parametrize(
    "wrong", ["127.0.0.1:8080", "ftp://h", "http://", "http://[::1", "http://h:99999", "http://h:x"]
)
async def test_an_address_that_is_none_is_bad_input(wrong):
    result = await run("status", "--url", wrong)
    assert result.exit_code == 2
    assert "--url has to be http:// or https://" in result.stderr


async def test_a_password_in_an_address_is_refused_and_not_shown():
    result = await run("status", "--url", "http://ada:canary-word@127.0.0.1:1")
    assert result.exit_code == 2
    assert "canary-word" not in result.output


def test_a_service_that_hangs_up_on_tls_may_want_a_certificate():
    """With `tls_client_ca` the connection ends after the handshake, and not because nobody is there."""
    assert "--client-cert" in _reason(ServerDisconnectedError(), "https://127.0.0.1:8080/admin/status")
    assert "is it running" in _reason(ServerDisconnectedError(), "http://127.0.0.1:8080/admin/status")
