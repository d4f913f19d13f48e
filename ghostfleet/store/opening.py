"""How a log is opened: taken for writing by one process alone, or read by anybody while it runs or is down."""

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ghostfleet import __version__
from ghostfleet.store import dialect, tables
from ghostfleet.store.errors import LogUnavailable, NoLog
from ghostfleet.store.log import EventLog
from ghostfleet.store.projections import Projector
from ghostfleet.store.recorder import SqlRecorder
from ghostfleet.store.schema import require_known_level, upgrade


async def open_log(url: str, *, read_only: bool = False) -> EventLog:
    """The log at a database url. For writing: migrated, locked, and its end verified.

    Raises LogHeld, LogCorrupt, DataTooNew (StopService), NoLog (BadInput), LogUnavailable (TryAgain).
    """
    parsed = dialect.parse_url(url)
    return await (_open_reader(parsed) if read_only else _open_writer(parsed))


async def _open_reader(url: URL) -> EventLog:
    path = dialect.sqlite_path(url)
    if path is not None and not path.is_file():
        raise NoLog(f"there is no log at {path}: the service has not run with this [store] url")
    engine = dialect.create_engine(url, read_only=True)
    log = EventLog(SqlRecorder(engine, url, None, None))
    try:
        await require_known_level(engine)
        await log.open()
    except dialect.DATABASE_ERRORS as problem:
        await log.close()
        raise NoLog(f"the log cannot be read: {dialect.words(problem)}") from None
    except BaseException:
        await log.close()
        raise
    return log


async def _open_writer(url: URL) -> EventLog:
    path = dialect.sqlite_path(url)
    if path is not None and not path.parent.is_dir():
        raise NoLog(f"there is no folder {path.parent} for the log: create it, or correct [store] url")
    lock = dialect.hold_file(path) if path is not None else None
    engine = dialect.create_engine(url)
    recorder = SqlRecorder(engine, url, None, lock)
    try:
        writer = await engine.connect()
        recorder.take(writer)
        if lock is None:
            await dialect.hold_database(writer)
        await upgrade(engine)
        await _note_release(engine)
        log = EventLog(recorder, projector=await _projector(writer))
        await log.open()
    except dialect.DATABASE_ERRORS as problem:
        await recorder.close()
        raise LogUnavailable(f"the log cannot be opened: {dialect.words(problem)}") from None
    except BaseException:
        await recorder.close()
        raise
    return log


async def _note_release(engine: AsyncEngine) -> None:
    """Which release wrote here last, for the message of one that is too old."""
    async with engine.begin() as connection:
        await connection.execute(sa.delete(tables.meta).where(tables.meta.c.key == "release"))
        await connection.execute(sa.insert(tables.meta), {"key": "release", "value": __version__})


async def _projector(connection: AsyncConnection) -> Projector:
    """What projections of later events refer to: addresses, and cancels whose slot may still be open."""
    projector = Projector()
    t = tables.transactions.c
    for wallet, address in await connection.execute(sa.select(t.wallet, t.address).distinct()):
        projector.remember(wallet, bytes(address))
    for (tx,) in await connection.execute(sa.select(t.hash).where(t.purpose == "cancel")):
        projector.remember_cancel(bytes(tx))
    await connection.rollback()
    return projector
