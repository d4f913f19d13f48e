"""A backup is a whole log, made beside a writer that does not notice; restoring one loses nothing, of neither log."""

import asyncio
import gzip
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from lived_log import everything, live, rows_of
from log_stage import T0_US, note
from test_one_writer import holding, kill

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import decode_state, encode_state
from ghostfleet.engine.recovery import recover
from ghostfleet.operations.archive import archive
from ghostfleet.operations.backup import BackupFault, back_up, back_up_apart
from ghostfleet.operations.restore import WouldLose, restore
from ghostfleet.store.durable_files import FileExists
from ghostfleet.store.errors import LogCorrupt, LogHeld
from ghostfleet.store.log import open_log
from tests.simulation.memory_recorder import Commit

WRITING_SECS = 4.0
ROWS_A_COMMIT = 40


async def told(url: str) -> list[ev.Recorded]:
    log = await open_log(url, read_only=True)
    try:
        assert (await log.verify()).ok
        return await everything(log)
    finally:
        await log.close()


def edit(path: Path, sql: str) -> None:
    """As one would who has write access to the file."""
    with closing(sqlite3.connect(path)) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute(sql)
        database.commit()


# --- backup -----------------------------------------------------------------------------------------------------------


async def test_a_backup_is_a_log_with_all_that_was_there(url: str, tmp_path: Path, commits: tuple[Commit, ...]) -> None:
    await live(url, commits)
    file = tmp_path / "backup.gz"
    made = await back_up(url, file)
    assert (made.file, made.size_bytes) == ("backup.gz", file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.glob("backup*")] == ["backup.gz"]
    (tmp_path / "unpacked.db").write_bytes(gzip.decompress(file.read_bytes()))
    there = await told(url)
    assert made.position == len(there) == len(rows_of(commits))
    log = await open_log(f"sqlite:///{tmp_path}/unpacked.db", read_only=True)
    assert await everything(log) == there
    assert log.head.hash == made.head_hash
    assert (await log.verify()).ok
    await log.close()


async def test_no_file_is_overwritten_unless_that_is_asked_for(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits[:5])
    (tmp_path / "mine").write_text("something of mine")
    with pytest.raises(FileExists, match="--force"):
        await back_up(sqlite_url, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "something of mine"
    assert (await back_up(sqlite_url, tmp_path / "mine", force=True)).position == len(rows_of(commits[:5]))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET payload = '{}' WHERE position = 7",
        "DELETE FROM events WHERE position = 7",
        "UPDATE log_head SET hash = zeroblob(32)",
    ],
)
async def test_a_log_that_does_not_verify_gives_no_backup(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...], sql: str
) -> None:
    await live(sqlite_url, commits)
    edit(Path(sqlite_url.removeprefix("sqlite:///")), sql)
    with pytest.raises(LogCorrupt, match=r"position \d+"):
        await back_up(sqlite_url, tmp_path / "backup.gz")
    assert list(tmp_path.glob("backup*")) == []


WRITE = """
import asyncio, sys, time
sys.path[:0] = sys.argv[3:]
from log_stage import T0_US, note
from ghostfleet.store.log import open_log
async def main():
    log = await open_log(sys.argv[1])
    until, largest, worst = time.monotonic() + float(sys.argv[2]), 0, 0.0
    await log.append([note("x" * 2000) for _ in range(4000)], time_us=T0_US)
    print("writing", flush=True)
    while time.monotonic() < until:
        started = time.monotonic()
        await log.append([note("x" * 500) for _ in range(ROWS)], time_us=T0_US)
        worst, largest = max(worst, time.monotonic() - started), max(largest, log.wal_bytes)
        await asyncio.sleep(0.002)
    print(log.head.position, largest, worst, flush=True)
    await log.close()
asyncio.run(main())
""".replace("ROWS", str(ROWS_A_COMMIT))


async def test_a_writer_under_load_is_not_held_up_and_its_write_ahead_file_does_not_grow(
    sqlite_url: str, tmp_path: Path
) -> None:
    """The service in its process, backups one after another in this one: the file is cut back at 16 MiB all the same."""
    from ghostfleet.store import dialect

    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITE, sqlite_url, str(WRITING_SECS), str(Path(__file__).parent)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"writing\n"
    backups = []
    while writer.returncode is None and len(backups) < 3:
        backups.append(await back_up(sqlite_url, tmp_path / f"backup-{len(backups)}.gz"))
    out, _ = await writer.communicate()
    assert writer.returncode == 0
    position, largest, _ = out.split()
    assert backups[0].position >= 4000
    assert backups[0].position < int(position), "it was made while the log grew"
    assert int(largest) < dialect.WAL_LIMIT_BYTES
    for number, made in enumerate(backups):
        done = await restore(f"sqlite:///{tmp_path}/restored-{number}.db", tmp_path / f"backup-{number}.gz")
        assert (done.position, done.head_hash) == (made.position, made.head_hash)


async def test_a_read_snapshot_held_that_long_would_let_it_grow(sqlite_url: str) -> None:
    """What the test before this one would see of a backup that reads in one go: the check can fail."""
    from ghostfleet.store import dialect

    log = await open_log(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM events").fetchall()
    while log.wal_bytes < dialect.WAL_LIMIT_BYTES:
        await log.append([note("x" * 60_000) for _ in range(40)], time_us=T0_US)
    other.close()
    await log.close()


async def test_in_a_process_of_its_own_it_is_the_same_and_its_errors_are_told(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    made = await back_up_apart(sqlite_url, tmp_path / "backup.gz")
    assert made.position == len(rows_of(commits))
    with pytest.raises(BackupFault, match=r"backup\.gz exists"):
        await back_up_apart(sqlite_url, tmp_path / "backup.gz")
    with pytest.raises(BackupFault, match="there is no log at"):
        await back_up_apart(f"sqlite:///{tmp_path}/none.db", tmp_path / "other.gz")


# --- restore ----------------------------------------------------------------------------------------------------------


async def test_a_restored_log_is_the_backup_and_one_event_that_says_so(
    url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    half = len(commits) // 2
    await live(url, commits[:half])
    made = await back_up(url, tmp_path / "backup.gz")
    before = await told(url)
    await live(url, commits[half:])
    whole = await told(url)
    with pytest.raises(WouldLose, match=f"goes on to position {len(whole)}, {len(whole) - len(before)} events after"):
        await restore(url, tmp_path / "backup.gz")
    assert await told(url) == whole

    done = await restore(url, tmp_path / "backup.gz", force=True)
    assert (done.position, done.head_hash, done.replaced_position) == (made.position, made.head_hash, len(whole))
    after = await told(url)
    assert after[: len(before)] == before
    assert after[len(before)].event == ev.LogRestored(
        position=made.position,
        head_hash=made.head_hash,
        replaced_position=len(whole),
        replaced_hash=done.replaced_hash,
        effects=len(after) - len(before) - 1,
    )
    if url.startswith("sqlite"):
        assert await told(f"sqlite:///{done.aside}") == whole
    else:
        await _in_schema(url, done.aside.removeprefix("schema "), len(whole))
    log = await open_log(url)
    await log.append([note("goes on")], time_us=T0_US)
    assert encode_state(await recover(log)) == encode_state(await recover(log, use_snapshot=False))
    await log.close()
    again = await restore(url, tmp_path / "backup.gz", force=True)
    assert again.aside != done.aside


async def _in_schema(url: str, schema: str, events: int) -> None:
    """The replaced log is in a schema of its own, its triggers with it."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".events') == events
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute(f'DELETE FROM "{schema}".events')
    finally:
        await connection.close()


async def test_a_log_is_restored_where_there_was_none(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    fresh = await restore(f"sqlite:///{tmp_path}/fresh.db", tmp_path / "backup.gz")
    assert (fresh.aside, fresh.replaced_position) == ("", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_what_root_makes_where_the_service_works_belongs_to_the_service(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    """Lock and witness of a restored log, and the archive file: what the service has to open."""
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    place = tmp_path / "service"
    place.mkdir()
    os.chown(place, 10001, 10001)
    elsewhere = f"sqlite:///{place}/log.db"
    await restore(elsewhere, tmp_path / "backup.gz")
    assert {it.name for it in place.iterdir()} == {"log.db", "log.db.lock"}
    assert {it.stat().st_uid for it in place.iterdir()} == {10001}
    await archive(elsewhere, rows_of(commits)[len(rows_of(commits)) // 2].time_us, place / "old.db")
    assert {it.name for it in place.iterdir()} >= {"log.db", "log.db.lock", "log.db.witness", "old.db"}
    assert {it.stat().st_uid for it in place.iterdir()} == {10001}


@pytest.mark.postgres
async def test_a_log_moves_to_postgresql(
    sqlite_url: str, postgres_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    done = await restore(postgres_url, tmp_path / "backup.gz")
    assert done.aside == ""
    assert (await told(postgres_url))[:-1] == await told(sqlite_url)


async def test_a_running_service_is_in_the_way_and_named(url: str, tmp_path: Path, commits: tuple[Commit, ...]) -> None:
    await live(url, commits)
    await back_up(url, tmp_path / "backup.gz")
    service = await holding(url)
    try:
        with pytest.raises(LogHeld, match=f"process {service.pid} on "):
            await restore(url, tmp_path / "backup.gz", force=True)
    finally:
        await kill(service)


async def test_another_log_is_not_replaced_unless_that_is_asked_for(
    url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    log = await open_log(f"sqlite:///{tmp_path}/other.db")
    await log.append([note("a"), note("b")], time_us=T0_US)
    await log.close()
    await live(url, commits)
    await back_up(url, tmp_path / "backup.gz")
    other = f"sqlite:///{tmp_path}/other.db"
    for place, file in ((other, "backup.gz"), (url, "short.gz")):
        if file == "short.gz":
            await back_up(other, tmp_path / file)
        with pytest.raises(WouldLose, match="is another one"):
            await restore(place, tmp_path / file)
    await restore(other, tmp_path / "backup.gz", force=True)
    assert len(await told(other)) == len(rows_of(commits)) + 1


async def test_a_log_that_cannot_be_read_is_set_aside_when_that_is_asked_for(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.write_bytes(b"\xff" * 8192)
    with pytest.raises(WouldLose, match="cannot be read"):
        await restore(sqlite_url, tmp_path / "backup.gz")
    done = await restore(sqlite_url, tmp_path / "backup.gz", force=True)
    assert Path(done.aside).read_bytes() == b"\xff" * 8192
    beyond = (await told(sqlite_url))[len(rows_of(commits)) :]
    assert [type(it.event) for it in beyond] == [ev.LogRestored, ev.FleetPaused]


async def test_a_log_that_somebody_reads_is_set_aside_with_its_write_ahead_file(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    """A shell keeps the old write-ahead file from being merged: it must not be replayed into the restored log."""
    half = len(commits) // 2
    await live(sqlite_url, commits[:half])
    await back_up(sqlite_url, tmp_path / "backup.gz")
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN")
    shell.execute("SELECT count(*) FROM events").fetchall()
    await live(sqlite_url, commits[half:])
    assert path.with_name("log.db-wal").stat().st_size
    done = await restore(sqlite_url, tmp_path / "backup.gz", force=True)
    assert not path.with_name("log.db-wal").exists()
    restored = await told(sqlite_url)
    assert isinstance(restored[len(rows_of(commits[:half]))].event, ev.LogRestored)
    shell.close()
    assert await told(sqlite_url) == restored
    assert len(await told(f"sqlite:///{done.aside}")) == len(rows_of(commits))


async def test_a_backup_that_is_damaged_anywhere_is_refused_and_nothing_changed(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    whole = (tmp_path / "backup.gz").read_bytes()
    log = Path(sqlite_url.removeprefix("sqlite:///")).read_bytes()
    damaged = [whole[:n] for n in (0, 1, 100, len(whole) // 2, len(whole) - 1)]
    damaged += [whole[:n] + bytes([whole[n] ^ 0x55]) + whole[n + 1 :] for n in range(20, len(whole), len(whole) // 12)]
    damaged += [gzip.compress(b"no log at all"), b"no backup at all", gzip.compress(b"")]
    for octets in damaged:
        (tmp_path / "backup.gz").write_bytes(octets)
        with pytest.raises(LogCorrupt):
            await restore(sqlite_url, tmp_path / "backup.gz", force=True)
    assert Path(sqlite_url.removeprefix("sqlite:///")).read_bytes() == log
    assert [name for name in os.listdir(tmp_path) if "replaced" in name or "partial" in name] == []


async def test_a_backup_whose_log_was_edited_is_refused(
    sqlite_url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    """Packed well, and not what the fleet wrote."""
    await live(sqlite_url, commits)
    await back_up(sqlite_url, tmp_path / "backup.gz")
    whole = gzip.decompress((tmp_path / "backup.gz").read_bytes())
    for sql in (
        "UPDATE events SET payload = '{}' WHERE position = 3",
        "DELETE FROM events WHERE position > 9",
        "UPDATE transactions SET nonce = 77",
        "DELETE FROM log_head",
    ):
        (tmp_path / "edited.db").write_bytes(whole)
        edit(tmp_path / "edited.db", sql)
        (tmp_path / "edited.gz").write_bytes(gzip.compress((tmp_path / "edited.db").read_bytes()))
        with pytest.raises(LogCorrupt):
            await restore(sqlite_url, tmp_path / "edited.gz", force=True)
    assert len(await told(sqlite_url)) == len(rows_of(commits))


async def test_an_archived_log_is_backed_up_and_restored_beside_its_archive(
    url: str, tmp_path: Path, commits: tuple[Commit, ...]
) -> None:
    await live(url, commits)
    rows = rows_of(commits)
    await back_up(url, tmp_path / "before.gz")
    moved = await archive(url, rows[len(rows) // 2].time_us, tmp_path / "old.db", archives=tmp_path)
    assert moved.events
    log = await open_log(url, archives=tmp_path)
    before, state = await everything(log), encode_state(await recover(log))
    attempts = await log._recorder.transaction_count()
    await log.close()
    await back_up(url, tmp_path / "backup.gz")
    (tmp_path / "old.db").rename(tmp_path / "away.db")
    await restore(url, tmp_path / "backup.gz", archives=tmp_path)
    await restore(url, tmp_path / "before.gz", archives=tmp_path, force=True)
    assert len(await told(url)) == len(rows) + 1, "the way back to where nothing was archived"
    await restore(url, tmp_path / "backup.gz", archives=tmp_path, force=True)
    (tmp_path / "away.db").rename(tmp_path / "old.db")
    log = await open_log(url, archives=tmp_path)
    assert (await everything(log))[:-1] == before
    assert await log._recorder.transaction_count() == attempts
    found = await log.verify()
    assert (found.ok, found.after) == (True, 0), found.problem
    restored = await recover(log)
    assert encode_state(restored) == encode_state(await recover(log, use_snapshot=False))
    assert restored.wallets == decode_state(state).wallets
    await log.close()
