"""What does the log know that a restore is about to replace, and what of it is not in the backup? Read, never written."""

import time
from pathlib import Path

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import HOUR_US, Hash
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.engine.recovery import recover
from ghostfleet.errors import GhostFleetError, StopService
from ghostfleet.operations.carried_over import Replaced
from ghostfleet.store.codec import CODEC
from ghostfleet.store.errors import ArchiveMissing, LogCorrupt, LogMissing, SchemaTooNew
from ghostfleet.store.log import EventLog
from ghostfleet.store.places import recorder_at
from ghostfleet.store.queries import EventQuery
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.rows import LogHead
from ghostfleet.store.verification import verify

MAX_LOCKOUTS = 100
"""Of the last hour, the newest: the longest of them lasts an hour."""


class WouldLose(StopService):
    """The log in this place holds what the backup does not. Nothing was changed; `--force` sets it aside all the same."""


class InPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The log in the place of a restore: where it ends, and what it tells; None where there is none."""

    head: LogHead = LogHead()
    replaced: Replaced | None = None


async def in_place(url: str, copy: Path, head: LogHead, place: Path | None, force: bool) -> InPlace:
    """What is there. Raises WouldLose when it holds what the backup does not, unless forced."""
    try:
        recorder = await recorder_at(url, read_only=True, archives=place)
    except LogMissing:
        return InPlace()
    except (LogCorrupt, SchemaTooNew) as problem:
        if force:
            return InPlace(replaced=Replaced(state=None, doubt=str(problem)))
        raise WouldLose(
            f"the log in place cannot be read, so nobody knows what it holds ({problem}): --force sets it aside"
        ) from None
    try:
        backup = await recorder_at(f"sqlite:///{copy}", read_only=True, archives=place)
        try:
            return await _compared(recorder, backup, head, force)
        finally:
            await backup.close()
    finally:
        await recorder.close()


async def _compared(recorder: Recorder, backup: Recorder, head: LogHead, force: bool) -> InPlace:
    old, ours, damage = LogHead(), False, ""
    try:
        old = await recorder.head()
        lost = await _lost(recorder, old, backup, head)
        ours = not lost and old.position > head.position
    except LogCorrupt as problem:
        old, damage, lost = LogHead(), str(problem), f"is damaged ({problem})"
    except ArchiveMissing as problem:
        lost = f"cannot be compared with the backup ({problem})"
    if lost and not force:
        raise WouldLose(f"the log in place {lost}: --force sets it aside and puts the backup in its place")
    if not old.position and not damage:
        return InPlace()
    return InPlace(head=old, replaced=await _told(recorder, damage, ours=ours))


async def _told(recorder: Recorder, damage: str, *, ours: bool) -> Replaced:
    """What the log says of itself. One that is `ours`, of a restore that was killed before it was through, is whole."""
    doubt = damage
    try:
        if not ours and not doubt:
            doubt = (await verify(recorder, CODEC, 0)).problem
        log = EventLog(recorder, await recorder.head(), {}, CODEC)
        state = await recover(log)
        query = EventQuery(
            types=(ev.AdminLockedOut.__name__,),
            since_us=time.time_ns() // 1000 - HOUR_US,
            descending=True,
            limit=MAX_LOCKOUTS,
        )
        events = [log.decode(row).event for row in (await log.rows(query)).items]
    except (GhostFleetError, BrokenFold) as problem:
        return Replaced(state=None, doubt=doubt or str(problem))
    lockouts = tuple(event for event in reversed(events) if isinstance(event, ev.AdminLockedOut))
    return Replaced(state=state, doubt=doubt, lockouts=lockouts)


async def _lost(recorder: Recorder, old: LogHead, backup: Recorder, head: LogHead) -> str:
    """In words, what of the log in place is not in the backup; empty when it holds nothing else."""
    shared = min(old.position, head.position)
    if await _hash_at(recorder, shared) != await _hash_at(backup, shared):
        return f"is another one: at position {shared} it has another event than the backup"
    beyond = await recorder.page(head.position, None, 1) if old.position > head.position else ()
    if not beyond:
        return ""
    first = CODEC.decode(beyond[0]).event
    if isinstance(first, ev.LogRestored) and old.position == head.position + 1 + first.effects:
        return ""  # a restore of this backup that was killed before it was through
    return f"goes on to position {old.position}, {old.position - head.position} events after the backup's last one"


async def _hash_at(recorder: Recorder, position: int) -> Hash:
    """Raises ArchiveMissing where it is in an archive that is not at hand."""
    if position == recorder.anchor.position:
        return recorder.anchor.hash
    rows = await recorder.page(position - 1, position, 1)
    return rows[0].hash if rows else Hash()
