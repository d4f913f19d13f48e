"""Whether a service runs is seen by who writes the log, not by who answers HTTP: that wallets stand would be a wrong answer."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from lived_log import live, lived
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.store import lock
from ghostfleet.store.lock import WriterLock, holder_of

SETTINGS = """
[chain]
chain_id = 31337
rpc_url = "http://127.0.0.1:9"
[plugins]
enabled = ["transfer"]
[plugins.transfer]
to = "0x000000000000000000000000000000000000bEEF"
[store]
url = "sqlite:///log.db"
[service]
health_port = {port}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of a fleet beside its settings, and a port where nobody answers."""
    folder = tmp_path_factory.mktemp("fleet")
    asyncio.run(live(f"sqlite:///{folder / 'log.db'}", lived()))
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        (folder / "config.toml").write_text(SETTINGS.format(port=unheard.getsockname()[1]))
        yield folder


def explained(folder: Path) -> tuple[int, str, str]:
    names = {row.stream.partition("/")[2] for commit in lived() for row in commit.rows if row.stream != "fleet"}
    arguments = ["--config", str(folder / "config.toml"), "explain", min(names)]
    answer = CliRunner().invoke(app, arguments, env={"GHOST_FLEET_ADMIN_TOKEN": ""})
    return answer.exit_code, answer.stdout, answer.stderr


def test_a_service_that_cannot_be_reached_is_not_said_to_be_down(folder: Path) -> None:
    with WriterLock(folder / "log.db"):
        code, told, warning = explained(folder)
    assert (code, "The service is not running" in told) == (0, False)
    assert f"but process {os.getpid()} on " in warning
    assert "this is what the log alone says" in warning


def test_one_that_writes_no_log_is(folder: Path) -> None:
    code, told, warning = explained(folder)
    assert (code, "writes the log" in warning) == (0, False)
    assert "The service is not running, so no wallet acts." in told


def test_who_may_not_read_the_lock_sees_all_the_same_that_it_is_held(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is its owner's alone."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with WriterLock(folder / "log.db"):
        monkeypatch.setattr(lock.os, "open", refuse)
        assert holder_of(folder / "log.db") == "another process"
