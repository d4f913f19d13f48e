"""What a log is written to. The SQL recorder serves SQLite and PostgreSQL; the simulator brings one in memory.

A recorder stores what it is told, atomically and durably, and knows nothing of hashes, versions or who may write.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ghostfleet.domain.values import Hash
from ghostfleet.store import dialect, tables
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.projections import Change, grouped
from ghostfleet.store.queries import (
    EventQuery,
    Page,
    TransactionQuery,
    TransactionRow,
    event_row,
    select_events,
    select_transactions,
)
from ghostfleet.store.rows import EMPTY, EventRow, LogHead

INSERT = (
    "INSERT INTO events (position, stream, version, type, type_version, critical, time_us, correlation, payload, hash) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PAGE_ROWS = 2000
"""Rows read at a time: each page is a read of its own, so that no reader pins the database's past."""


class StoredSnapshot(msgspec.Struct, frozen=True):
    """A folded state as it was saved."""

    position: int
    state: bytes
    digest: bytes


class Recorder(Protocol):
    """Storage of rows and what is derived from them. Raises LogUnavailable when it cannot."""

    async def record(self, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        """All of it or nothing, durable when it returns."""
        ...

    async def head(self) -> LogHead: ...
    async def versions(self) -> dict[str, int]: ...
    async def page(self, after: int, until: int, limit: int) -> Sequence[EventRow]: ...
    async def save_snapshot(self, snapshot: StoredSnapshot, fold_version: int, keep: int) -> None: ...
    async def snapshots(self, fold_version: int) -> Sequence[StoredSnapshot]:
        """Newest first."""
        ...

    async def rows(self, query: EventQuery) -> Page[EventRow]: ...
    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]: ...
    @property
    def wal_bytes(self) -> int: ...
    async def close(self) -> None: ...


class SqlRecorder:
    """Rows in a SQL database. Writes go through one connection, reads each through one of their own."""

    def __init__(
        self, engine: AsyncEngine, url: URL, writer: AsyncConnection | None, lock: dialect.FileLock | None
    ) -> None:
        self.engine = engine
        self.url = url
        self._writer = writer
        self._lock = lock

    @property
    def wal_bytes(self) -> int:
        return dialect.wal_bytes(self.url)

    def take(self, writer: AsyncConnection) -> None:
        """The connection that all appends go through."""
        self._writer = writer

    async def record(self, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        writer = self._writer
        if writer is None:
            raise LogUnavailable("this log was opened to be read only")
        values = [_values(row) for row in rows]
        runs = grouped(changes)
        try:
            if self.engine.dialect.name == "sqlite":
                raw = await writer.get_raw_connection()
                await dialect.write_sqlite(raw.driver_connection, INSERT, values, runs)
            else:
                await self._write(writer, rows, runs)
        except dialect.DATABASE_ERRORS as problem:
            raise LogUnavailable(f"the log cannot be written: {dialect.words(problem)}") from None

    async def _write(self, writer: AsyncConnection, rows: Sequence[EventRow], runs: Sequence[Any]) -> None:
        async with writer.begin():
            names = tables.events.c.keys()
            await writer.execute(
                sa.insert(tables.events), [dict(zip(names, _values(row), strict=True)) for row in rows]
            )
            for statement, values in runs:
                await writer.execute(sa.text(statement), values)

    async def head(self) -> LogHead:
        c = tables.events.c
        query = sa.select(c.position, c.hash).order_by(c.position.desc()).limit(1)
        async with self.reading() as reader:
            found = (await reader.execute(query)).first()
        return LogHead(found[0], Hash(found[1])) if found is not None else EMPTY

    async def versions(self) -> dict[str, int]:
        c = tables.events.c
        query = sa.select(c.stream, sa.func.max(c.version)).group_by(c.stream)
        async with self.reading() as reader:
            found = await reader.execute(query)
            return {row[0]: row[1] for row in found}

    async def page(self, after: int, until: int, limit: int) -> Sequence[EventRow]:
        c = tables.events.c
        query = (
            sa.select(tables.events).where(c.position > after, c.position <= until).order_by(c.position).limit(limit)
        )
        async with self.reading() as reader:
            return [event_row(row) for row in await reader.execute(query)]

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        async with self.reading() as reader:
            return await select_events(reader, query)

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]:
        async with self.reading() as reader:
            return await select_transactions(reader, query)

    async def save_snapshot(self, snapshot: StoredSnapshot, fold_version: int, keep: int) -> None:
        c = tables.snapshots.c
        values = {
            "position": snapshot.position,
            "fold_version": fold_version,
            "state": snapshot.state,
            "digest": snapshot.digest,
        }
        kept = sa.select(c.position).order_by(c.position.desc()).limit(keep)
        async with self.writing() as writer:
            await writer.execute(sa.delete(tables.snapshots).where(c.position == snapshot.position))
            await writer.execute(sa.insert(tables.snapshots), values)
            await writer.execute(sa.delete(tables.snapshots).where(c.position.not_in(kept.scalar_subquery())))

    async def snapshots(self, fold_version: int) -> Sequence[StoredSnapshot]:
        c = tables.snapshots.c
        query = (
            sa.select(c.position, c.state, c.digest).where(c.fold_version == fold_version).order_by(c.position.desc())
        )
        async with self.reading() as reader:
            return [
                StoredSnapshot(position, bytes(state), bytes(digest))
                for position, state, digest in await reader.execute(query)
            ]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one read. Raises LogUnavailable."""
        try:
            async with self.engine.connect() as connection:
                yield connection
        except dialect.DATABASE_ERRORS as problem:
            raise LogUnavailable(f"the log cannot be read: {dialect.words(problem)}") from None

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on a connection of its own, for what is not the log itself. Raises LogUnavailable."""
        try:
            async with self.engine.begin() as connection:
                yield connection
        except dialect.DATABASE_ERRORS as problem:
            raise LogUnavailable(f"the log cannot be written: {dialect.words(problem)}") from None

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self.engine.dispose()
        if self._lock is not None:
            self._lock.release()


def _values(row: EventRow) -> tuple[Any, ...]:
    return (
        row.position,
        row.stream,
        row.version,
        row.type,
        row.type_version,
        int(row.critical),
        row.time_us,
        row.correlation,
        row.payload,
        bytes(row.hash),
    )
