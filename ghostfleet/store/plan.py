"""What would `db upgrade` do? Each migration's statements as it would carry them out, with nothing carried out."""

import asyncio
import re
from collections.abc import Callable
from io import StringIO
from types import ModuleType

import msgspec
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from ghostfleet.store.errors import LogCorrupt, LogMissing
from ghostfleet.store.places import open_database, sqlite_path
from ghostfleet.store.schema import REVISION, alembic_config
from ghostfleet.store.statements import Statements

MAX_STATEMENT_CHARS = 160
ADDS = re.compile(
    r"CREATE (UNIQUE )?(TABLE|INDEX|TRIGGER|FUNCTION|SCHEMA)\b|INSERT INTO|ALTER TABLE \S+ ADD COLUMN\b", re.IGNORECASE
)
"""Statements after which everything that was there is there as it was."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One migration."""

    revision: str
    summary: str
    statements: tuple[str, ...]
    """In the order in which they are carried out, each on one line and cut where it is long."""
    only_adds: bool
    least_level: int
    """The schema level that a release has to know to use the data afterwards."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """From the migration that the data is at to the one that this release wants."""

    current: str
    """Empty before the first."""
    target: str
    steps: tuple[Step, ...]


async def plan_of(url: str) -> Plan:
    """Raises BadInput, LogUnavailable, LogCorrupt, SchemaTooNew."""
    dialect = "sqlite" if sqlite_path(url) is not None else "postgresql"
    current = await _current(url, dialect)
    scripts = ScriptDirectory.from_config(alembic_config())
    known = [script.revision for script in scripts.walk_revisions()]
    if current and current not in known:
        return Plan(current=current, target=current, steps=())  # of a newer release: nothing is done
    ahead = list(scripts.iterate_revisions(REVISION, current or "base"))[::-1]
    steps = await asyncio.to_thread(lambda: tuple(_step(script, dialect) for script in ahead))
    return Plan(current=current, target=REVISION, steps=steps)


async def _current(url: str, dialect: str) -> str:
    """The revision of the data, empty where there is no log yet. Reads only."""
    try:
        database = await open_database(url, read_only=True)
    except LogMissing:
        return ""
    except LogCorrupt as problem:
        if "holds no event log" in str(problem):
            return ""
        raise
    try:
        found = await database.fetch(Statements(dialect).revision)
        return str(found[0][0]) if found else ""
    finally:
        await database.close()


def _step(script: Script, dialect: str) -> Step:
    statements = _statements(script.module.upgrade, dialect)
    return Step(
        revision=script.revision,
        summary=(script.doc or "").splitlines()[0],
        statements=tuple(it[:MAX_STATEMENT_CHARS] for it in statements),
        only_adds=all(ADDS.match(it) for it in statements),
        least_level=least_level(script.module),
    )


def least_level(migration: ModuleType) -> int:
    """What a migration says of the releases that can use the data after it."""
    found: int = migration.LEAST_LEVEL
    return found


def _statements(upgrade: Callable[[], None], dialect: str) -> list[str]:
    """The SQL of one migration, written instead of carried out."""
    written = StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context):
        upgrade()
    return [
        " ".join(re.sub(r"\0+", "00...", it).split()) for it in re.split(r";\n\n", written.getvalue()) if it.strip()
    ]
