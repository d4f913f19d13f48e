"""`db restore`: how is a backup put in the place of a log without losing either?

Unpacked and verified beside the log first. The log that it replaces is set aside, never deleted. There is no moment at which
the log's name leads to nothing, to half a file, or to a file with another one's write-ahead file; killed at any step, the old
log or the new one is there, or one that a start refuses and the same command mends.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from ghostfleet.engine.recovery import recover
from ghostfleet.errors import BadInput
from ghostfleet.operations.carried_over import Replaced, carried_over, not_taken_over
from ghostfleet.operations.log_in_place import InPlace, WouldLose, in_place
from ghostfleet.store.copying import fill, verified_copy
from ghostfleet.store.durable_files import decompress, is_packed, making, sync
from ghostfleet.store.errors import LogCorrupt, LogUnavailable
from ghostfleet.store.lock import WriterLock
from ghostfleet.store.log import open_log
from ghostfleet.store.owners import belong_to_the_owner_of
from ghostfleet.store.places import archive_place, open_database, sqlite_path
from ghostfleet.store.postgres import PostgresDatabase
from ghostfleet.store.postgres_swap import emptied
from ghostfleet.store.rows import LogHead
from ghostfleet.store.sql_recorder import SqlRecorder
from ghostfleet.store.sqlite import as_one_file

__all__ = ["Restored", "WouldLose", "restore"]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the log's place now: the backup up to `position`, and LogRestored after it."""

    position: int
    head_hash: Hash
    aside: str
    """Where the replaced log is; empty when there was none."""
    replaced_position: int = 0
    replaced_hash: Hash | None = None
    paused: bool = False
    """Whether the restored log begins paused."""
    carried_over: tuple[str, ...] = ()
    """What it has from the log that it replaces, in sentences, with what to do about it."""
    not_taken_over: tuple[str, ...] = ()
    """What that log had or may have had and this one has not, as far as an operator may want to do it again."""


NOTHING_THERE = Replaced(state=None)


async def restore(url: str, file: Path, *, archives: Path | None = None, force: bool = False) -> Restored:
    """Raises LogHeld (a service runs), WouldLose, BadInput, LogCorrupt (the backup is damaged), SchemaTooNew, LogUnavailable."""
    if not file.is_file():
        raise BadInput(f"there is no backup at {file}")
    path = sqlite_path(url)
    place = archive_place(url, archives)
    if path is None:
        return await _restore_postgres(url, file, place, force)
    if not path.parent.is_dir():
        raise BadInput(f"there is no directory {path.parent}")
    with WriterLock(path), making(path) as workshop:
        copy = workshop / "log.db"
        head = await _unpacked(file, copy)
        there = await in_place(url, copy, head, place, force)
        done = await _say(copy, head, there, file.name, place)
        aside = _set_aside(path) if os.path.lexists(path) else None
        _swap(copy, path)
        return msgspec.structs.replace(done, aside="" if aside is None else str(aside))


async def _restore_postgres(url: str, file: Path, place: Path | None, force: bool) -> Restored:
    """All in one transaction of the session that holds the lock: the old tables into a schema of their own, new ones filled."""
    database = await open_database(url, read_only=False)
    assert isinstance(database, PostgresDatabase)
    try:
        with TemporaryDirectory(prefix="ghost-fleet-restore-") as workshop:
            copy = Path(workshop) / "log.db"
            head = await _unpacked(file, copy)
            there = await in_place(url, copy, head, place, force)
            done = await _say(copy, head, there, file.name, place)
            stamp = f"{_stamp().lower()}_{time.time_ns() // 1000 % 1_000_000:06d}"
            aside = f"replaced_{stamp}" if there.head.position else ""
            source = await open_database(f"sqlite:///{copy}", read_only=True)
            try:
                until, _ = await SqlRecorder(source).stated_head()
                async with emptied(database, aside) as inside:
                    await fill(inside, source, until)
            finally:
                await source.close()
            return msgspec.structs.replace(done, aside=aside and f"schema {aside}")
    finally:
        await database.close()


async def _unpacked(file: Path, into: Path) -> LogHead:
    """The backup as a log that verifies."""
    if not is_packed(file):
        raise LogCorrupt(f"{file} is no backup: `ghost-fleet db backup` makes them")
    await asyncio.to_thread(decompress, file, into)
    return await verified_copy(into)


async def _say(copy: Path, head: LogHead, there: InPlace, name: str, place: Path | None) -> Restored:
    """Write into the restored log that it was restored, and what it takes over, before it is anybody's log."""
    log = await open_log(f"sqlite:///{copy}", archives=place)
    try:
        backup = await recover(log)
        now_us = time.time_ns() // 1000
        replaced = there.replaced or NOTHING_THERE
        told = carried_over(replaced, backup, name, now_us)
        effects = [event for each in told for event in each.events]
        restored = ev.LogRestored(
            position=head.position,
            head_hash=head.hash,
            replaced_position=there.head.position,
            replaced_hash=there.head.hash if there.head.position else None,
            effects=len(effects),
        )
        await log.append([ev.NewEvent(ev.FLEET_STREAM, restored), *effects], time_us=now_us)
        paused = (await recover(log)).fleet.paused is not None
    finally:
        await log.close()
    as_one_file(copy)
    return Restored(
        position=head.position,
        head_hash=head.hash,
        aside="",
        replaced_position=there.head.position,
        replaced_hash=restored.replaced_hash,
        paused=paused,
        carried_over=tuple(each.words for each in told),
        not_taken_over=tuple(not_taken_over(replaced, backup)),
    )


def _beside(path: Path) -> tuple[Path, Path, Path]:
    return tuple(path.with_name(path.name + end) for end in ("-wal", "-shm", ".witness"))  # type: ignore[return-value]


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _set_aside(path: Path) -> Path:
    """A second name for the replaced log and for what lies beside it. Returns that of the log."""
    with contextlib.suppress(LogCorrupt, LogUnavailable):  # damaged, or read by somebody: then its parts stay parts
        as_one_file(path)
    stamp, number = _stamp(), 1
    aside = path.with_name(f"{path.name}.replaced-{stamp}")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.replaced-{stamp}-{number}")
    for one, other in zip((path, *_beside(path)), (aside, *_beside(aside)), strict=True):
        if os.path.lexists(one):
            os.link(one, other)
    sync(path.parent)
    return aside


def _swap(copy: Path, path: Path) -> None:
    """Put the copy in the log's place.

    The old write-ahead file goes first: beside another log SQLite would replay it. From then until the old witness is gone
    a start refuses, as the log ends before its witness or is the old one without its newest rows.
    """
    wal, shm, witness = _beside(path)
    belong_to_the_owner_of(path if path.exists() else path.parent, copy)
    sync(copy)
    wal.unlink(missing_ok=True)
    shm.unlink(missing_ok=True)
    sync(path.parent)
    os.replace(copy, path)
    sync(path.parent)
    witness.unlink(missing_ok=True)
    sync(path.parent)
