"""What does the SQL recorder need of a database? Prepared statements, one transaction at a time, reads that hold nothing."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy.sql import ClauseElement

from ghostfleet.store.dialect import raw_dialect
from ghostfleet.store.rows import LogHead


class Prepared(msgspec.Struct, frozen=True):
    """A statement as the driver takes it, the names of its parameters in order, and the values it was built with."""

    sql: str
    names: tuple[str, ...]
    values: tuple[Any, ...]

    def row(self, **params: Any) -> tuple[Any, ...]:
        """Parameters by name, in order; those not named keep their values."""
        return tuple(map(params.get, self.names, self.values))


Step = tuple[Prepared, Sequence[tuple[Any, ...]]]
"""A statement, with the rows it is executed for."""
Steps = Sequence[Step]


def prepare(dialect: str, statement: ClauseElement) -> Prepared:
    """Compile a Core statement once, for the driver itself."""
    compiled = statement.compile(dialect=raw_dialect(dialect))
    params = compiled.params or {}
    names = tuple(getattr(compiled, "positiontup", None) or ())
    return Prepared(str(compiled), names, tuple(params.get(name) for name in names))


class Database(Protocol):
    """One open database. Errors of the storage come as LogUnavailable or LogCorrupt, those of a statement as they are."""

    dialect: str
    place: str

    async def fetch(
        self, statement: Prepared, params: tuple[Any, ...] | None = None, *, whole: bool = False
    ) -> list[tuple[Any, ...]]:
        """All rows of a bounded select, on a connection of its own that is idle afterwards. Ended after a time limit, unless it
        has to look at the `whole` log."""
        ...

    async def write(self, rows: Steps, derived: Steps, last: Callable[[bool], Steps]) -> bool:
        """One durable transaction. When `derived` fails by its own fault it is left out, and False is the answer, given to
        `last` as well."""
        ...

    async def settle(self) -> None:
        """Return when every commit of this process that failed has landed or never will. Raises LogUnavailable while one may."""
        ...

    async def compact(self) -> None:
        """Give the space of rows that are gone back to the disk, where the database does not do so by itself."""
        ...

    def witnessed(self) -> LogHead | None:
        """Where the log ended at the newest commit that was noted; None when none was."""
        ...

    def witness(self, head: LogHead) -> None:
        """Note outside the database where it ends after a commit, if there is such a place."""
        ...

    async def faults(self) -> str:
        """What the database finds wrong with its own files."""
        ...

    @property
    def wal_bytes(self) -> int: ...

    async def close(self) -> None: ...
