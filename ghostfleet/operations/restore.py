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
from ghostfleet.errors import BadInput, StopService
from ghostfleet.store.copying import fill, verified_copy
from ghostfleet.store.durable_files import decompress, making, sync
from ghostfleet.store.errors import ArchiveMissing, LogCorrupt, LogMissing, LogUnavailable, SchemaTooNew
from ghostfleet.store.lock import WriterLock
from ghostfleet.store.log import open_log
from ghostfleet.store.places import archive_place, open_database, recorder_at, sqlite_path
from ghostfleet.store.postgres import PostgresDatabase
from ghostfleet.store.postgres_swap import emptied
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.rows import LogHead
from ghostfleet.store.sql_recorder import SqlRecorder
from ghostfleet.store.sqlite import as_one_file

GZIP_MAGIC = b"\x1f\x8b"


class WouldLose(StopService):
    """The log in this place holds what the backup does not. Nothing was changed; `--force` sets it aside all the same."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the log's place now: the backup up to `position`, and LogRestored after it."""

    position: int
    head_hash: Hash
    aside: str
    """Where the replaced log is; empty when there was none."""
    replaced_position: int = 0
    replaced_hash: Hash | None = None


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
        old = await _head_in(url, copy, head, place, force)
        await _say(copy, head, old)
        aside = _set_aside(path) if os.path.lexists(path) else None
        _swap(copy, path)
        return _restored(head, old, "" if aside is None else str(aside))


async def _restore_postgres(url: str, file: Path, place: Path | None, force: bool) -> Restored:
    """All in one transaction of the session that holds the lock: the old tables into a schema of their own, new ones filled."""
    database = await open_database(url, read_only=False)
    assert isinstance(database, PostgresDatabase)
    try:
        with TemporaryDirectory(prefix="ghost-fleet-restore-") as workshop:
            copy = Path(workshop) / "log.db"
            head = await _unpacked(file, copy)
            old = await _head_in(url, copy, head, place, force)
            await _say(copy, head, old)
            aside = f"replaced_{_stamp().lower()}_{time.time_ns() // 1000 % 1_000_000:06d}" if old.position else ""
            source = await open_database(f"sqlite:///{copy}", read_only=True)
            try:
                until, _ = await SqlRecorder(source).stated_head()
                async with emptied(database, aside) as inside:
                    await fill(inside, source, until)
            finally:
                await source.close()
            return _restored(head, old, aside and f"schema {aside}")
    finally:
        await database.close()


async def _unpacked(file: Path, into: Path) -> LogHead:
    """The backup as a log that verifies."""
    with file.open("rb") as opened:
        packed = opened.read(2) == GZIP_MAGIC
    if not packed:
        raise LogCorrupt(f"{file} is no backup: `ghost-fleet db backup` makes them")
    await asyncio.to_thread(decompress, file, into)
    return await verified_copy(into)


async def _head_in(url: str, copy: Path, head: LogHead, place: Path | None, force: bool) -> LogHead:
    """Where the log in place ends. Raises WouldLose when it holds what the backup does not, unless forced."""
    try:
        recorder = await recorder_at(url, read_only=True, archives=place)
    except LogMissing:
        return LogHead()
    except (LogCorrupt, SchemaTooNew) as problem:
        if force:
            return LogHead()
        raise WouldLose(
            f"the log in place cannot be read, so nobody knows what it holds ({problem}): --force sets it aside"
        ) from None
    backup = await recorder_at(f"sqlite:///{copy}", read_only=True, archives=place)
    old = LogHead()
    try:
        old = await recorder.head()
        lost = await _lost(recorder, old, backup, head)
    except LogCorrupt as problem:
        old, lost = LogHead(), f"is damaged ({problem})"
    except ArchiveMissing as problem:
        lost = f"cannot be compared with the backup ({problem})"
    finally:
        await backup.close()
        await recorder.close()
    if lost and not force:
        raise WouldLose(f"the log in place {lost}: --force sets it aside and puts the backup in its place")
    return old


async def _lost(recorder: Recorder, old: LogHead, backup: Recorder, head: LogHead) -> str:
    """In words, what of the log in place is not in the backup; empty when it holds nothing else."""
    shared = min(old.position, head.position)
    if await _hash_at(recorder, shared) != await _hash_at(backup, shared):
        return f"is another one: at position {shared} it has another event than the backup"
    beyond = await recorder.page(head.position, None, 2) if old.position > head.position else ()
    if not beyond or (len(beyond) == 1 and beyond[0].type == ev.LogRestored.__name__):
        return ""  # nothing, or a restore of this backup that was killed before it was through
    return f"goes on to position {old.position}, {old.position - head.position} events after the backup's last one"


async def _hash_at(recorder: Recorder, position: int) -> Hash:
    """Raises ArchiveMissing where it is in an archive that is not at hand."""
    if position == recorder.anchor.position:
        return recorder.anchor.hash
    rows = await recorder.page(position - 1, position, 1)
    return rows[0].hash if rows else Hash()


async def _say(copy: Path, head: LogHead, old: LogHead) -> None:
    """Write into the restored log that it was restored, before it is anybody's log."""
    event = ev.LogRestored(
        position=head.position,
        head_hash=head.hash,
        replaced_position=old.position,
        replaced_hash=old.hash if old.position else None,
    )
    log = await open_log(f"sqlite:///{copy}")
    try:
        await log.append([ev.NewEvent(ev.FLEET_STREAM, event)], time_us=time.time_ns() // 1000)
    finally:
        await log.close()
    as_one_file(copy)


def _restored(head: LogHead, old: LogHead, aside: str) -> Restored:
    return Restored(
        position=head.position,
        head_hash=head.hash,
        aside=aside,
        replaced_position=old.position,
        replaced_hash=old.hash if old.position else None,
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
    _belong_to_the_owner_of(path if path.exists() else path.parent, copy)
    sync(copy)
    wal.unlink(missing_ok=True)
    shm.unlink(missing_ok=True)
    sync(path.parent)
    os.replace(copy, path)
    sync(path.parent)
    witness.unlink(missing_ok=True)
    sync(path.parent)


def _belong_to_the_owner_of(whose: Path, copy: Path) -> None:
    """Restored by root, the log has to be writable for the service all the same."""
    owner = whose.stat()
    with contextlib.suppress(PermissionError):
        os.chown(copy, owner.st_uid, owner.st_gid)
