"""A backup made while the service is down: written down where the log can be written, and never at the price of a migration."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_upgrade_plan import log_of_release_0_1_0

from ghostfleet.domain import events as ev
from ghostfleet.engine.clock import SystemClock
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.operations.backup import back_up
from ghostfleet.operations.backup_record import WouldMigrate, record_alone
from ghostfleet.store.errors import LogHeld
from ghostfleet.store.log import open_log
from ghostfleet.store.plan import plan_of

COMMAND = AdminCommand(command="record_backup", actor="local", remote="offline", request_id="r")


async def record(url: str, file: Path) -> None:
    made = await back_up(url, file)
    event = ev.BackupMade(
        file=made.file, position=made.position, head_hash=made.head_hash, size_bytes=made.size_bytes, actor="local"
    )
    loaded: Any = SimpleNamespace(store=SimpleNamespace(url=url), archive_dir=None)
    await record_alone(loaded, SystemClock(), COMMAND, event)


async def test_it_is_written_to_the_log_of_whichever_database(url: str, tmp_path: Path) -> None:
    log = await open_log(url)
    await log.append([ev.NewEvent(ev.FLEET_STREAM, ev.ServiceStopped(reason="done"))], time_us=1)
    with pytest.raises(LogHeld):
        await record(url, tmp_path / "held.gz")
    await log.close()
    await record(url, tmp_path / "backup.gz")
    log = await open_log(url, read_only=True)
    events = [each.event async for each in log.read()]
    await log.close()
    assert [type(it) for it in events] == [ev.ServiceStopped, ev.AdminCommandReceived, ev.BackupMade]


async def test_data_of_an_earlier_release_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await log_of_release_0_1_0(path)
    before = path.read_bytes()
    with pytest.raises(WouldMigrate):
        await record(f"sqlite:///{path}", tmp_path / "backup.gz")
    assert path.read_bytes() == before
    assert (await plan_of(f"sqlite:///{path}")).current == "0001"
