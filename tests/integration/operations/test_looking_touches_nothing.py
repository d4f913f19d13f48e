"""`operations list` and `show` with no service: from the log alone, at once, beside whoever holds it, and nothing is written."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address
from ghostfleet.store.lock import WriterLock
from ghostfleet.store.log import open_log

AT_ONCE_SECS = 5.0
"""What reading a log of a few events takes at most on a busy machine; a look at the chain would take longer."""
EVENTS = (
    ev.NewEvent(
        ev.wallet_stream("w1"),
        ev.WalletRegistered(address=Address(b"\x01" * 20), profile="casual", plugin="p", first_turn_us=0),
    ),
    ev.NewEvent(
        ev.FLEET_STREAM,
        ev.OperationStarted(operation_id="extract-1", kind="extract", wallets=("w1",), params={}, actor="operator"),
        "extract-1",
    ),
    ev.NewEvent(
        ev.FLEET_STREAM, ev.OperationSuspended(operation_id="extract-1", actor="operator", reason="paused"), "extract-1"
    ),
)


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Path]:
    """The log of a service that is down; its endpoint takes connections and never answers."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    path = tmp_path / "config.toml"
    path.write_text(
        f'[service]\nhealth_port = 1\n[chain]\nchain_id = 31337\nrpc_url = "http://127.0.0.1:{port}"\n'
        f'[store]\nurl = "sqlite:///{tmp_path}/log.db"\n'
    )
    path.chmod(0o600)
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    await log.append(EVENTS, time_us=1)
    await log.close()
    yield path
    server.close()


async def run(settings: Path, *arguments: str) -> str:
    began = time.monotonic()
    ran = await asyncio.to_thread(CliRunner().invoke, app, ["--config", str(settings), "operations", *arguments])
    assert ran.exit_code == 0, ran.output
    assert time.monotonic() - began < AT_ONCE_SECS
    return ran.stdout


async def test_list_and_show_read_the_log_though_somebody_holds_it(settings: Path) -> None:
    with WriterLock(settings.with_name("log.db")):
        assert "extract-1 suspended" in await run(settings, "list")
        assert json.loads(await run(settings, "show", "extract-1", "--json"))["why"] == "paused"
    log = await open_log(f"sqlite:///{settings.parent}/log.db", read_only=True)
    assert log.head.position == len(EVENTS)
    await log.close()
