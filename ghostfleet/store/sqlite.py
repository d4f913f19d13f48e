"""The log in a SQLite file: one writing connection, a few reading ones, one hop to the writer's thread a commit."""

import asyncio
import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self, cast

import aiosqlite
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ghostfleet.errors import GhostFleetError
from ghostfleet.store import dialect
from ghostfleet.store.database import Prepared, Step, Steps
from ghostfleet.store.errors import LogCorrupt, LogMissing, LogUnavailable
from ghostfleet.store.lock import Witness, WriterLock
from ghostfleet.store.rows import LogHead
from ghostfleet.store.schema import check_level, upgrade

MAX_READERS = 4
"""Reading connections at one time; more reads wait for one."""
READ_SECS = 20.0
"""A read that takes longer is ended. Reads of the whole log, at a start and by `audit verify`, take what they take."""
STEPS_A_LOOK = 1_000_000
"""SQLite's instructions between two looks at the clock: some hundredths of a second."""
STEPS_A_QUICK_LOOK = 100_000
"""The same for the check of pages, whose instructions take longer."""
ROWS_A_STATEMENT = (256, 64, 16, 4, 1)
"""Inserts and updates take so many rows at once, the most that fit first: every statement takes the interpreter's lock twice, and
waits for it beside a busy event loop."""
UNDECODABLE = "Could not decode to UTF-8"


class SqliteDatabase:
    """Owns the lock, the witness and the connections. Made by `open`."""

    dialect = "sqlite"

    def __init__(self, path: Path, readers: AsyncEngine) -> None:
        self.path, self.place = path, str(path)
        self._readers = readers
        self._lock: WriterLock | None = None
        self._witness = Witness(path)
        self._writers: AsyncEngine | None = None
        self._writing: AsyncConnection | None = None
        self._writer: aiosqlite.Connection | None = None
        self._wal = path.with_name(path.name + "-wal")
        self._truncate_at = dialect.WAL_LIMIT_BYTES
        self.read_secs = READ_SECS

    @classmethod
    async def open(cls, path: Path, *, read_only: bool, create: bool) -> Self:
        """Take the lock, migrate, connect. Raises LogHeld, LogMissing, SchemaTooNew, LogUnavailable, LogCorrupt."""
        if not os.path.exists(path) and (read_only or not create):
            raise LogMissing(f"there is no log at {path}")
        database = cls(path, _engine(path, writes=False))
        try:
            if not read_only:
                database._lock = WriterLock(path)
                await database._connect_writer()
            else:
                async with database._readers.connect() as connection:
                    await connection.run_sync(check_level, database.place)
        except BaseException as error:
            await database.close()
            raise _problem(error, database.place) or error from None
        return database

    async def _connect_writer(self) -> None:
        self._writers = _engine(self.path, writes=True)
        async with self._writers.begin() as connection:
            await connection.run_sync(upgrade, self.place)
        self._writing = await self._writers.connect()
        raw = (await self._writing.get_raw_connection()).driver_connection
        assert isinstance(raw, aiosqlite.Connection)
        self._writer = raw

    def witnessed(self) -> LogHead | None:
        """Where the log is known to have ended; None when nobody wrote that down."""
        return self._witness.read()

    def witness(self, head: LogHead) -> None:
        """Note where the log ends now."""
        self._witness.write(head)

    async def fetch(
        self, statement: Prepared, params: tuple[Any, ...] | None = None, *, whole: bool = False
    ) -> list[tuple[Any, ...]]:
        """All rows at once: the statement is over, and its snapshot let go, before the next one begins.

        It is ended after READ_SECS, and with the task that asked: a snapshot that is held keeps the write-ahead file growing
        (GENesis-AGI pull 647).
        """
        values = statement.values if params is None else params
        try:
            async with self._readers.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert isinstance(raw, aiosqlite.Connection)
                try:
                    return await _read(raw, statement.sql, values, math.inf if whole else self.read_secs)
                except asyncio.CancelledError:
                    raw._conn.interrupt()
                    raise
        except _TooLong:
            raise LogUnavailable(
                f"reading the log at {self.place} took longer than {self.read_secs:g} s and was ended: ask for less at once"
            ) from None
        except PoolTimeout:
            raise LogUnavailable(f"{MAX_READERS} others read the log at {self.place}: try again") from None
        except MemoryError:
            raise LogCorrupt(
                f"the log at {self.place} holds a row that does not fit memory: its length is damaged"
            ) from None
        except (sqlite3.Error, DBAPIError, UnicodeDecodeError) as error:
            raise _problem(error, self.place) or dialect.unfit(error, self.place) from None

    async def write(self, rows: Steps, derived: Steps, last: Callable[[bool], Steps]) -> bool:
        """One transaction in one hop to the connection's thread."""
        assert self._writer is not None, "opened read-only"
        try:
            applied: bool = await self._writer._execute(self._transact, rows, derived, last)  # type: ignore[no-untyped-call]
        except sqlite3.Error as error:
            raise dialect.storage_problem(error, self.place) or dialect.unfit(error, self.place) from None
        return applied

    async def settle(self) -> None:
        """A commit of this process is over when its statement is."""

    async def compact(self) -> None:
        """Give the space of rows that are gone back to the disk."""
        assert self._writer is not None, "opened read-only"
        try:
            for sql in dialect.SQLITE_COMPACT:
                await self._writer.execute_fetchall(sql)
        except sqlite3.Error as error:
            raise dialect.storage_problem(error, self.place) or dialect.unfit(error, self.place) from None

    def _transact(self, rows: Steps, derived: Steps, last: Callable[[bool], Steps]) -> bool:
        """In the writer's thread. What is derived is tried along with the rows, and left out in a second try: a savepoint before
        it would copy every page that it changes."""
        try:
            self._commit(*rows, *derived, *last(True))
            applied = True
        except (sqlite3.Error, OverflowError) as error:
            if not derived or dialect.storage_problem(error, "") is not None:
                raise
            self._commit(*rows, *last(False))
            applied = False
        if self.wal_bytes >= self._truncate_at:
            self._truncate()
        return applied

    def _commit(self, *steps: Step) -> None:
        """One transaction, or an error and none."""
        connection = self._connection
        connection.execute(dialect.BEGIN["sqlite"])
        try:
            _run(connection, steps)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    @property
    def _connection(self) -> sqlite3.Connection:
        """The writing one, for its own thread."""
        assert self._writer is not None, "opened read-only"
        return self._writer._conn

    def _truncate(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            for sql in dialect.SQLITE_TRUNCATE_WAL:
                self._connection.execute(sql).fetchall()
        self._truncate_at = max(dialect.WAL_LIMIT_BYTES, self.wal_bytes + dialect.WAL_LIMIT_BYTES)

    @property
    def wal_bytes(self) -> int:
        """Length of the write-ahead file."""
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0

    async def faults(self) -> str:
        """Pages and indexes, by SQLite's own check."""
        found = await self.fetch(Prepared(dialect.SQLITE_INTEGRITY, (), ()), whole=True)
        return "" if found == [("ok",)] else "; ".join(str(row[0]) for row in found)

    async def close(self) -> None:
        """Close every connection, then let the lock go."""
        if self._writing is not None:
            await self._writing.close()
        for engine in (self._readers, self._writers):
            if engine is not None:
                await engine.dispose()
        self._witness.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def as_one_file(path: Path) -> None:
    """Bring what stands in the write-ahead file of a log that nobody has open into the log, and do without one.

    Raises LogCorrupt, LogUnavailable.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for sql in dialect.SQLITE_ONE_FILE:
                connection.execute(sql).fetchall()
    except sqlite3.Error as error:
        raise dialect.storage_problem(error, str(path)) or dialect.unfit(error, str(path)) from None


def quick_faults(path: Path, secs: float) -> str:
    """What SQLite finds wrong with the pages of a log, whoever has it open; empty when nothing, or when the time was up first."""
    until = time.monotonic() + secs
    try:
        with contextlib.closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=secs)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() >= until, STEPS_A_QUICK_LOOK)
            found = connection.execute(dialect.SQLITE_QUICK_CHECK).fetchone()
    except sqlite3.Error as error:
        return "" if time.monotonic() >= until else str(error)
    return "" if found == ("ok",) else str(found[0]) if found else "no answer"


class _TooLong(Exception):
    """A read was ended because its time was up."""


async def _read(reader: aiosqlite.Connection, sql: str, values: tuple[Any, ...], secs: float) -> list[tuple[Any, ...]]:
    found = await reader._execute(_fetch_all, reader, sql, values, secs)  # type: ignore[no-untyped-call]
    return cast(list[tuple[Any, ...]], found)


def _fetch_all(reader: aiosqlite.Connection, sql: str, values: tuple[Any, ...], secs: float) -> list[tuple[Any, ...]]:
    """In the reader's thread."""
    connection, until = reader._conn, time.monotonic() + secs
    connection.set_progress_handler(lambda: time.monotonic() >= until, STEPS_A_LOOK)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT and time.monotonic() >= until:
            raise _TooLong from None
        raise


def _problem(error: BaseException, place: str) -> GhostFleetError | None:
    """What SQLite's or its driver's error means; None when it is the statement's own fault."""
    if isinstance(error, UnicodeDecodeError) or UNDECODABLE in str(error):
        return LogCorrupt(f"the log at {place} holds text that is not UTF-8")
    return dialect.storage_problem(error, place)


def _run(connection: sqlite3.Connection, steps: Steps) -> None:
    for statement, params in steps:
        if statement.sql.startswith(("INSERT", "WITH")):
            _run_wide(connection, statement.sql, params)
        else:
            connection.executemany(statement.sql, params)


def _run_wide(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    done = 0
    for many in ROWS_A_STATEMENT:
        while len(rows) - done >= many:
            connection.execute(dialect.wide(sql, many), list(chain.from_iterable(rows[done : done + many])))
            done += many


def _engine(path: Path, *, writes: bool) -> AsyncEngine:
    mode = "rwc" if writes else "ro"
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{_quoted(path)}?mode={mode}&uri=true",
        pool_size=1 if writes else MAX_READERS,
        max_overflow=0,
        pool_reset_on_return=None,
    )
    pragmas = dialect.SQLITE_PRAGMAS + (dialect.SQLITE_WRITER_PRAGMAS if writes else dialect.SQLITE_READER_PRAGMAS)

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, and only there
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    event.listen(engine.sync_engine, "connect", connected)
    if writes:
        event.listen(engine.sync_engine, "begin", lambda it: it.exec_driver_sql(dialect.BEGIN["sqlite"]))
    return engine


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
