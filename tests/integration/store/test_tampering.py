"""Nobody edits the log unseen: any bit of any row, any row taken out, any read model that says something else."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from lived_log import live
from log_stage import T0_US, a_day, note

from ghostfleet.domain.events import Recorded
from ghostfleet.domain.state import FOLD_VERSION, encode_state
from ghostfleet.engine.recovery import recover
from ghostfleet.store.errors import LogCorrupt, LogCutBack
from ghostfleet.store.log import open_log
from ghostfleet.store.verification import Verification, verify
from tests.simulation.memory_recorder import Commit, MemoryDisk, MemoryRecorder

DECISION = Path(__file__).parents[3] / "docs/decisions/0007-hash-chain.md"
BITS_ON_DISK = 10
COLUMNS = (
    "position",
    "stream",
    "version",
    "type",
    "type_version",
    "critical",
    "time_us",
    "correlation",
    "payload",
    "hash",
)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A closed log of a day, its triggers removed, as one would who wants to edit it."""
    path = tmp_path / "log.db"
    log = await open_log(f"sqlite:///{path}")
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    with closing(sqlite3.connect(path)) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.commit()
    return path


def change(path: Path, sql: str, *params: object) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(sql, params)
        database.commit()


async def verified(path: Path) -> Verification:
    """What an auditor sees, who opens the log although it may not be whole."""
    from ghostfleet.store.codec import CODEC
    from ghostfleet.store.sql_recorder import SqlRecorder
    from ghostfleet.store.sqlite import SqliteDatabase

    recorder = SqlRecorder(await SqliteDatabase.open(path, read_only=True, create=False))
    try:
        return await verify(recorder, CODEC, 0)
    finally:
        await recorder.close()


def flips(value: object) -> Iterator[object]:
    """The value with each one of its bits flipped."""
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(63))
        return
    data = value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bytes(changed)


@pytest.mark.parametrize("column", COLUMNS)
async def test_any_bit_of_a_row_changed_on_disk_is_found_and_the_row_named(path: Path, column: str) -> None:
    """Bits all over the column, through the file; every single one is in the next test."""
    position = 4
    with closing(sqlite3.connect(path)) as database:
        (value,) = database.execute(f"SELECT {column} FROM events WHERE position = ?", [position]).fetchone()
        changes = list(flips(value))
        for changed in changes[:: max(1, len(changes) // BITS_ON_DISK)]:
            text = isinstance(value, str)
            into = "CAST(? AS TEXT)" if text else "?"
            try:
                database.execute(f"UPDATE events SET {column} = {into} WHERE position = ?", [changed, position])
            except sqlite3.IntegrityError:
                continue  # the table itself refuses a second row with these numbers
            database.commit()
            found = await verified(path)
            assert not found.ok, (column, changed)
            assert found.position == position, (column, changed, found)
            where = changed if column == "position" else position
            database.execute(
                f"UPDATE events SET {column} = ?, position = ? WHERE position = ?", [value, position, where]
            )
            database.commit()
    assert (await verified(path)).ok


async def test_any_bit_of_any_row_is_found_in_memory_too() -> None:
    """The chain itself, over every bit of every column of a few rows."""
    from ghostfleet.store.log import EventLog
    from ghostfleet.store.rows import EventRow
    from ghostfleet.store.verification import chain_fault

    disk = MemoryDisk()
    log = await EventLog.over(MemoryRecorder(disk))
    await log.append(a_day()[:4], time_us=T0_US)
    (commit,) = disk.durable
    previous = bytes(32)
    for row in commit.rows:
        fields = {name: getattr(row, name) for name in COLUMNS}
        for name, value in fields.items():
            for changed in flips(value):
                if isinstance(value, str):
                    changed = bytes(changed).decode(errors="surrogateescape")  # type: ignore[call-overload]
                assert chain_fault(EventRow(**{**fields, name: changed}), row.position - 1, previous), (name, changed)
        assert not chain_fault(row, row.position - 1, previous)
        previous = row.hash


async def test_a_row_taken_out_is_named(path: Path) -> None:
    change(path, "DELETE FROM events WHERE position = 7")
    found = await verified(path)
    assert (found.ok, found.position) == (False, 7)
    with pytest.raises(LogCorrupt, match="gap"):
        await open_log(f"sqlite:///{path}")


async def test_rows_taken_from_the_end_are_missed(path: Path) -> None:
    change(path, "DELETE FROM events WHERE position > 15")
    found = await verified(path)
    assert (found.ok, found.position) == (False, 16)
    with pytest.raises(LogCutBack, match="positions 16 to 20"):
        await open_log(f"sqlite:///{path}")
    path.with_name("log.db.witness").unlink()
    with pytest.raises(LogCorrupt, match=r"position 15 .* its last commit ended at 20"):
        await open_log(f"sqlite:///{path}")


async def test_the_newest_rows_are_checked_at_every_opening(path: Path) -> None:
    change(path, 'UPDATE events SET payload = \'{"reason":"else"}\' WHERE position = 1')
    for read_only in (False, True):
        with pytest.raises(LogCorrupt, match="position 1:"):
            await open_log(f"sqlite:///{path}", read_only=read_only)


async def test_a_read_model_that_says_something_else_is_found_and_rebuilding_mends_it(path: Path) -> None:
    for sql in (
        "UPDATE transactions SET status = 'final' WHERE signed_position = 9 - 1",
        "UPDATE transactions SET nonce = 77 WHERE signed_position = 16",
        "DELETE FROM transactions WHERE signed_position = 4",
    ):
        change(path, sql)
        found = await verified(path)
        assert not found.ok, sql
        assert "db rebuild" in found.problem
        log = await open_log(f"sqlite:///{path}")
        await log.rebuild_projections()
        assert (await log.verify()).ok
        await log.close()


async def test_a_snapshot_that_was_made_up_is_found_whatever_its_digest_and_rebuilding_drops_it(
    sqlite_url: str, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    log = await open_log(sqlite_url)
    state = await recover(log)
    await log.save_snapshot(state.position, FOLD_VERSION, encode_state(state))
    assert (await log.verify()).ok
    made_up = encode_state(state).replace(b'"decisions":', b'"decisions":1')
    await log.save_snapshot(state.position, FOLD_VERSION, made_up)
    assert encode_state(await recover(log)) == made_up
    assert f"the snapshot at position {state.position} is not the state" in (await log.verify()).problem
    await log.rebuild_projections()
    assert (await log.verify()).ok
    assert encode_state(await recover(log)) == encode_state(state)
    await log.close()


async def test_text_that_is_no_unicode_is_a_fault_with_a_name(path: Path) -> None:
    change(path, "UPDATE events SET correlation = CAST(x'ff' AS TEXT) WHERE position = 5")
    found = await verified(path)
    assert (found.ok, found.position) == (False, 5)


async def read_anew(path: Path) -> tuple[Recorded, ...]:
    log = await open_log(f"sqlite:///{path}", read_only=True)
    try:
        return tuple([recorded async for recorded in log.read()])
    finally:
        await log.close()


async def test_a_damaged_page_is_a_corrupt_log_never_a_traceback(tmp_path: Path) -> None:
    """Damage is found, unless it hit a part of a page that holds nothing."""
    path = tmp_path / "log.db"
    log = await open_log(f"sqlite:///{path}")
    written = await log.append([note("x" * 500) for _ in range(400)], time_us=T0_US)
    await log.close()
    size = path.stat().st_size
    whole = path.read_bytes()
    for offset in range(4096, size, size // 40):
        path.write_bytes(whole[:offset] + b"\xff" * 512 + whole[offset + 512 :])
        try:
            log = await open_log(f"sqlite:///{path}")
        except LogCorrupt:
            continue
        found = await log.verify()
        await log.close()
        assert not found.ok or await read_anew(path) == written, f"damage at {offset} was not seen"


async def test_an_old_copy_put_in_the_place_of_the_log_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = await open_log(f"sqlite:///{path}")
    await log.append([note("kept")], time_us=T0_US)
    await log.close()
    old = path.read_bytes()
    log = await open_log(f"sqlite:///{path}")
    await log.append([note("lost"), note("lost too")], time_us=T0_US)
    await log.close()
    path.write_bytes(old)
    with pytest.raises(LogCutBack, match="positions 2 to 3 were lost"):
        await open_log(f"sqlite:///{path}")
    path.with_name("log.db.witness").unlink()
    log = await open_log(f"sqlite:///{path}")
    assert log.head.position == 1
    await log.close()


async def test_an_auditor_recomputes_the_chain_without_our_code(path: Path) -> None:
    """With the lines that docs/decisions/0007-hash-chain.md prints, and nothing else."""
    (lines,) = re.findall(r"```python\n(.*?)```", DECISION.read_text(), re.DOTALL)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-I", "-c", lines, path], capture_output=True, text=True, check=False)

    fits = await asyncio.to_thread(run)
    head = (await verified(path)).head
    assert (fits.returncode, fits.stdout) == (0, f"20 events, head {head.hash}\n")
    change(path, "UPDATE events SET time_us = time_us + 1 WHERE position = 11")
    assert (await asyncio.to_thread(run)).stderr == "position 11 does not fit\n"


async def test_a_commit_torn_out_of_the_middle_is_found() -> None:
    """Lost writes of a disk that lies: a hole is never read over."""
    from ghostfleet.store.log import EventLog

    disk = MemoryDisk()
    log = await EventLog.over(MemoryRecorder(disk))
    for n in range(5):
        await log.append([note(str(n))], time_us=T0_US)
    torn = MemoryDisk([*disk.durable[:2], *disk.durable[3:]])
    with pytest.raises(LogCorrupt):
        await EventLog.over(MemoryRecorder(torn))
    assert Commit((), ()) not in torn.durable
