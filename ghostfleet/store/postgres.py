"""The log in PostgreSQL: one writing session that holds the lock, a few reading ones."""

import os
import socket
from collections.abc import Callable
from typing import Any, Self

import asyncpg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ghostfleet.store import dialect
from ghostfleet.store.database import Prepared, Steps
from ghostfleet.store.errors import LogHeld, LogUnavailable
from ghostfleet.store.rows import LogHead
from ghostfleet.store.schema import check_level, upgrade

MAX_READERS = 4
"""Reading sessions at one time; more reads wait for one."""
CONNECT_SECS = 10
COMMAND_SECS = 60
"""A statement that takes longer has lost its server."""
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, DBAPIError, PoolTimeout)


class PostgresDatabase:
    """Owns the sessions and, through the writing one, the lock. Made by `open`."""

    dialect = "postgresql"
    wal_bytes = 0

    def __init__(self, url: URL) -> None:
        self.place = f"postgresql://{url.host or 'localhost'}/{url.database}"  # never with credentials
        self._engine = _engine(url)
        self._writing: AsyncConnection | None = None
        self._writer: Any = None
        self._session: tuple[Any, ...] = (0, None)
        """The newest writing session as the server names it: process, and since when."""

    @classmethod
    async def open(cls, url: URL, *, read_only: bool) -> Self:
        """Take the lock, migrate, connect. Raises LogHeld, SchemaTooNew, LogUnavailable, LogCorrupt."""
        database = cls(url)
        try:
            if not read_only:
                await database._take(LogHeld)
            async with database._engine.begin() as connection:
                await connection.run_sync(check_level if read_only else upgrade, database.place)
        except BaseException as error:
            await database.close()
            raise dialect.storage_problem(error, database.place) or error from None
        return database

    async def _take(self, refusal: type[LogHeld] | type[LogUnavailable]) -> Any:
        """A session of our own that holds the lock. The one before it, lost to us, is ended where the server has not noticed."""
        writing = await self._engine.connect()
        try:
            raw = (await writing.get_raw_connection()).driver_connection
            assert isinstance(raw, asyncpg.Connection)
            process, since, standby = await raw.fetchrow(dialect.POSTGRES_OWN_SESSION)
            if standby:
                raise LogUnavailable(f"the server at {self.place} is a standby, which takes no writes")
            await raw.execute(dialect.POSTGRES_END_SESSION, *self._session)
            if not await raw.fetchval(dialect.POSTGRES_TRY_LOCK, dialect.POSTGRES_LOCK_KEY):
                holders = await raw.fetch(dialect.POSTGRES_HOLDER, dialect.POSTGRES_LOCK_KEY)
                named = "; ".join(
                    f"backend {pid} of {name} ({host}, since {since})" for pid, host, since, name in holders
                )
                raise refusal(
                    f"the log at {self.place} is written by {named or 'another process'}: stop that process first"
                )
        except BaseException:
            await writing.invalidate()  # a session that was lost is not handed out again
            await writing.close()
            raise
        self._writing, self._writer, self._session = writing, raw, (process, since)
        return raw

    async def settle(self) -> None:
        """A session that was lost may still be committing: it is over when its lock is ours."""
        try:
            if self._writer is None:
                await self._take(LogUnavailable)
        except FAULTS as error:
            raise dialect.storage_problem(error, self.place) or dialect.unfit(error, self.place) from None

    async def fetch(
        self, statement: Prepared, params: tuple[Any, ...] | None = None, *, whole: bool = False
    ) -> list[tuple[Any, ...]]:
        """All rows at once, outside any transaction; every statement has COMMAND_SECS, `whole` or not."""
        try:
            async with self._engine.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                try:
                    found = await raw.fetch(statement.sql, *(statement.values if params is None else params))
                except BaseException:
                    await connection.invalidate()
                    raise
                return [tuple(row) for row in found]
        except FAULTS as error:
            raise dialect.storage_problem(error, self.place) or dialect.unfit(error, self.place) from None

    async def write(self, rows: Steps, derived: Steps, last: Callable[[bool], Steps]) -> bool:
        """One transaction of the writing session; a session that was lost is replaced, lock first."""
        try:
            raw = self._writer or await self._take(LogUnavailable)
            async with raw.transaction():
                await run_steps(raw, rows)
                applied = not derived or await try_steps(raw, derived)
                await run_steps(raw, last(applied))
        except FAULTS as error:
            problem = dialect.storage_problem(error, self.place)
            if problem is not None:
                await self._drop_writer()
            raise problem or dialect.unfit(error, self.place) from None
        return applied

    @property
    def writing_session(self) -> tuple[AsyncConnection, Any]:
        """The session that holds the lock, and the driver's own connection under it."""
        assert self._writing is not None, "opened read-only"
        return self._writing, self._writer

    async def _drop_writer(self) -> None:
        writing, self._writing, self._writer = self._writing, None, None
        if writing is not None:
            await writing.invalidate()
            await writing.close()

    async def compact(self) -> None:
        """The server does that by itself."""

    def witnessed(self) -> LogHead | None:
        """Nobody but the server knows."""
        return None

    def witness(self, head: LogHead) -> None:
        """The server keeps its own."""

    async def faults(self) -> str:
        """A server checks its own pages."""
        return ""

    async def close(self) -> None:
        """End every session; the lock ends with its own."""
        if self._writing is not None:
            await self._drop_writer()
        await self._engine.dispose()


async def run_steps(raw: Any, steps: Steps) -> None:
    """Carry statements out, one after another."""
    for statement, params in steps:
        if len(params) == 1:
            await raw.execute(statement.sql, *params[0])
        else:
            await raw.executemany(statement.sql, params)


async def try_steps(raw: Any, steps: Steps) -> bool:
    """The same, all of them or none; False when one of them fails by its own fault."""
    try:
        async with raw.transaction():
            await run_steps(raw, steps)
    except (asyncpg.PostgresError, ValueError) as error:
        if dialect.storage_problem(error, "") is not None:
            raise
        return False
    return True


def _engine(url: URL) -> AsyncEngine:
    said = f"ghost-fleet process {os.getpid()} on {socket.gethostname()}"[:63]
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=MAX_READERS + 1,
        max_overflow=0,
        pool_reset_on_return=None,
        connect_args={
            "timeout": CONNECT_SECS,
            "command_timeout": COMMAND_SECS,
            "server_settings": {"application_name": said},
        },
    )
