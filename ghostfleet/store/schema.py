"""Brings a database to the schema that this release writes, or says that it cannot. Runs under the log's lock."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from ghostfleet.store import tables
from ghostfleet.store.errors import DataTooNew

PACKAGED = Path(__file__).parent.parent / "_migrations"
CHECKOUT = Path(__file__).parent.parent.parent / "migrations"


def migrations() -> Path:
    """Where the migrations are: beside the package in a checkout, inside it when installed."""
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, as alembic.ini has them, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def upgrade(engine: AsyncEngine) -> None:
    """Migrate to the newest revision we know. Raises DataTooNew where the data needs a newer release."""
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade)
        await connection.commit()


async def require_known_level(engine: AsyncEngine) -> None:
    """For readers: the data may have a newer schema, as long as this release can read it."""
    async with engine.connect() as connection:
        await connection.run_sync(_check_level)


def _upgrade(connection: Connection) -> None:
    _check_level(connection)
    if not _is_known(connection):
        return  # migrations only add: a newer schema whose level we reach is one we can use
    command.upgrade(alembic_config(connection), "head")


def _check_level(connection: Connection) -> None:
    if not sa.inspect(connection).has_table("meta"):
        return
    level = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.key == "minimum_level"))
    release = connection.scalar(sa.select(tables.meta.c.value).where(tables.meta.c.key == "release"))
    if level is not None and int(level) > tables.SCHEMA_LEVEL:
        raise DataTooNew(
            f"the data needs schema level {level}, this release knows {tables.SCHEMA_LEVEL}: start release {release} or newer"
        )


def _is_known(connection: Connection) -> bool:
    if not sa.inspect(connection).has_table("alembic_version"):
        return True
    current = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    try:
        return current is None or ScriptDirectory.from_config(alembic_config()).get_revision(current) is not None
    except CommandError:
        return False
