"""`db archive`: how do old events leave the database, so that nothing of what they proved is lost?

They are copied into a log of their own (store/copying.py), which is verified, synced and named; then one transaction takes them
out of the table (store/archiving.py). Killed in between, the file is there and the log is whole: the same command goes on with
that file. The log goes on from an anchor: the archive's last hash, and the state there, without which it cannot be folded.
"""

import time
from pathlib import Path

import msgspec

from ghostfleet.domain.events import FLEET_STREAM
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import FOLD_VERSION, State, encode_state
from ghostfleet.engine.recovery import decoded, recover
from ghostfleet.errors import BadInput
from ghostfleet.store.archived_recorder import recorder_over
from ghostfleet.store.archives import Archive, archives_of
from ghostfleet.store.archiving import last_before, moments_of, move_out, older_behind
from ghostfleet.store.copying import copy_into, verified_copy
from ghostfleet.store.database import Database
from ghostfleet.store.durable_files import content_of, making, put_in_place
from ghostfleet.store.errors import LogCorrupt, LogUnavailable
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.store.owners import belong_to_the_owner_of
from ghostfleet.store.places import archive_place, open_database, recorder_at
from ghostfleet.store.queries import EventQuery
from ghostfleet.store.recorder import Recorder, Snapshot
from ghostfleet.store.rows import LogHead


class NotThisLog(BadInput):
    """There is a file of that name which is not the archive of these events. It is left as it is: give another name."""


class NotCompacted(LogUnavailable):
    """The events are in the archive file, and the log goes on without them. Only their space was not given back to the disk: the
    same command does that once there is room for it."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved; `events` is 0 when there was nothing to move."""

    events: int
    first_position: int = 0
    last_position: int = 0
    file: str = ""
    size_bytes: int = 0
    held_back: str = ""
    """Why less was moved than asked for; empty when not."""
    in_place: bool = True
    """Whether queries find the file where it is."""


async def archive(url: str, before_us: int, file: Path, *, archives: Path | None = None) -> Archived:
    """Move events before a moment to FILE. Raises LogHeld (a service runs), NotThisLog, BadInput, LogCorrupt,
    LogUnavailable, NotCompacted (it is done all the same)."""
    if not file.parent.is_dir() or file.is_dir():
        raise BadInput(f"{file} is no place for a file: give a name in a directory that exists")
    place = archive_place(url, archives)
    database = await open_database(url, read_only=False, create=False)
    try:
        recorder = recorder_over(database, await archives_of(database), place)
        log = await EventLog.over(recorder)
        until, held_back = await _until(database, log, before_us)
        if until <= log.anchor.position:
            if log.anchor.position:
                await _compacted(database, "nothing is left to archive")
            return Archived(events=0, held_back=held_back)
        end = await _made(database, recorder, file, until)
        moved, state = await _anchored(database, log, file, end)
        await move_out(database, moved, state, log.head, log.version(FLEET_STREAM))
        await _compacted(database, f"the events up to position {end.position} are in {file}")
    finally:
        await database.close()
    await _check(url, place, end)
    return Archived(
        events=end.position - moved.first_position + 1,
        first_position=moved.first_position,
        last_position=end.position,
        file=str(file),
        size_bytes=file.stat().st_size,
        held_back=held_back,
        in_place=place is not None and file.parent.resolve() == place.resolve(),
    )


async def _compacted(database: Database, so_far: str) -> None:
    try:
        await database.compact()
    except LogUnavailable as problem:
        raise NotCompacted(
            f"{so_far}, and their space is not given back ({problem}): with room for the log once more, the same command does"
        ) from None


async def _until(database: Database, log: EventLog, before_us: int) -> tuple[int, str]:
    """Up to which position events may go: those before the moment, and before all of a slot or an operation that is open."""
    until, held_back = await last_before(database, before_us), ""
    if older := await older_behind(database, until, before_us):
        held_back = (
            f"position {until + 1} has a later time, of a clock that was put back since: it stays, and so do {older} older"
            " events that follow. A later TIME takes them"
        )
    state = await recover(log)
    for operation in state.fleet.operations:
        if (begun := await last_before(database, operation.since_us)) < until:
            until, held_back = begun, f"{operation.id} is not finished yet: what was recorded since it began stays"
    for wallet in state.wallets.values():
        for slot in wallet.slots:
            action_id = slot.action_id if isinstance(slot, Pending) else slot.pending.action_id
            first = (await log.rows(EventQuery(correlation=action_id, limit=1))).items
            if first and first[0].position <= until:
                until = first[0].position - 1
                held_back = (
                    f"{action_id} is not final yet: position {until + 1}, where it begins, and what follows stay"
                )
    return until, held_back


async def _made(database: Database, recorder: Recorder, file: Path, until: int) -> LogHead:
    """The archive file with the events up to `until`, or the one that an interrupted run has left. Returns its end."""
    if any(it.file == file.name for it in await archives_of(database)):
        raise NotThisLog(f"{file.name} is the name of an older archive of this log: give another one")
    row = await recorder.page(until - 1, until, 1)
    end = LogHead(row[0].position, row[0].hash)
    with making(file) as workshop:
        if file.exists():
            return await _left_by_an_interrupted_run(recorder, file, until)
        await copy_into(workshop / "log.db", database, end)
        if await verified_copy(workshop / "log.db") != end:
            raise LogCorrupt(f"the copy does not end at position {until}")
        belong_to_the_owner_of(file.parent, workshop / "log.db")
        put_in_place(workshop / "log.db", file)
    return end


async def _left_by_an_interrupted_run(recorder: Recorder, file: Path, until: int) -> LogHead:
    """Raises NotThisLog unless the file holds just what comes next."""
    other = NotThisLog(f"{file} exists and is not the archive of these events: give another name")
    try:
        made = await recorder_at(f"sqlite:///{file}", read_only=True)
        try:
            end, anchor = await made.head(), made.anchor
        finally:
            await made.close()
        if anchor != recorder.anchor or not anchor.position < end.position <= until:
            raise other
        row = await recorder.page(end.position - 1, end.position, 1)
        if row[0].hash != end.hash or await verified_copy(file) != end:
            raise other
    except LogCorrupt:
        raise other from None
    return end


async def _anchored(database: Database, log: EventLog, file: Path, end: LogHead) -> tuple[Archive, Snapshot]:
    """What the log has to remember of the file, and the state at its end. Raises LogCorrupt when the fold does not fit."""
    anchor = log.anchor
    state = decoded(await log.load_anchor_state(FOLD_VERSION)) or State()
    async for recorded in log.read(state.position, until=end.position):
        state.apply(recorded)
    encoded = encode_state(state)
    async for recorded in log.read(end.position):
        state.apply(recorded)
    if encode_state(state) != encode_state(await recover(log)):
        raise LogCorrupt("the fold of these events and the running state differ: run `ghost-fleet audit verify`")
    made = await recorder_at(f"sqlite:///{file}", read_only=True)
    try:
        versions = {stream: newest for stream, (newest, _) in (await made.versions()).items()}
    finally:
        await made.close()
    moments = await moments_of(database, anchor.position, end.position)
    moved = Archive(
        first_position=anchor.position + 1,
        last_position=end.position,
        last_hash=end.hash,
        first_us=moments.first_us,
        last_us=moments.last_us,
        file=file.name,
        file_sha256=content_of(file).sha256,
        versions=versions,
        archived_us=time.time_ns() // 1000,
    )
    return moved, Snapshot.of(end.position, FOLD_VERSION, end.hash, encoded)


async def _check(url: str, place: Path | None, end: LogHead) -> None:
    """Look at what was left: it opens, goes on from the anchor, verifies and folds."""
    log = await open_log(url, read_only=True, archives=place)
    try:
        found = await log.verify(after=end.position)
        state = await recover(log)
        if log.anchor != end or not found.ok or state.position != log.head.position:
            raise LogCorrupt(f"the log does not go on from position {end.position}: {found.problem}")
    finally:
        await log.close()
