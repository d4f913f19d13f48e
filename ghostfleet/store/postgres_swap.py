"""How is a log in PostgreSQL replaced? In one transaction: its tables into a schema of their own, new ones in their place."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ghostfleet.store import dialect
from ghostfleet.store.database import Database, Prepared, Steps
from ghostfleet.store.postgres import FAULTS, PostgresDatabase, run_steps, try_steps
from ghostfleet.store.rows import LogHead
from ghostfleet.store.schema import upgrade
from ghostfleet.store.tables import alembic_version, metadata


class Inside:
    """The database as the open transaction of one session sees it."""

    dialect = "postgresql"
    wal_bytes = 0

    def __init__(self, raw: Any, place: str) -> None:
        self._raw = raw
        self.place = place

    async def fetch(
        self, statement: Prepared, params: tuple[Any, ...] | None = None, *, whole: bool = False
    ) -> list[tuple[Any, ...]]:
        """All rows, of this transaction's doing too."""
        found = await self._raw.fetch(statement.sql, *(statement.values if params is None else params))
        return [tuple(row) for row in found]

    async def write(self, rows: Steps, derived: Steps, last: Callable[[bool], Steps]) -> bool:
        """A part of the transaction."""
        await run_steps(self._raw, rows)
        applied = not derived or await try_steps(self._raw, derived)
        await run_steps(self._raw, last(applied))
        return applied

    async def settle(self) -> None:
        """It all lands with the transaction, or nothing."""

    def witnessed(self) -> LogHead | None:
        """Nobody but the server knows."""
        return None

    def witness(self, head: LogHead) -> None:
        """The server keeps its own."""

    async def compact(self) -> None:
        """The server does that by itself."""

    async def faults(self) -> str:
        """A server checks its own pages."""
        return ""

    async def close(self) -> None:
        """The transaction ends with its block."""


@asynccontextmanager
async def emptied(database: PostgresDatabase, aside: str) -> AsyncIterator[Database]:
    """A migrated log without events in the place of the one there; it counts when the block ends without an error.

    The old one goes into the schema `aside`; an empty name is for a log that holds nothing yet and stays.
    Raises LogUnavailable, LogCorrupt; whatever the block raises undoes everything.
    """
    writing, raw = database.writing_session
    tables = [*(table.name for table in metadata.sorted_tables), alembic_version.name]
    try:
        async with writing.begin():
            if aside:
                for sql in dialect.set_aside(aside, tables):
                    await writing.exec_driver_sql(sql)
            await writing.run_sync(upgrade, database.place)
            yield Inside(raw, database.place)
    except FAULTS as error:
        raise dialect.storage_problem(error, database.place) or dialect.unfit(error, database.place) from None
