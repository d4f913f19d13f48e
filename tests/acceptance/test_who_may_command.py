"""The real service and the real command line: tokens with and without it, socket, TLS, one effect a key, stop, deadman."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from tests.acceptance.service_process import READY_SECS, Fleet, prepared_fleet, until
from tests.certificates import Authority
from tests.findings import nothing
from tests.hostile.canaries import Canaries

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.3], indirect=True)]


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Two wallets, reached over a socket."""
    fleet = await prepared_fleet(chain, tmp_path / "f", wallets=2, chain__block_time_secs=0.3)
    fleet.settings["admin.socket"] = "admin.sock"
    return fleet


async def run(fleet: Fleet, *arguments: str, **environ: str) -> Result:
    """A command, in a thread of the test: starting a process for each takes most of their time."""
    asked = ["--config", str(fleet.config), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, asked, env={**fleet.environ({}), **environ})


async def answer(fleet: Fleet, *arguments: str, code: int = 0, **environ: str) -> dict[str, Any]:
    """What a command says, as JSON; its error where there is none."""
    result = await run(fleet, *arguments, **environ)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    found = json.loads(result.stdout) if result.stdout else {"error": result.stderr}
    assert isinstance(found, dict)
    return found


async def answers(fleet: Fleet, *more: str) -> None:
    """Wait until the service answers to `status`."""

    async def look() -> bool:
        return (await run(fleet, "status", "--json", *more)).exit_code == 0

    await until(look, "the service answers", READY_SECS)


def listening(pid: int) -> list[str]:
    """Where a process listens on the network: its sockets that are in state 0A of /proc."""
    sockets = {os.readlink(it) for it in Path(f"/proc/{pid}/fd").iterdir() if it.is_symlink()}
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
    ]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


async def test_tokens_are_made_before_the_first_start_used_and_ended(fleet: Fleet) -> None:
    """The first token by command on the log alone; a second one over the socket; both in the running service; both ended."""
    made = await answer(fleet, "admin", "token", "create", "ada", "--role", "operator", "--json")
    ada = str(made["token"])
    async with fleet.service() as service:
        await service.ready()
        url, token = ("--url", service.url), {"GHOST_FLEET_ADMIN_TOKEN": ada}
        assert "401" in str((await answer(fleet, "pause", "--json", *url, code=5))["error"])
        assert (await answer(fleet, "pause", "--json", *url, **token))["actor"] == "ada"
        made = await answer(
            fleet, "admin", "token", "create", "bob", "--expires", "1h", "--reason", "on call", "--json"
        )
        bob = str(made["token"])
        listed = await answer(fleet, "admin", "token", "list", "--json", *url, GHOST_FLEET_ADMIN_TOKEN=bob)
        assert [(it["name"], it["role"], it["created_by"]) for it in listed["tokens"]] == [
            ("ada", "operator", "local"), ("bob", "viewer", "local")
        ]  # fmt: skip
        await answer(fleet, "admin", "token", "revoke", "bob", "--json", *url, **token)
        await answer(fleet, "status", "--json", *url, code=5, GHOST_FLEET_ADMIN_TOKEN=bob)
        (fleet.directory / "admin.sock").unlink()
        told = str((await answer(fleet, "admin", "token", "create", "eve", code=3))["error"])
        assert f"process {service.pid} on " in told, "one that runs and cannot be reached is not gone around"
        assert await service.terminate() == 0
        output = service.output
    await answer(fleet, "admin", "token", "revoke", "ada", "--reason", "left", "--json")
    listed = await answer(fleet, "admin", "token", "list", "--json")
    assert listed["tokens"] == []
    commands = [
        (it.event.command, it.event.actor, it.event.remote, it.event.target, it.event.reason)  # type: ignore[attr-defined]
        for it in await fleet.recorded(ev.AdminCommandReceived)
    ]
    assert commands == [
        ("create_token", "local", "offline", "ada", ""), ("pause", "ada", "127.0.0.1", "", ""),
        ("create_token", "local", f"unix:{os.getuid()}", "bob", "on call"), ("revoke_token", "ada", "127.0.0.1", "bob", ""),
        ("revoke_token", "local", "offline", "ada", "left"),
    ]  # fmt: skip
    assert (await run(fleet, "audit", "verify")).exit_code == 0
    files = [it.read_bytes() for it in fleet.directory.glob("ghostfleet.db*")]
    heard = Canaries({"ada": ada.encode(), "bob": bob.encode()})
    nothing(name for text in (*files, output.encode()) for name in heard.heard_in(text))


async def test_a_key_means_the_same_command_before_and_after_a_crash_and_without_the_service(fleet: Fleet) -> None:
    create = ("admin", "token", "create", "ada", "--expires", "30d", "--json", "--idempotency-key", "for-ada")
    async with fleet.service() as service:
        await service.ready()
        first = await answer(fleet, *create)
        pause = await answer(fleet, "pause", "--json", "--idempotency-key", "night", "--reason", "r")
        await answer(fleet, "resume", "--json")
        await service.kill()
    assert (fleet.directory / "admin.sock").exists(), "what a crash leaves behind is in nobody's way"
    again = await answer(fleet, *create)
    assert again["token"] is None
    assert (again["position"], again["request_id"]) == (first["position"], first["request_id"])
    async with fleet.service() as service:
        await service.ready()
        repeated = await answer(fleet, "pause", "--json", "--idempotency-key", "night", "--reason", "r")
        assert (repeated["position"], repeated["paused"]) == (pause["position"], False)
        told = str((await answer(fleet, "stop", "--idempotency-key", "night", code=5))["error"])
        assert "came with another command" in told
        await service.terminate()
    assert len(await fleet.recorded(ev.AdminTokenCreated)) == len(await fleet.recorded(ev.FleetPaused)) == 1


async def test_stop_returns_when_the_process_is_gone_also_where_nothing_listens_on_the_network(fleet: Fleet) -> None:
    """EP-001, over the socket alone."""
    fleet.settings["admin.port"] = 0
    async with fleet.service(settings={"admin.port": 0}) as service:
        await answers(fleet)
        assert not listening(service.pid)
        finished = await fleet.command("stop", "--reason", "the disk is replaced", "--json")
        assert (finished.lines[0]["status"], finished.lines[0]["pid"]) == ("stopping", service.pid)
        assert await service.ended(1) == 0
        assert not (fleet.directory / "admin.sock").exists()
    assert [it.event.reason for it in await fleet.recorded(ev.ServiceStopped)] == [  # type: ignore[attr-defined]
        "asked to stop by local: the disk is replaced"
    ]
    assert "no service at" in str((await answer(fleet, "stop", code=4))["error"])


async def test_the_commands_speak_https_with_the_settings_own_certificate(fleet: Fleet, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("fleet.example", extensions="subjectAltName=DNS:fleet.example")
    other, _ = authority.issue("other")
    client = tmp_path / "client.pem"
    client.write_bytes(
        b"".join(it.read_bytes() for it in authority.issue("op", extensions="extendedKeyUsage=clientAuth"))
    )
    fleet.settings.pop("admin.socket")
    fleet.settings |= {"admin.tls_cert": str(cert), "admin.tls_key": str(key)}
    async with fleet.service() as service:
        port = int(service.url.rpartition(":")[2])
        fleet.settings["admin.port"] = port
        await answers(fleet)
        assert (await answer(fleet, "pause", "--json"))["paused"] is True
        assert (await run(fleet, "health")).exit_code == 0
        told = str((await answer(fleet, "status", "--url", f"http://127.0.0.1:{port}", code=5))["error"])
        assert "speaks https" in told
        told = str((await answer(fleet, "status", "--url", f"https://127.0.0.1:{port}", code=4))["error"])
        assert "--ca FILE" in told
        fleet.settings["admin.tls_cert"] = str(other)
        assert "certificate" in str((await answer(fleet, "status", code=4))["error"])
        await service.terminate()
    fleet.settings |= {"admin.tls_cert": str(cert), "admin.tls_client_ca": str(authority.cert)}
    async with fleet.service() as service:
        fleet.settings["admin.port"] = int(service.url.rpartition(":")[2])
        with_client = ("--client-cert", str(client))
        await answers(fleet, *with_client)
        await answer(fleet, "resume", code=4)
        assert (await answer(fleet, "resume", "--json", *with_client))["paused"] is False
        await service.terminate()


@pytest.mark.long
async def test_without_an_operator_the_fleet_pauses_itself_also_after_a_restart(fleet: Fleet) -> None:
    """EP-001: nobody checks in for 3 seconds."""
    fleet.settings |= {"safety.deadman_hours": 3 / 3600, "admin.port": 0}
    same: dict[str, object] = {"admin.port": 0}  # other settings at a start would be a sign of life
    async with fleet.service(settings=same) as service:
        await answers(fleet)
        await fleet.see(ev.FleetPaused)
        assert (await run(fleet, "health", "--ready")).exit_code == 0
        connector = aiohttp.UnixConnector(str(fleet.directory / "admin.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://localhost/metrics") as told,
        ):
            assert "ghost_fleet_deadman_seconds_left -" in await told.text()
        await answer(fleet, "resume", "--json")
        await fleet.see(ev.FleetPaused, count=2)
        await answer(fleet, "resume", "--json")
        await service.kill()
    await asyncio.sleep(3)
    head = await fleet.head()
    async with fleet.service(settings=same) as service:
        await fleet.see(ev.FleetPaused, count=3)
        await service.terminate()
    assert [it.event.actor for it in await fleet.recorded(ev.FleetPaused)] == ["deadman"] * 3  # type: ignore[attr-defined]
    assert [it for it in await fleet.recorded(ev.ActionDecided) if it.position > head] == []
