"""Where does a log live, and where do its archive files? From a URL to the storage under the log."""

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ghostfleet.errors import BadInput
from ghostfleet.store.archived_recorder import recorder_over
from ghostfleet.store.archives import archives_of
from ghostfleet.store.database import Database
from ghostfleet.store.postgres import PostgresDatabase
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.sqlite import SqliteDatabase


async def recorder_at(url: str, *, read_only: bool, create: bool = True, archives: Path | None = None) -> Recorder:
    """The storage under a log, unchecked: for what has to look at one that may not be whole. Raises as `open_log` does."""
    database = await open_database(url, read_only=read_only, create=create)
    try:
        return recorder_over(database, await archives_of(database), archive_place(url, archives))
    except BaseException:
        await database.close()
        raise


async def open_database(url: str, *, read_only: bool, create: bool = True) -> Database:
    """The database under a log, migrated unless it is `read_only`. Raises as `open_log` does."""
    path = sqlite_path(url)
    if path is not None:
        return await SqliteDatabase.open(path, read_only=read_only, create=create)
    return await PostgresDatabase.open(_url(url), read_only=read_only)


def archive_place(url: str, configured: Path | None) -> Path | None:
    """Where the archive files of a log lie: as the settings say, else beside a SQLite file, by the name that it is asked by."""
    if configured is not None or sqlite_path(url) is None:
        return configured
    return Path(os.path.abspath(str(_url(url).database))).parent


def sqlite_path(url: str) -> Path | None:
    """The file of a log in SQLite, by the one name that every link to it leads to: its lock and witness lie beside that. None for
    one in PostgreSQL. Raises BadInput for any other place."""
    where = _url(url)
    if where.get_backend_name() == "sqlite" and where.database and where.database != ":memory:":
        return Path(os.path.realpath(where.database))
    if where.get_backend_name() in ("postgresql", "postgres") and where.database:
        return None
    raise BadInput("the log lives at sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def _url(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        raise BadInput("the store's URL is not one: sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
