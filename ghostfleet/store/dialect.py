"""All that differs between databases: how a connection is set up, how a log is locked, how a table is made append-only."""

import asyncio
import fcntl
import json
import os
import socket
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ghostfleet.store.errors import LogHeld, NoLog

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_MS = 5000
CHECKPOINT_PAGES = 4000
"""SQLite folds the write-ahead log back at 16 MB; `journal_size_limit` keeps the file from staying larger than that."""
WAL_LIMIT_BYTES = 16 * 1024 * 1024
ADVISORY_LOCK = 0x67686F737466  # "ghostf"

DATABASE_ERRORS = (sa.exc.SQLAlchemyError, sqlite3.Error, OSError)
"""What a failing database raises, through whichever layer."""

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}",
)

APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
        "CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$",
        "CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()",
    ),
}


def words(problem: BaseException) -> str:
    """What the database said, without statement and parameters."""
    original = getattr(problem, "orig", None) or problem
    return " ".join(str(original).split())[:200]


def parse_url(url: str) -> URL:
    """The url with the driver we use. Raises NoLog for a database that we do not know."""
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise NoLog("[store] url is no database url; for example sqlite:///ghostfleet.db") from None
    driver = DRIVERS.get(parsed.drivername.split("+")[0])
    if driver is None:
        raise NoLog(f"[store] url: there is sqlite and postgresql, not {parsed.drivername}")
    return parsed.set(drivername=driver)


def sqlite_path(url: URL) -> Path | None:
    """The database file, or None for another database."""
    return Path(url.database or "") if url.drivername.startswith("sqlite") else None


def create_engine(url: URL, *, read_only: bool = False) -> AsyncEngine:
    """An engine whose connections are set up as they have to be, on connect: never inside somebody's transaction."""
    path = sqlite_path(url)
    if path is None:
        return create_async_engine(url, pool_size=4, max_overflow=2)
    if read_only:
        url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    engine = create_async_engine(url, poolclass=NullPool)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS[2:4] if read_only else SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    return engine


def wal_bytes(url: URL) -> int:
    """The size of SQLite's write-ahead log, 0 where there is none."""
    path = sqlite_path(url)
    try:
        return os.stat(f"{path}-wal").st_size if path is not None else 0
    except OSError:
        return 0


class FileLock:
    """One writer to a SQLite log: an exclusive lock on a file beside it, released by the system with the process."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def release(self) -> None:
        self._file.close()


def hold_file(database: Path) -> FileLock:
    """Raises LogHeld with who holds it."""
    path = database.with_name(database.name + ".lock")
    try:
        file = path.open("a+")
    except OSError as problem:
        raise NoLog(f"cannot open {path}: {problem.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read(500)
        file.close()
        raise LogHeld(f"{database} is held by another process: {holder or 'it has not said which'}") from None
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
    file.flush()
    return FileLock(file)


async def hold_database(connection: AsyncConnection) -> None:
    """One writer to a PostgreSQL log: an advisory lock of the session. Raises LogHeld with who holds it."""
    taken = await connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    await connection.commit()
    if taken:
        return
    found = await connection.execute(
        sa.text(
            "SELECT a.pid, a.client_addr, a.backend_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE l.locktype = 'advisory' AND l.granted"
        )
    )
    holders = "; ".join(
        f"backend {pid} from {address or 'this machine'} since {since:%F %T}" for pid, address, since in found
    )
    await connection.rollback()
    raise LogHeld(f"the log is held by another process: {holders or 'its backend is not visible'}")


async def write_sqlite(connection: Any, insert: str, rows: Sequence[tuple[Any, ...]], changes: Sequence[Any]) -> None:
    """One durable transaction in one hop to aiosqlite's thread: four hops would cost more than the commit itself."""

    def write(database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(insert, rows)
            for statement, values in changes:
                database.executemany(statement, values)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    await asyncio.shield(connection._execute(write, connection._conn))
