"""One process writes a log, and anybody may read it meanwhile."""

import asyncio
import errno
import fcntl
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from log_stage import T0_US, a_day, note, opened_once_free

from ghostfleet.store.errors import LogHeld, LogMissing, LogUnavailable
from ghostfleet.store.log import open_log

HOLD = """
import asyncio, sys
from ghostfleet.store.log import open_log
async def main():
    log = await open_log(sys.argv[1])
    print("held", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def holding(url: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"held\n"
    return process


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.communicate()


async def test_a_second_process_is_refused_by_name_until_the_first_is_gone(sqlite_url: str) -> None:
    first = await holding(sqlite_url)
    try:
        with pytest.raises(LogHeld, match=f"process {first.pid} on "):
            await open_log(sqlite_url)
        reader = await open_log(sqlite_url, read_only=True)
        await reader.close()
    finally:
        await kill(first)
    log = await open_log(sqlite_url)
    await log.close()


@pytest.mark.postgres
async def test_a_second_process_is_refused_by_postgresql_until_the_first_is_gone(postgres_url: str) -> None:
    first = await holding(postgres_url)
    try:
        with pytest.raises(LogHeld, match=f"ghost-fleet process {first.pid} on "):
            await open_log(postgres_url)
        reader = await open_log(postgres_url, read_only=True)
        await reader.close()
    finally:
        await kill(first)
    log = await opened_once_free(postgres_url)
    await log.close()


async def test_the_same_process_cannot_open_it_twice_either(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    with pytest.raises(LogHeld, match=f"process {os.getpid()} on "):
        await open_log(sqlite_url)
    await log.append([note("still mine")], time_us=T0_US)
    await log.close()


async def test_a_link_to_the_log_is_the_log(tmp_path: Path) -> None:
    """Whoever opens it by another name is refused as well, and leaves no lock or witness of their own."""
    (tmp_path / "here").mkdir()
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    (tmp_path / "here" / "linked.db").symlink_to(tmp_path / "log.db")
    with pytest.raises(LogHeld, match=f"process {os.getpid()} on "):
        await open_log(f"sqlite:///{tmp_path}/here/linked.db")
    await log.append([note("still mine")], time_us=T0_US)
    await log.close()
    log = await open_log(f"sqlite:///{tmp_path}/here/linked.db")
    assert log.head.position == 1
    await log.close()
    assert os.listdir(tmp_path / "here") == ["linked.db"]


async def test_a_disk_without_locks_is_no_second_process(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(LogUnavailable, match="a disk that keeps locks"):
        await open_log(sqlite_url)


async def test_a_reader_sees_what_is_committed_while_it_is_written_and_after(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    reader = await open_log(sqlite_url, read_only=True)
    written = await log.append(a_day(), time_us=T0_US)
    assert [it async for it in reader.read()] == list(written)
    assert (await reader.verify()).ok
    await log.close()
    assert (await reader.verify()).ok
    await reader.close()
    late = await open_log(sqlite_url, read_only=True)
    assert late.head.position == len(written)
    await late.close()


async def test_reading_never_makes_a_log(tmp_path: Path) -> None:
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(LogMissing):
            await open_log(f"sqlite:///{tmp_path}/none.db", **options)
    assert os.listdir(tmp_path) == []


async def test_verifying_a_log_that_is_being_written_finds_nothing_wrong(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    reader = await open_log(sqlite_url, read_only=True)

    async def write() -> None:
        for n in range(300):
            await log.append([note(str(n))], time_us=T0_US)

    writing = asyncio.create_task(write())
    while not writing.done():
        found = await reader.verify()
        assert found.ok, found.problem
    await writing
    await reader.close()
    await log.close()


async def test_rows_cannot_be_changed_deleted_or_replaced(sqlite_url: str, tmp_path: Path) -> None:
    log = await open_log(sqlite_url)
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        for sql in (
            "UPDATE events SET time_us = 0 WHERE position = 3",
            "DELETE FROM events WHERE position = 20",
            "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 3",
            "REPLACE INTO events SELECT position, stream, 999, type, type_version, critical, 0, '', '', hash FROM events"
            " WHERE position = 3",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(sql)


@pytest.mark.postgres
async def test_rows_cannot_be_changed_deleted_or_truncated_on_postgresql(postgres_url: str) -> None:
    import asyncpg

    log = await open_log(postgres_url)
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    connection = await asyncpg.connect(postgres_url)
    try:
        for sql in ("UPDATE events SET time_us = 0", "DELETE FROM events WHERE position = 20", "TRUNCATE events"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(sql)
    finally:
        await connection.close()
