"""Can it be proved that nobody edited the log? Walks every row, and compares what is derived with what the rows say."""

import msgspec
import sqlalchemy as sa

from ghostfleet.domain.events import UnknownEvent
from ghostfleet.domain.values import Hash
from ghostfleet.store import tables
from ghostfleet.store.codec import CODEC
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.log import EventLog
from ghostfleet.store.projections import Projector, grouped
from ghostfleet.store.recorder import PAGE_ROWS, SqlRecorder
from ghostfleet.store.rows import NO_HASH, EventRow, rehash

READ_MODELS = (tables.transactions, tables.outside_transactions)


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk over the log found. `position` and `problem` name the first row that does not fit."""

    ok: bool
    events: int
    head: Hash
    position: int | None = None
    problem: str = ""


async def verify(log: EventLog) -> Verification:
    """Walk the hash chain from the first row to the last; the first one that does not fit is named."""
    previous, position = NO_HASH, 0
    versions: dict[str, int] = {}
    end = log.head
    while position < end.position:
        page = await log.page(position, end.position)
        if not page:
            return _bad(position, previous, position + 1, "the row is missing")
        for row in page:
            problem = _problem(row, position, previous, versions)
            if problem:
                return _bad(position, previous, min(row.position, position + 1), problem)
            previous, position = row.hash, row.position
            versions[row.stream] = row.version
    if previous != end.hash:
        return _bad(position, previous, position, "the head is another than when the walk began")
    return Verification(ok=True, events=position, head=previous)


def _bad(events: int, head: Hash, position: int, problem: str) -> Verification:
    return Verification(ok=False, events=events, head=head, position=position, problem=problem)


def _problem(row: EventRow, position: int, previous: Hash, versions: dict[str, int]) -> str:
    if row.position != position + 1:
        return f"position {position + 1} is missing, {row.position} follows"
    if rehash(previous, row) != row.hash:
        return "the row, or the hash before it, is not what was written: its hash does not fit"
    if row.version != versions.get(row.stream, 0) + 1:
        return f"version {row.version} of {row.stream} does not follow {versions.get(row.stream, 0)}"
    try:
        CODEC.decode(row)
    except (LogCorrupt, UnknownCriticalEvent) as problem:
        return str(problem)
    return ""


async def rebuild_read_models(log: EventLog, recorder: SqlRecorder) -> int:
    """Empty the read models and derive them from the log again. Returns how many events were read."""
    projector, count = Projector(), 0
    async with recorder.writing() as connection:
        for table in READ_MODELS:
            await connection.execute(sa.delete(table))
        changes = []
        async for recorded in log.read():
            count += 1
            if not isinstance(recorded.event, UnknownEvent):
                changes.extend(projector.changes(recorded))
            if len(changes) >= PAGE_ROWS:
                for statement, values in grouped(changes):
                    await connection.execute(sa.text(statement), values)
                changes = []
        for statement, values in grouped(changes):
            await connection.execute(sa.text(statement), values)
    return count
