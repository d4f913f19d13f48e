"""Backups by the clock: due by the log, counted and recorded, the oldest let go, and no failure stops anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ghostfleet.config.loaded import Backups
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.engine.recovery import recover
from ghostfleet.engine.state import LiveState
from ghostfleet.operations import backup_schedule
from ghostfleet.operations.backup import Backup, BackupFault
from ghostfleet.operations.backup_schedule import backups_by_schedule
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.telemetry import Metrics, Telemetry

DAY_SECS = 86_400.0
T0_US = 1_767_225_600_000_000


class SetClock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.us = T0_US

    def now_us(self) -> int:
        return self.us


class Fixture:
    """A live log with telemetry, as the service has it, and the schedule beside it."""

    def __init__(self, log: EventLog, url: str, directory: Path) -> None:
        self.log, self.url, self.directory = log, url, directory
        self.clock = SetClock()
        self.metrics = Metrics("0.2.0")
        telemetry = Telemetry(self.metrics)
        self.live = LiveState(State(), log, self.clock, telemetry.on_event, self.metrics.observe_commit)
        self.fail = ""

    async def make(self, url: str, file: Path) -> Backup:
        """As quick as a test wants it; the real one has tests of its own."""
        if self.fail:
            raise BackupFault(self.fail)
        await asyncio.to_thread(file.write_text, "a backup")
        head = self.log.head
        return Backup(file=file.name, position=head.position, head_hash=head.hash, size_bytes=8, sha256=head.hash)

    async def recorded(self, kind: type[ev.Event], count: int) -> list[ev.Recorded]:
        """Once the log has so many of these."""
        async with asyncio.timeout(90):
            while True:
                found = [it async for it in self.log.read() if isinstance(it.event, kind)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)

    def files(self) -> set[str]:
        return {it.name for it in self.directory.iterdir()}

    async def files_left(self, count: int) -> None:
        """Once there are so many: older ones go after the event."""
        async with asyncio.timeout(90):
            while True:
                if len(self.files()) == count:
                    return
                await asyncio.sleep(0.01)

    def metric(self, name: str) -> float:
        text = self.metrics.render(self.live.state, ()).decode()
        return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)))

    @asynccontextmanager
    async def running(self, keep: int = 3, **options: object) -> AsyncIterator[None]:
        settings = Backups(directory=self.directory, every_secs=DAY_SECS, keep=keep)
        schedule = backups_by_schedule(self.live, self.clock, self.url, settings, **{"make": self.make, **options})  # type: ignore[arg-type]
        tasks = [asyncio.create_task(self.live.run()), asyncio.create_task(schedule)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.fixture
async def fixture(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fixture]:
    monkeypatch.setattr(backup_schedule, "LOOK_SECS", 0.01)
    log = await open_log(sqlite_url)
    yield Fixture(log, sqlite_url, tmp_path / "backups")
    await log.close()


async def test_one_is_made_when_it_is_due_and_the_newest_are_kept(fixture: Fixture) -> None:
    strange = fixture.directory / "notes.txt"
    async with fixture.running(keep=3):
        for number in range(1, 6):
            made = await fixture.recorded(ev.BackupMade, number)
            strange.write_text("mine")
            await asyncio.sleep(0.05)
            assert len(await fixture.recorded(ev.BackupMade, number)) == number, "not before it is due"
            fixture.clock.us += int(DAY_SECS * 1e6)
        await fixture.files_left(4)
    names = sorted(it.name for it in fixture.directory.iterdir())
    assert names == [*[it.event.file for it in made[-3:]], "notes.txt"]  # type: ignore[attr-defined]
    assert fixture.metric("ghost_fleet_last_backup_timestamp_seconds") == made[-1].time_us / 1e6
    assert fixture.metric('ghost_fleet_backups_total{outcome="made"}') == 5


async def test_after_a_restart_it_is_due_by_what_the_log_says(fixture: Fixture) -> None:
    async with fixture.running():
        await fixture.recorded(ev.BackupMade, 1)
    fixture.live.state = await recover(fixture.log)
    async with fixture.running():
        await asyncio.sleep(0.1)
        assert len(await fixture.recorded(ev.BackupMade, 1)) == 1
        fixture.clock.us += int(DAY_SECS * 1e6)
        await fixture.recorded(ev.BackupMade, 2)


async def test_a_failure_is_recorded_deletes_nothing_and_is_tried_again_later(fixture: Fixture) -> None:
    async with fixture.running(keep=1):
        await fixture.recorded(ev.BackupMade, 1)
        fixture.fail = "the disk is full"
        fixture.clock.us += int(DAY_SECS * 1e6)
        (failed,) = await fixture.recorded(ev.BackupFailed, 1)
        assert failed.event == ev.BackupFailed(reason="the disk is full")
        await asyncio.sleep(0.1)
        assert len(await fixture.recorded(ev.BackupFailed, 1)) == 1, "not at once"
        assert len(list(fixture.directory.glob("ghost-fleet-*"))) == 1
        fixture.fail = ""
        fixture.clock.us += int(backup_schedule.RETRY_SECS * 1e6)
        await fixture.recorded(ev.BackupMade, 2)
    assert fixture.metric('ghost_fleet_backups_total{outcome="failed"}') == 1


async def test_while_the_log_takes_no_events_no_older_backup_goes(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk is full, say, and the backups lie elsewhere: one copy after the other would have replaced all the old ones."""
    async with fixture.running(keep=2):
        for number in (1, 2):
            await fixture.recorded(ev.BackupMade, number)
            fixture.clock.us += int(DAY_SECS * 1e6)
        await fixture.recorded(ev.BackupMade, 3)
        await fixture.files_left(2)
        old = fixture.files()
        refusals, refused = 0, asyncio.Event()

        async def full(_events: object) -> tuple[ev.Recorded, ...]:
            nonlocal refusals
            refusals += 1
            if refusals == 10:
                refused.set()
            raise LogUnavailable("the disk is full")

        monkeypatch.setattr(fixture.live, "write", full)
        fixture.clock.us += int(DAY_SECS * 1e6)
        async with asyncio.timeout(90):
            await refused.wait()
        assert len(fixture.files() - old) == 1, "one a day, whatever the log says of it"
        assert old < fixture.files()
        monkeypatch.undo()
        monkeypatch.setattr(backup_schedule, "LOOK_SECS", 0.01)
        await fixture.recorded(ev.BackupMade, 4)
        await fixture.files_left(2)


async def test_a_directory_that_cannot_be_made_is_a_failure_like_any_other(fixture: Fixture) -> None:
    fixture.directory.parent.joinpath("file").write_text("")
    fixture.directory = fixture.directory.parent / "file" / "backups"
    async with fixture.running():
        (failed,) = await fixture.recorded(ev.BackupFailed, 1)
    assert str(fixture.directory) in failed.event.reason  # type: ignore[attr-defined]


async def test_the_loop_turns_while_one_is_made_and_what_killed_ones_left_is_cleared_away(fixture: Fixture) -> None:
    """With the real thing: a process of its own."""
    leftover = fixture.directory / "ghost-fleet-20260101T000000Z.db.gz.partial"
    leftover.mkdir(parents=True)
    (leftover / "log.db").write_text("half of a copy")
    (fixture.directory / "letters.partial").mkdir()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    turning = asyncio.create_task(turn())
    async with fixture.running(make=backup_schedule.back_up_apart):
        (made,) = await fixture.recorded(ev.BackupMade, 1)
    turning.cancel()
    assert (fixture.directory / made.event.file).is_file()  # type: ignore[attr-defined]
    assert not leftover.exists()
    assert (fixture.directory / "letters.partial").is_dir(), "somebody else's"
    assert turns > 20, "a new process takes longer than so many turns"


async def test_a_clock_that_was_wrong_for_a_while_puts_no_backup_off_and_lets_no_new_one_go(fixture: Fixture) -> None:
    right_us = fixture.clock.us
    async with fixture.running(keep=2):
        for count in (1, 2):
            fixture.clock.us = right_us + (3650 + count) * int(DAY_SECS) * 1_000_000
            await fixture.recorded(ev.BackupMade, count)
        fixture.clock.us = right_us
        await fixture.recorded(ev.BackupMade, 3)
        await fixture.files_left(2)
        fixture.clock.us += int(DAY_SECS) * 1_000_000
        await fixture.recorded(ev.BackupMade, 4)
        await fixture.files_left(2)
    assert fixture.files() == {"ghost-fleet-20260101T000000Z.db.gz", "ghost-fleet-20260102T000000Z.db.gz"}
