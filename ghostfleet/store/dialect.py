"""The only place with SQL that one database understands and the other does not, and with what their errors mean."""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ghostfleet.errors import GhostFleetError
from ghostfleet.store.errors import LogCorrupt, LogUnavailable

BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for another connection's lock before it says locked."""
WAL_PAGES = 4_000
"""A commit that finds the write-ahead file longer than this copies it into the database (16 MiB): by then most pages were
written many times and are copied once."""
WAL_LIMIT_BYTES = 32 * 2**20
"""The write-ahead file is cut back when it is longer: only a reader that held on can have let it grow so far."""

CACHE_KIB = 32 * 1024
"""Pages a commit may change before SQLite has to write them out early. Of 2 MiB, SQLite's own, a commit of a thousand wallets
(each with its own place in three indexes) changes more; then its pages are written twice and read again in between."""

SQLITE_UNDO_IN_MEMORY = "PRAGMA temp_store = MEMORY"
"""What could undo a single statement is a copy of every page it changes; beyond 64 KiB it would be a temporary file, half of what
a commit of a thousand rows writes. It is gone with the statement."""

SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys = ON",
)
SQLITE_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
    f"PRAGMA cache_size = -{CACHE_KIB}",
    SQLITE_UNDO_IN_MEMORY,
)
SQLITE_READER_PRAGMAS = ("PRAGMA query_only = ON",)
SQLITE_INTEGRITY = "PRAGMA integrity_check(1)"
SQLITE_QUICK_CHECK = "PRAGMA quick_check(1)"
"""The same without the indexes' contents: seconds where that takes minutes."""
SQLITE_TRUNCATE_WAL = ("PRAGMA busy_timeout = 0", "PRAGMA wal_checkpoint(TRUNCATE)", SQLITE_PRAGMAS[0])
"""A checkpoint that has to wait for a reader gives up instead: the next one may find none."""
SQLITE_ONE_FILE = ("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE")
"""A file that is copied, moved or read from a read-only disk has no write-ahead file beside it."""
SQLITE_COMPACT = ("PRAGMA temp_store = FILE", "VACUUM", SQLITE_UNDO_IN_MEMORY)
"""The whole log is copied on the way: not in memory."""

BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
"""A deferred transaction that turns into a writer deadlocks with another one (langgraph pull 8135)."""

POSTGRES_LOCK_KEY = 0x67686F7374_666C
"""`ghostfl`: the advisory lock of the one writer, per database."""
POSTGRES_TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
POSTGRES_OWN_SESSION = (
    "SELECT pid, backend_start, pg_is_in_recovery() FROM pg_stat_activity WHERE pid = pg_backend_pid()"
)
POSTGRES_END_SESSION = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start IS NOT DISTINCT FROM $2"
)
"""A process number alone may be somebody else's by now."""
POSTGRES_HOLDER = (
    "SELECT a.pid, coalesce(host(a.client_addr), 'local'), a.backend_start::text, a.application_name"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (l.classid::bigint << 32 | l.objid::bigint) = $1"
)

APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER events_keep_updated BEFORE UPDATE ON events"
        " BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
        "CREATE TRIGGER events_keep_deleted BEFORE DELETE ON events"
        " BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
        "CREATE TRIGGER events_keep_replaced BEFORE INSERT ON events"
        " WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)"
        " BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION events_keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$",
        "CREATE TRIGGER events_keep_rows BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_keep()",
        "CREATE TRIGGER events_keep_all BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_keep()",
    ),
}
"""The triggers that refuse to change or delete rows. REPLACE deletes without asking the DELETE trigger, hence the third."""

LIFT_APPEND_ONLY = {
    "sqlite": ("DROP TRIGGER events_keep_deleted",),
    "postgresql": ("ALTER TABLE events DISABLE TRIGGER events_keep_rows",),
}
"""Inside the one transaction that moves events to an archive; its other half is ..."""
RESTORE_APPEND_ONLY = {
    "sqlite": (APPEND_ONLY["sqlite"][1],),
    "postgresql": ("ALTER TABLE events ENABLE TRIGGER events_keep_rows",),
}
"""... this. Both databases undo either with the transaction, and let nobody else delete in between."""


def set_aside(schema: str, tables: Sequence[str]) -> list[str]:
    """PostgreSQL: take a log's tables, indexes and triggers out of the way, into a schema of their own."""
    moves = [f'ALTER TABLE "{table}" SET SCHEMA "{schema}"' for table in tables]
    return [f'CREATE SCHEMA "{schema}"', *moves, f'ALTER FUNCTION events_keep() SET SCHEMA "{schema}"']


def raw_dialect(name: str) -> Dialect:
    """The dialect with the parameter style that the driver itself takes, for statements prepared once."""
    if name == "sqlite":
        return sqlite.dialect(paramstyle="qmark")
    return postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=64)
def wide(sql: str, rows: int) -> str:
    """A prepared SQLite statement for one row (INSERT ... VALUES, or WITH ... VALUES ...) as one for so many."""
    if sql.startswith("WITH"):
        head, values, row = sql.partition("(VALUES ")
        row, end, tail = row.partition(")")
        return head + values + ", ".join([row + end] * rows) + tail
    head, values, row = sql.partition(" VALUES ")
    row, conflict, action = row.partition(" ON CONFLICT ")
    return head + values + ", ".join([row] * rows) + conflict + action


def insert_new(name: str, table: Table, **values: Any) -> Any:
    """INSERT that leaves a row alone which is already there."""
    insert = sqlite.insert if name == "sqlite" else postgresql.insert
    statement = insert(table)
    return (statement.values(**values) if values else statement).on_conflict_do_nothing()


def upsert(name: str, table: Table, key: str) -> Any:
    """INSERT that replaces the other columns of a row which is already there."""
    insert = sqlite.insert if name == "sqlite" else postgresql.insert
    statement = insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name != key}
    return statement.on_conflict_do_update(index_elements=[key], set_=others)


SQLITE_STORAGE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file or its disk is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an input/output error",
    sqlite3.SQLITE_BUSY: "another connection holds the database",
    sqlite3.SQLITE_LOCKED: "another connection holds a table",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_PROTOCOL: "the file's locks do not work",
    sqlite3.SQLITE_AUTH: "access is denied",
}
"""SQLite's primary result codes that say something of the storage, not of the statement."""
SQLITE_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
POSTGRES_STORAGE = ("08", "25", "28", "3D", "40", "53", "55", "57", "58")
"""SQLSTATE classes: connection, read-only transaction, no such role or a wrong password, no such database, rolled back (deadlock,
serialisation), resources (disk full), locks, shutdown, system error."""
POSTGRES_NO_RIGHT = "42501"
"""The role may not: somebody has to grant it, and the log is as it was."""


def storage_problem(error: BaseException, place: str) -> GhostFleetError | None:
    """What an error of the driver means for the log at `place`; None when it is the statement's own fault."""
    if isinstance(error, DBAPIError):
        invalid = error.connection_invalidated
        cause = error.orig if error.orig is not None else error
        driver = getattr(cause, "__cause__", None) or cause
        found = storage_problem(driver, place)
        if found is None and invalid:
            return LogUnavailable(f"the log at {place} cannot be reached: {driver}", in_doubt=True)
        return found
    if isinstance(error, sqlite3.Error):
        return _sqlite_problem(error, place)
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        if state[:2] in POSTGRES_STORAGE or state == POSTGRES_NO_RIGHT:
            return LogUnavailable(f"the log at {place} cannot be used: {error}", in_doubt=True)
        return LogCorrupt(f"the log at {place} is damaged: {error}") if state[:2] == "XX" else None
    if isinstance(error, PoolTimeout):
        return LogUnavailable(f"others read the log at {place} through every session there is: try again")
    if isinstance(error, ValueError):
        return None  # asyncpg: a parameter that does not fit its type
    if isinstance(error, (OSError, asyncpg.InterfaceError, EOFError, TimeoutError)):
        return LogUnavailable(f"the log at {place} cannot be reached: {type(error).__name__}: {error}", in_doubt=True)
    return None


def unfit(error: BaseException, place: str) -> LogCorrupt:
    """For a statement that cannot fail on a log which is as it should be: a table or row is not what it was."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return LogCorrupt(f"the log at {place} is not as this release left it: {cause}; run `ghost-fleet audit verify`")


def _sqlite_problem(error: sqlite3.Error, place: str) -> GhostFleetError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in SQLITE_DAMAGED:
        return LogCorrupt(
            f"the log at {place} is damaged: {error}; restore it from a backup (`ghost-fleet audit verify` names the row)"
        )
    if code in SQLITE_STORAGE:
        return LogUnavailable(
            f"the log at {place} cannot be used: {SQLITE_STORAGE[code]} ({error})",
            in_doubt=code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
        )
    return None
