"""SQLite: reads cannot hold the write-ahead file, writers cannot deadlock, pragmas are set where they can be set."""

import asyncio
import contextlib
import itertools
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, event

from ghostfleet.domain.events import FLEET_STREAM, NewEvent, ServiceStopped
from ghostfleet.domain.state import State
from ghostfleet.store import dialect, schema, sqlite
from ghostfleet.store.database import Prepared
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.store.queries import EventQuery
from ghostfleet.store.sqlite import SqliteDatabase
from ghostfleet.telemetry import Metrics
from tests.acceptance.service_process import until
from tests.incidents.staged_fleet import broken_by

T0_US = 1_767_225_600_000_000
ROOT = Path(__file__).parents[2]
ENDLESS = Prepared(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, events", (), ()
)
"""A read that holds its snapshot for as long as it is let."""
SOON_SECS = 10.0
PATIENT_SECS = 20.0
"""What is over so late was not ended by whoever gave up."""
_number = itertools.count()


def note(text: str) -> NewEvent:
    return NewEvent(FLEET_STREAM, ServiceStopped(reason=text))


@contextlib.asynccontextmanager
async def fresh_log(tmp_path: Path, events: int = 1) -> AsyncIterator[tuple[EventLog, SqliteDatabase]]:
    """A log of its own for each run of a test."""
    log = await open_log(f"sqlite:///{tmp_path}/log-{next(_number)}.db")
    try:
        await log.append([note(f"n{n}") for n in range(events)], time_us=T0_US)
        yield log, log._recorder._db  # type: ignore[attr-defined]
    finally:
        await log.close()


async def held(database: SqliteDatabase) -> bool:
    """Whether some reader keeps the write-ahead file from being copied back and cut to nothing."""
    assert database._writer is not None
    for sql in ("PRAGMA busy_timeout = 0", "PRAGMA wal_checkpoint(TRUNCATE)"):
        found = list(await database._writer.execute_fetchall(sql))
    return bool(found[0][0])


async def let_go(database: SqliteDatabase) -> None:
    """Wait until no reader holds on."""

    async def free() -> bool:
        return not await held(database)

    await until(free, "no reader holds the write-ahead file", SOON_SECS)


async def reading(database: SqliteDatabase) -> None:
    """Wait until some reader is in the middle of it."""
    await until(lambda: held(database), "a reader holds the write-ahead file", SOON_SECS)


# --- reads cannot pin ------------------------------------------------------------------------------------------------


def _a_cancelled_read_goes_on() -> AbstractContextManager[Any]:
    class Never(BaseException):
        """Nobody raises this."""

    return patch.object(sqlite, "asyncio", SimpleNamespace(CancelledError=Never))


@pytest.mark.long
@broken_by(_a_cancelled_read_goes_on)
async def test_a_cancelled_read_lets_its_snapshot_go(tmp_path: Path) -> None:
    """WingedGuardian/GENesis-AGI pull 647.

    A cancelled read left a pinned SQLite snapshot: the write-ahead file grew to 2 GB, and writes failed for ever.
    """
    async with fresh_log(tmp_path) as (log, database):
        database.read_secs = PATIENT_SECS
        read = asyncio.create_task(database.fetch(ENDLESS))
        await log.append([note("behind the snapshot")], time_us=T0_US)
        await reading(database)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        await let_go(database)


async def test_reads_cancelled_at_any_moment_leave_every_reader_usable(tmp_path: Path) -> None:
    """WingedGuardian/GENesis-AGI pull 647: cancelled at any of its steps, also while it waits for a reader."""
    async with fresh_log(tmp_path, events=2000) as (log, database):
        for steps in range(40):
            reads = [asyncio.create_task(log.rows(EventQuery(limit=1000))) for _ in range(6)]
            for _ in range(steps % 20):
                await asyncio.sleep(0.0005 if steps >= 20 else 0)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
            await log.append([note("goes on")], time_us=T0_US)
        await let_go(database)
        pages = await asyncio.gather(*(log.rows(EventQuery(limit=1000)) for _ in range(8)))
        assert {len(page.items) for page in pages} == {1000}
        half_way = log.read()
        assert (await anext(half_way)).position == 1
        assert not await held(database)  # a reader that stops in the middle of the log holds nothing either
        await half_way.aclose()  # type: ignore[attr-defined]


@pytest.mark.long
@broken_by(lambda: patch.object(sqlite, "STEPS_A_LOOK", 2**31 - 1))
async def test_a_read_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """WingedGuardian/GENesis-AGI pull 647 and doobidoo/mcp-memory-service pull 1258: a read has only so long to live."""
    async with fresh_log(tmp_path) as (_, database), asyncio.timeout(2 * SOON_SECS):
        database.read_secs = 0.2
        with pytest.raises(LogUnavailable, match="ask for less"):
            await database.fetch(ENDLESS)
        await let_go(database)


def test_the_size_of_the_write_ahead_file_is_a_metric_with_an_alert(tmp_path: Path) -> None:
    """WingedGuardian/GENesis-AGI pull 647: nobody saw it grow."""

    async def measured() -> None:
        async with fresh_log(tmp_path, events=100) as (log, _):
            rendered = Metrics("0.1.0", wal_bytes=lambda: log.wal_bytes).render(State(), ()).decode()
            shown = re.search(r"^ghost_fleet_wal_bytes (\S+)$", rendered, re.MULTILINE)
            assert shown is not None
            assert float(shown[1]) == log.wal_bytes > 0

    asyncio.run(measured())
    alerts = (ROOT / "deploy" / "alerts.yml").read_text()
    alert = re.search(r"alert: GhostFleetWalGrows\s+expr: ghost_fleet_wal_bytes > (\d+)", alerts)
    assert alert is not None
    assert int(alert[1]) >= 2 * dialect.WAL_LIMIT_BYTES


# --- checkpoints truncate --------------------------------------------------------------------------------------------


def _never_cut_back() -> AbstractContextManager[Any]:
    @contextlib.contextmanager
    def both() -> Iterator[None]:
        pragmas = tuple(it for it in dialect.SQLITE_WRITER_PRAGMAS if "journal_size_limit" not in it)
        with (
            patch.object(dialect, "SQLITE_WRITER_PRAGMAS", pragmas),
            patch.object(SqliteDatabase, "_truncate", lambda *_: None),
        ):
            yield

    return both()


@broken_by(_never_cut_back)
async def test_a_write_ahead_file_that_a_reader_let_grow_is_cut_back_once_it_lets_go(tmp_path: Path) -> None:
    """doobidoo/mcp-memory-service pull 1258: a write-ahead file of 1.1 GB never shrank."""
    big = [note("x" * 60_000) for _ in range(40)]
    async with fresh_log(tmp_path) as (log, database):
        other = sqlite3.connect(database.path, isolation_level=None)  # a backup, a shell: none of our own
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchall()
        while log.wal_bytes <= dialect.WAL_LIMIT_BYTES * 5 // 4:
            await log.append(big, time_us=T0_US)
        other.execute("ROLLBACK")
        other.close()
        for _ in range(3):
            await log.append([note("small")], time_us=T0_US)
        assert log.wal_bytes <= dialect.WAL_LIMIT_BYTES
        assert (await log.verify()).ok


def _reads_share_the_writers_connection() -> AbstractContextManager[Any]:
    async def on_the_writer(self: SqliteDatabase, statement: Prepared, params: Any = None, **_: Any) -> Any:
        values = statement.values if params is None else params
        return await sqlite._read(self._writer, statement.sql, values, 1.0)  # type: ignore[arg-type]

    return patch.object(SqliteDatabase, "fetch", on_the_writer)


@broken_by(_reads_share_the_writers_connection)
async def test_a_slow_read_holds_up_neither_appends_nor_other_reads(tmp_path: Path) -> None:
    """doobidoo/mcp-memory-service pull 1258: one slow read froze the server."""
    async with fresh_log(tmp_path) as (log, database):
        slow = [asyncio.create_task(database.fetch(ENDLESS)) for _ in range(sqlite.MAX_READERS - 1)]
        try:
            await log.append([note("behind the snapshot")], time_us=T0_US)
            await reading(database)
            for n in range(30):
                await log.append([note(f"append {n}")], time_us=T0_US)
                assert len((await log.rows(EventQuery(limit=5))).items) >= 2
            assert not any(read.done() for read in slow)
        finally:
            for read in slow:
                read.cancel()
            await asyncio.gather(*slow, return_exceptions=True)


# --- transactions and pragmas ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def traced() -> Iterator[list[str]]:
    """Every statement of every connection that is made meanwhile."""
    statements: list[str] = []

    def trace(connection: Any, _record: object) -> None:
        connection.run_async(lambda driver: driver.set_trace_callback(statements.append))

    event.listen(Engine, "connect", trace)
    try:
        yield statements
    finally:
        event.remove(Engine, "connect", trace)


def inside(statements: list[str], what: Callable[[str], bool]) -> list[str]:
    """Those of the statements that were carried out between BEGIN and its end."""
    found: list[str] = []
    open_ = False
    for sql in statements:
        if sql.startswith("BEGIN"):
            open_ = True
        elif sql.startswith(("COMMIT", "ROLLBACK")) and not sql.startswith("ROLLBACK TO"):
            open_ = False
        elif open_ and what(sql):
            found.append(sql)
    return found


def _journal_mode_in_the_migration() -> AbstractContextManager[Any]:
    @contextlib.contextmanager
    def both() -> Iterator[None]:
        upgrade = schema.upgrade

        def in_its_transaction(connection: Any, place: str, target: str = "head") -> None:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            upgrade(connection, place, target)

        with (
            patch.object(dialect, "SQLITE_WRITER_PRAGMAS", ("PRAGMA synchronous = FULL",)),
            patch.object(sqlite, "upgrade", in_its_transaction),
        ):
            yield

    return both()


@broken_by(_journal_mode_in_the_migration)
async def test_journal_mode_is_set_at_the_connection_and_not_in_the_migrations_transaction(tmp_path: Path) -> None:
    """open-edge-platform/geti pull 7362: journal_mode set inside Alembic's transaction fails."""
    path = tmp_path / f"log-{next(_number)}.db"
    for start in ("a new file", "a backup in rollback mode"):
        with traced() as statements:
            log = await open_log(f"sqlite:///{path}")
            await log.append([note(start)], time_us=T0_US)
            mode = list(await log._recorder._db._writer.execute_fetchall("PRAGMA journal_mode"))  # type: ignore[attr-defined]
            await log.close()
        assert mode == [("wal",)]
        assert "PRAGMA journal_mode = WAL" in statements
        assert any(sql.startswith("BEGIN") for sql in statements)
        assert inside(statements, lambda sql: "journal_mode" in sql.lower()) == []
        other = sqlite3.connect(path)
        assert other.execute("PRAGMA journal_mode = DELETE").fetchall() == [("delete",)]
        other.close()


def _deferred() -> AbstractContextManager[Any]:
    return patch.dict(dialect.BEGIN, sqlite="BEGIN")


@broken_by(_deferred)
async def test_no_transaction_turns_from_a_reader_into_a_writer(tmp_path: Path) -> None:
    """langchain-ai/langgraph pull 8135: deferred transactions deadlock when they upgrade their lock."""
    path = tmp_path / f"log-{next(_number)}.db"
    check = schema.check_level
    between: list[str] = []

    def somebody_else_writes(connection: Any, place: str) -> None:
        """Between what a migration reads and what it writes."""
        check(connection, place)
        other = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            other.execute("INSERT INTO log_meta (key, value) VALUES ('somebody', 'else')")
            between.append("written")
        except sqlite3.OperationalError as locked:
            between.append(str(locked))
        other.close()

    await (await open_log(f"sqlite:///{path}")).close()
    with patch.object(schema, "check_level", somebody_else_writes):
        log = await open_log(
            f"sqlite:///{path}"
        )  # a deferred transaction fails here, at once, however long it may wait
    await log.close()
    assert between == ["database is locked"]


@broken_by(_deferred)
async def test_every_transaction_begins_immediate(tmp_path: Path) -> None:
    """langchain-ai/langgraph pull 8135: migrations, appends, snapshots and read models alike."""
    with traced() as statements:
        async with fresh_log(tmp_path) as (log, _):
            await log.save_snapshot(1, 1, b"state")
            await log.rebuild_projections()
    begun = {sql for sql in statements if sql.startswith("BEGIN")}
    assert begun == {"BEGIN IMMEDIATE"}
    writes = [sql for sql in statements if re.match(r"\s*(INSERT|UPDATE|DELETE|CREATE)\b", sql)]
    assert len(inside(statements, writes.__contains__)) == len(writes) > 10


async def test_a_writer_waits_for_another_ones_lock(tmp_path: Path) -> None:
    """langchain-ai/langgraph pull 8135: a lock that is held for a moment is waited out, not an error."""
    async with fresh_log(tmp_path) as (log, database):
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        append = asyncio.create_task(log.append([note("waits")], time_us=T0_US))
        await asyncio.sleep(0.2)
        assert not append.done()
        other.execute("ROLLBACK")
        other.close()
        assert (await append)[0].position == 2
