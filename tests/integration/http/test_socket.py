"""The Unix socket: who may open it, whom the log names, and what happens to one that a crash left behind."""

import asyncio
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from fleet_over_http import OPERATOR, TOKENS, VIEWER, Running, admin_settings, running
from starlette.applications import Starlette

from ghostfleet.domain import events as ev
from ghostfleet.http.server import CannotListen, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


async def over(path: Path, method: str, target: str, **headers: str) -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(
            method, "http://localhost" + target, headers={it.replace("_", "-"): headers[it] for it in headers}
        ) as answer,
    ):
        content = await answer.read()
        return answer.status, msgspec.json.decode(content) if content.startswith(b"{") else content


async def pauses(fleet: Running) -> list[Any]:
    return [each.event async for each in fleet.log.read() if isinstance(each.event, ev.AdminCommandReceived)]


async def test_who_may_open_it_may_command_and_is_named_by_his_number(log: Any, path: Path) -> None:
    async with running(log, admin_settings(tokens=TOKENS), socket_path=path) as fleet:
        assert (await over(path, "POST", "/admin/pause"))[0] == 200
        assert (await fleet.post("/admin/pause"))[0] == 401, "the port goes on asking for a token"
        command = (await pauses(fleet))[-1]
        assert (command.actor, command.remote) == ("local", f"unix:{os.getuid()}")
        assert (await over(path, "GET", "/admin/status"))[1]["paused"] is True


async def test_a_credential_that_is_presented_over_it_has_to_be_right_all_the_same(log: Any, path: Path) -> None:
    async with running(log, admin_settings(tokens=TOKENS), socket_path=path):
        assert (await over(path, "POST", "/admin/pause", Authorization="Bearer guess"))[0] == 401
        assert (await over(path, "POST", "/admin/pause", Authorization=f"Bearer {VIEWER}"))[0] == 403
        assert (await over(path, "POST", "/admin/pause", Authorization=f"Bearer {OPERATOR}"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
async def test_the_other_rules_hold_over_it_too(log: Any, path: Path, headers: dict[str, str]) -> None:
    async with running(log, socket_path=path) as fleet:
        assert (await over(path, "POST", "/admin/pause", **headers))[0] in (401, 403)
        assert fleet.service.state.fleet.paused is None


async def test_it_asks_for_a_token_where_the_settings_want_one_everywhere(log: Any, path: Path) -> None:
    settings = admin_settings(tokens=TOKENS, require_token_on_loopback=True)
    async with running(log, settings, socket_path=path):
        assert (await over(path, "POST", "/admin/pause"))[0] == 401


async def test_curl_speaks_to_it(log: Any, path: Path) -> None:
    async with running(log, socket_path=path) as fleet:
        curl = ["curl", "-s", "--unix-socket", str(path), "-X", "POST", "http://localhost/admin/pause"]
        done = await asyncio.to_thread(subprocess.run, curl, capture_output=True, timeout=20)
        assert b'"paused":true' in done.stdout
        assert fleet.service.state.fleet.paused is not None


@pytest.mark.parametrize("mode", [0o600, 0o660])
async def test_it_has_its_mode_from_the_first_moment_and_is_gone_at_the_end(log: Any, path: Path, mode: int) -> None:
    async with running(log, socket_path=path, socket_mode=mode):
        found = path.stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode
    assert not path.exists()


async def test_one_that_a_crash_left_behind_is_replaced(log: Any, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen(1)
    assert path.exists()
    async with running(log, socket_path=path):
        assert (await over(path, "GET", "/health"))[0] == 200


async def test_one_that_somebody_listens_on_is_left_alone(log: Any, path: Path) -> None:
    async with running(log, socket_path=path):
        with pytest.raises(CannotListen, match="another process listens on the socket"):
            async with serving(Starlette(), "127.0.0.1", 0, socket_path=path):
                pass
        assert (await over(path, "GET", "/health"))[0] == 200


async def test_one_whose_listener_takes_nobody_more_is_alive_too(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(str(path))
        with pytest.raises(CannotListen, match="another process"):
            async with serving(Starlette(), None, 0, socket_path=path):
                pass
        assert path.exists()
        for each in waiting:
            each.close()


async def test_a_file_of_another_kind_is_not_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(CannotListen, match="is no socket"):
        async with serving(Starlette(), None, 0, socket_path=path):
            pass
    assert path.read_text() == "precious"


async def test_a_place_where_none_can_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"No such file or directory; see \[admin\] socket"):
        async with serving(Starlette(), None, 0, socket_path=tmp_path / "no" / "admin.sock"):
            pass


async def test_another_ones_socket_that_came_in_its_place_is_not_removed_at_the_end(path: Path) -> None:
    async with serving(Starlette(), None, 0, socket_path=path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.exists()


async def test_it_is_served_without_any_port(path: Path) -> None:
    async with serving(Starlette(), None, 0, socket_path=path) as server:
        assert (server.host, server.port) == ("", 0)
        assert server.url == f"unix:{path}"
        assert (await over(path, "GET", "/"))[0] == 404
