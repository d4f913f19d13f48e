"""Which schema does the data have, and may this release use it?

Migrations only ever add; each raises `level`. `min_level` rises only when data is written that an older release would
misread. A release starts on every log whose `min_level` it knows, newer revisions included. Runs under the writer's lock.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, insert, inspect, select, update

import ghostfleet
from ghostfleet.store.errors import LogCorrupt, SchemaTooNew
from ghostfleet.store.tables import alembic_version, log_meta

REVISION = "0002"
"""The newest migration of this release; a test compares it with migrations/versions."""
LEVEL = 2
"""The newest schema level that this release knows. 1: a log begins at position 1. 2: it may begin behind an archive."""
ARCHIVED_LEVEL = 2
"""What a release has to know at least, once events were moved to an archive: release 0.1.0 would take the log for damaged."""


def migrations_folder() -> Path:
    """In an installed package beside the code, in a checkout at its root."""
    package = Path(ghostfleet.__file__).parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def upgrade(connection: Connection, place: str, target: str = "head") -> None:
    """Bring the schema to this release's revision, unless it is newer already. Raises SchemaTooNew, LogCorrupt."""
    revision = current_revision(connection)
    if revision != REVISION or target != "head":
        config = alembic_config()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is None or revision in known:
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    check_level(connection, place)
    _sign(connection)


def alembic_config() -> Config:
    """Alembic's settings with our folder of migrations."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def current_revision(connection: Connection) -> str | None:
    """The migration that the data is at, None before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(select(alembic_version.c.version_num)).scalar()
    return found


def check_level(connection: Connection, place: str) -> None:
    """Raises SchemaTooNew when this release must not use the data, LogCorrupt when there is no log in it."""
    if not inspect(connection).has_table(log_meta.name):
        raise LogCorrupt(f"{place} holds no event log")
    said = _said(connection)
    try:
        level, least = int(said["level"]), int(said["min_level"])
    except (KeyError, ValueError, TypeError):
        raise LogCorrupt(f"{place} does not say which schema level it needs: table log_meta is damaged") from None
    if not 1 <= least <= level:
        raise LogCorrupt(f"{place} has schema level {level} and needs level {least}: table log_meta is damaged")
    if least > LEVEL:
        raise SchemaTooNew(
            f"the log at {place} needs schema level {least}, and this release ({ghostfleet.__version__}) knows levels up to"
            f" {LEVEL}: start release {said.get('release', 'that wrote it')} or newer"
        )


def _said(connection: Connection) -> dict[str, str]:
    rows: list[tuple[str, str]] = [(key, value) for key, value in connection.execute(select(log_meta))]
    return dict(rows)


def _sign(connection: Connection) -> None:
    """Say which release writes, unless a newer one did."""
    if int(_said(connection).get("level", "0")) > LEVEL:
        return
    _put(connection, log_meta, "level", str(LEVEL))
    _put(connection, log_meta, "release", ghostfleet.__version__)


def _put(connection: Connection, where: Table, key: str, value: str) -> None:
    if connection.execute(update(where).where(where.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(where).values(key=key, value=value))
