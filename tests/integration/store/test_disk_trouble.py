"""A disk that is full, read-only or broken for a while: appends fail whole, and work again by themselves."""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from log_stage import T0_US, a_day, note, opened_once_free, registered, signed, tx_hash

from ghostfleet.store.dialect import storage_problem
from ghostfleet.store.errors import LogCorrupt, LogUnavailable, VersionConflict
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.store.postgres import MAX_READERS
from ghostfleet.store.queries import EventQuery
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder


def raw(log: EventLog) -> Any:
    """The writing connection."""
    return log._recorder._db._writer  # type: ignore[attr-defined]


async def pragma(log: EventLog, sql: str) -> int:
    rows = await raw(log).execute_fetchall(sql)
    return int(next(iter(rows))[0])


async def test_a_full_disk_fails_appends_whole_and_they_work_again_when_there_is_room(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append([note("before")], time_us=T0_US)
    head = log.head
    roomy = await pragma(log, "PRAGMA max_page_count")
    pages = await pragma(log, "PRAGMA page_count")
    await pragma(log, f"PRAGMA max_page_count = {pages + 2}")
    big = [note("x" * 4000) for _ in range(50)]
    for _ in range(3):
        with pytest.raises(LogUnavailable, match="the disk is full") as failed:
            await log.append(big, time_us=T0_US)
        assert not failed.value.in_doubt
        assert (log.head, log.version("fleet")) == (head, 1)
    await pragma(log, f"PRAGMA max_page_count = {roomy}")
    written = await log.append(big, time_us=T0_US, expected={"fleet": 1})
    assert written[0].position == 2
    assert (await log.verify()).ok
    await log.close()


async def test_a_locked_database_is_unavailable_not_corrupt(sqlite_url: str) -> None:
    import sqlite3

    log = await open_log(sqlite_url)
    await raw(log).execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailable, match="another connection holds"):
        await log.append([note("a")], time_us=T0_US)
    other.execute("ROLLBACK")
    other.close()
    assert (await log.append([note("b")], time_us=T0_US))[0].position == 1
    await log.close()


async def test_after_a_commit_that_landed_although_it_failed_the_read_models_follow(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a connection to PostgreSQL breaks during COMMIT: only the answer was lost."""
    log = await open_log(sqlite_url)
    await log.append([registered("w")], time_us=T0_US)
    database = log._recorder._db  # type: ignore[attr-defined]
    write = database.write

    async def unanswered(*args: Any) -> bool:
        await write(*args)
        monkeypatch.setattr(database, "write", write)
        raise LogUnavailable("the connection is lost", in_doubt=True)

    monkeypatch.setattr(database, "write", unanswered)
    (found,) = await log.append([signed("w", 1)], time_us=T0_US)
    assert found.position == 2
    await log.append([signed("w", 2)], time_us=T0_US)
    await log.append([signed("w", 3)], time_us=T0_US)
    assert [await log.transaction(tx_hash("w", n, 1)) is not None for n in (1, 2, 3)] == [True, True, True]
    assert (await log.verify()).ok
    await log.close()


async def test_a_failing_read_model_never_loses_an_event(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append(a_day(), time_us=T0_US)
    await raw(log).execute("DROP TABLE transactions")
    await log.append([registered("w9"), signed("w9", 1)], time_us=T0_US)
    await log.append([note("goes on")], time_us=T0_US)
    found = await log.verify()
    assert (found.ok, log.head.position) == (False, 23)
    await log.close()


async def test_a_value_that_no_read_model_can_hold_does_not_keep_the_event_out(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append([registered("w"), signed("w", 2**70)], time_us=T0_US)
    await log.append([note("goes on")], time_us=T0_US)
    assert [it.position async for it in log.read()] == [1, 2, 3]
    assert "read models" in (await log.verify()).problem
    assert await log.transaction(tx_hash("w", 2**70, 1)) is None
    await log.close()
    again = await open_log(sqlite_url)
    assert (await again.append([note("and on")], time_us=T0_US))[0].position == 4
    with pytest.raises(LogCorrupt, match="read models cannot hold"):
        await again.rebuild_projections()
    await again.close()


async def test_a_large_commit_is_written_once(sqlite_url: str) -> None:
    """What SQLite could undo a statement with stays in memory, also after the log was compacted."""
    wallets = [f"w{number}" for number in range(1000)]
    log = await open_log(sqlite_url)
    for round_ in range(1, 4):
        if round_ == 3:
            await log._recorder._db.compact()  # type: ignore[attr-defined]
        wal_bytes, before = log.wal_bytes, written_bytes()
        await log.append([registered(name) if round_ == 1 else signed(name, round_) for name in wallets], time_us=T0_US)
        assert written_bytes() - before < 1.2 * (log.wal_bytes - wal_bytes)
    assert (await log.verify()).ok
    await log.close()


def written_bytes() -> int:
    """By this process, into whatever file."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["wchar"])


@pytest.mark.postgres
async def test_a_value_that_postgresql_cannot_hold_does_not_keep_the_event_out(postgres_url: str) -> None:
    log = await open_log(postgres_url)
    await log.append([registered("w"), signed("w", 2**70)], time_us=T0_US)
    await log.append([note("goes on")], time_us=T0_US)
    assert log.head.position == 3
    await log.close()
    again = await open_log(postgres_url)
    assert (await again.append([note("and on")], time_us=T0_US))[0].position == 4
    await again.close()


async def test_read_models_that_lag_are_brought_up_at_the_next_opening(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append(a_day(), time_us=T0_US)
    for sql in ("DELETE FROM transactions", "DELETE FROM wallets", "UPDATE log_head SET projected = 0"):
        await raw(log).execute(sql)
    await log.close()
    log = await open_log(sqlite_url)
    assert (await log.verify()).ok
    await log.close()


@pytest.mark.postgres
async def test_a_lost_session_is_replaced_lock_first(postgres_url: str) -> None:
    import asyncpg

    log = await open_log(postgres_url)
    await log.append([note("a")], time_us=T0_US)
    pid = await raw(log).fetchval("SELECT pg_backend_pid()")
    other = await asyncpg.connect(postgres_url)
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    await other.close()
    with pytest.raises(LogUnavailable):
        await log.append([note("b")], time_us=T0_US)
    await written(log)
    await log.close()


class Syncs:
    """Decides what becomes of each sync."""

    def __init__(self) -> None:
        self.fault: LogUnavailable | None = None
        self.blind = False

    async def __call__(self) -> None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault


async def test_a_commit_that_landed_although_it_failed_is_found_out_and_answered_as_done() -> None:
    syncs = Syncs()
    log = await EventLog.over(MemoryRecorder(MemoryDisk(), syncs))
    syncs.fault = LogUnavailable("connection lost", in_doubt=True)
    recorded = await log.append([note("a")], time_us=T0_US)
    assert (recorded[0].position, log.head.position) == (1, 1)
    syncs.fault = None
    assert (await log.append([note("b")], time_us=T0_US, expected={"fleet": 1}))[0].position == 2


async def test_in_doubt_until_the_disk_answers_and_then_never_written_twice() -> None:
    syncs = Syncs()

    class Blind(MemoryRecorder):
        async def head(self) -> Any:
            if syncs.blind:
                raise LogUnavailable("cannot be read")
            return await super().head()

    log = await EventLog.over(Blind(MemoryDisk(), syncs))
    syncs.fault, syncs.blind = LogUnavailable("connection lost", in_doubt=True), True
    with pytest.raises(LogUnavailable) as failed:
        await log.append([note("a")], time_us=T0_US)
    assert failed.value.in_doubt
    with pytest.raises(LogUnavailable):
        await log.append([note("not even tried")], time_us=T0_US)
    syncs.fault, syncs.blind = None, False
    with pytest.raises(VersionConflict):
        await log.append([note("a")], time_us=T0_US, expected={"fleet": 0})
    assert log.head.position == 1
    assert (await log.verify()).ok


async def test_a_log_that_moved_without_us_stops_the_service() -> None:
    disk = MemoryDisk()
    recorder = MemoryRecorder(disk)
    log, other = await EventLog.over(recorder), await EventLog.over(recorder)
    await other.append([note("somebody else"), note("again")], time_us=T0_US)
    disk.full = "the disk is full"
    for _ in range(2):
        with pytest.raises(LogCorrupt, match="another writer"):
            await log.append([note("mine")], time_us=T0_US)
        disk.full = ""


async def test_a_snapshot_that_is_damaged_or_of_another_history_is_passed_over(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    await log.append(a_day(), time_us=T0_US)
    for position in (5, 10, 15):
        await log.save_snapshot(position, 1, b"state at %d" % position)
    await raw(log).execute("UPDATE snapshots SET state = x'00' WHERE position = 15")
    await raw(log).execute("UPDATE snapshots SET head_hash = x'00' WHERE position = 10")
    found = await log.load_snapshot(1)
    assert found is not None
    assert found.position == 5
    await log.close()


SLOW_COMMITS = (
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    " EXECUTE FUNCTION wait()",
    "SELECT pg_advisory_lock(1)",
)
"""Commits wait, as for a disk or a standby, until whoever carries these out lets go."""
ENDED = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
COMMITTING = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE 'COMMIT%'"


@pytest.mark.postgres
async def test_a_commit_that_the_server_is_still_at_when_the_session_is_lost_never_lands_behind_our_back(
    postgres_url: str,
) -> None:
    import asyncpg

    log = await open_log(postgres_url)
    await log.append([note("a")], time_us=T0_US)
    server = await asyncpg.connect(postgres_url)
    for sql in SLOW_COMMITS:
        await server.execute(sql)
    lost = raw(log)
    try:
        appending = asyncio.create_task(log.append([note("b")], time_us=T0_US))
        while not await server.fetchval(COMMITTING, lost.get_server_pid()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        lost._transport.abort()  # the server does not notice: it waits for something else
        with pytest.raises(LogUnavailable):
            await appending
        async with asyncio.timeout(30):
            while await server.fetchval(COMMITTING, lost.get_server_pid()):
                with pytest.raises(LogUnavailable):  # until whoever lost that session has ended it
                    await log.append([note("c")], time_us=T0_US, expected={"fleet": 1})
    finally:
        await server.close()
    await written(log)
    await log.close()


async def written(log: EventLog) -> None:
    """The second event gets into the log in the end."""
    async with asyncio.timeout(90):
        while log.head.position < 2:
            try:
                await log.append([note("b")], time_us=T0_US, expected={"fleet": 1})
            except LogUnavailable:
                await asyncio.sleep(0.05)
    assert (await log.verify()).ok


@pytest.mark.postgres
async def test_a_standby_is_waited_out(postgres_url: str) -> None:
    """What it holds may be older than what was committed: nothing is concluded from that."""
    import asyncpg

    log = await open_log(postgres_url)
    await log.append([note("a")], time_us=T0_US)
    server = await asyncpg.connect(postgres_url)
    name = await server.fetchval("SELECT current_database()")
    await server.execute("CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    await server.execute(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
    await server.execute(f"{ENDED} WHERE datname = current_database() AND pid <> pg_backend_pid()")
    said = ""
    for _ in range(2 * (1 + MAX_READERS)):  # each session is found lost first
        with pytest.raises(LogUnavailable) as failed:
            await log.append([note("b")], time_us=T0_US)
        said = str(failed.value)
    assert "is a standby" in said
    await server.execute("DROP FUNCTION public.pg_is_in_recovery()")
    await written(log)
    await server.close()
    await log.close()


@pytest.mark.postgres
async def test_what_the_server_does_not_let_us_do_is_said_and_no_damage(postgres_url: str) -> None:
    import asyncpg

    server = await asyncpg.connect(postgres_url)
    name, poor = await server.fetchval("SELECT current_database()"), f"poor_{os.urandom(4).hex()}"
    await server.execute(f"CREATE ROLE {poor} LOGIN")
    as_poor = postgres_url.replace("//postgres:@", f"//{poor}:@")
    for url, what in (
        (postgres_url.replace(name, "nowhere"), 'database "nowhere" does not exist'),
        (postgres_url.replace("//postgres:@", "//nobody:@"), 'role "nobody" does not exist'),
        (as_poor, "permission denied for schema public"),
    ):
        with pytest.raises(LogUnavailable, match=what):
            await open_log(url)
    await server.execute(f"GRANT ALL ON SCHEMA public TO {poor}")
    log = await open_log(as_poor)
    await log.append([note("a")], time_us=T0_US)
    await server.execute("ALTER TABLE events OWNER TO CURRENT_USER")
    with pytest.raises(LogUnavailable, match="permission denied for table events"):
        await log.append([note("b")], time_us=T0_US)
    await server.execute(f"ALTER TABLE events OWNER TO {poor}")
    await written(log)
    await log.close()
    await server.close()


@pytest.mark.parametrize("error", ["DeadlockDetectedError", "SerializationError"])
def test_a_transaction_that_the_server_took_back_is_tried_again(error: str) -> None:
    import asyncpg

    problem = storage_problem(getattr(asyncpg, error)("taken back"), "the log")
    assert isinstance(problem, LogUnavailable)


@pytest.mark.postgres
async def test_more_readers_than_sessions_wait_and_are_told_so(postgres_url: str) -> None:
    log = await open_log(postgres_url)
    engine = log._recorder._db._engine  # type: ignore[attr-defined]
    engine.sync_engine.pool._timeout = 0.05
    async with AsyncExitStack() as stack:
        for _ in range(MAX_READERS):
            await stack.enter_async_context(engine.connect())
        with pytest.raises(LogUnavailable, match="others read the log"):
            await log.rows(EventQuery())
    assert (await log.rows(EventQuery())).items == ()
    await log.close()


@pytest.mark.postgres
async def test_whoever_lost_the_lock_to_another_writer_stops(postgres_url: str) -> None:
    import asyncpg

    log = await open_log(postgres_url)
    await log.append([note("a")], time_us=T0_US)
    server = await asyncpg.connect(postgres_url)
    await server.execute("SELECT pg_terminate_backend($1)", raw(log).get_server_pid())
    other = await opened_once_free(postgres_url)
    await other.append([note("b")], time_us=T0_US)
    with pytest.raises(LogCorrupt, match="another writer"):
        await log.append([note("c")], time_us=T0_US)
    await other.append([note("d")], time_us=T0_US)
    assert (await other.verify()).ok
    for it in (log, other, server):
        await it.close()


@pytest.mark.postgres
async def test_a_session_that_the_writer_found_lost_is_not_handed_to_a_reader(postgres_url: str) -> None:
    import asyncpg

    log = await open_log(postgres_url)
    await log.append([note("a")], time_us=T0_US)
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"{ENDED} WHERE datname = current_database() AND pid <> pg_backend_pid()")
    database = log._recorder._db  # type: ignore[attr-defined]
    await database._drop_writer()
    with pytest.raises(LogUnavailable):
        await database.settle()
    await written(log)  # and read, by a session that is not the lost one once more
    await server.close()
    await log.close()
