"""How do events leave the table, which nothing may be deleted from? In one transaction that says so and leaves an anchor.

The triggers that refuse deletions are lifted and restored inside of it: both databases undo that with the transaction, and let
nobody else delete meanwhile. What it writes besides: LogArchived at the end of the log, the row in `archives`, the state at the
anchor, and the least schema level that a release has to know from now on. Either all of it is so, or nothing.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from ghostfleet.store.archives import (
    Archive,
    anchor_row,
    archive_row,
    delete_anchor,
    insert_anchor,
    insert_archive,
)
from ghostfleet.store.codec import CODEC
from ghostfleet.store.database import Database, Prepared, Steps, prepare
from ghostfleet.store.dialect import LIFT_APPEND_ONLY, RESTORE_APPEND_ONLY
from ghostfleet.store.recorder import Snapshot
from ghostfleet.store.rows import EventRow, LogHead, chain_hash
from ghostfleet.store.schema import ARCHIVED_LEVEL
from ghostfleet.store.sql_recorder import row_params
from ghostfleet.store.statements import Statements
from ghostfleet.store.tables import events, log_meta, snapshots

CHUNK_POSITIONS = 20_000
"""Deleted by one statement of the transaction: bounds what one of them takes."""


class Moments(msgspec.Struct, frozen=True):
    """The least and the greatest time of some events."""

    first_us: int
    last_us: int


async def moments_of(database: Database, after: int, until: int) -> Moments:
    """Of the events behind a position and up to another; there have to be some."""
    chosen = select(func.min(events.c.time_us), func.max(events.c.time_us))
    chosen = chosen.where(events.c.position > after, events.c.position <= until)
    found = await database.fetch(prepare(database.dialect, chosen), whole=True)
    return Moments(*found[0])


async def last_before(database: Database, time_us: int) -> int:
    """The last position before the first event that is not older than a moment; that of the last event when all are older."""
    newer = select(func.min(events.c.position)).where(events.c.time_us >= time_us)
    found = await database.fetch(prepare(database.dialect, newer), whole=True)
    if found[0][0] is not None:
        return int(found[0][0]) - 1
    newest = await database.fetch(prepare(database.dialect, select(func.max(events.c.position))))
    return int(newest[0][0] or 0)


async def older_behind(database: Database, position: int, time_us: int) -> int:
    """How many events behind a position are older than a moment all the same: a clock was put back in between."""
    older = select(func.count()).where(events.c.position > position, events.c.time_us < time_us)
    found = await database.fetch(prepare(database.dialect, older), whole=True)
    return int(found[0][0])


async def move_out(database: Database, archive: Archive, state: Snapshot, head: LogHead, version: int) -> LogHead:
    """The transaction, for a log that ends at `head` with `version` events in the fleet's stream. Returns the new head."""
    row = _archived_event(archive, head, version)
    sql = Statements(database.dialect)
    new = LogHead(row.position, row.hash)
    head_row = sql.set_head.row(position=new.position, hash=bytes(new.hash), projected=new.position)
    steps: Steps = [
        *_plain(LIFT_APPEND_ONLY[database.dialect]),
        *_deletions(database.dialect, archive),
        *_plain(RESTORE_APPEND_ONLY[database.dialect]),
        (insert_archive(database.dialect), [archive_row(archive)]),
        (delete_anchor(database.dialect), [(archive.last_position,)]),
        (insert_anchor(database.dialect), [anchor_row(state)]),
        _without_params(database.dialect, _raised_level()),
        (sql.set_head, [head_row]),
    ]
    await database.write([(sql.append, [row_params(row)])], (), lambda _: steps)
    database.witness(new)
    return new


def _archived_event(archive: Archive, head: LogHead, version: int) -> EventRow:
    """LogArchived as the row behind `head`."""
    encoded = CODEC.encode(ev.NewEvent(ev.FLEET_STREAM, archive.event))
    numbers = (head.position + 1, version + 1, encoded.type_version, encoded.critical, archive.archived_us)
    digest = Hash(chain_hash(head.hash, *numbers, encoded.text))
    return EventRow(
        position=head.position + 1,
        stream=encoded.stream,
        version=version + 1,
        type=encoded.type,
        type_version=encoded.type_version,
        critical=encoded.critical,
        time_us=archive.archived_us,
        correlation=encoded.correlation,
        payload=encoded.payload,
        hash=digest,
    )


def _deletions(dialect: str, archive: Archive) -> Steps:
    """The events, and the snapshots that the anchor stands for from now on."""
    some = delete(events).where(events.c.position > bindparam("behind"), events.c.position <= bindparam("until"))
    statement = prepare(dialect, some)
    steps: list[tuple[Prepared, Sequence[tuple[Any, ...]]]] = []
    for behind in range(archive.first_position - 1, archive.last_position, CHUNK_POSITIONS):
        until = min(behind + CHUNK_POSITIONS, archive.last_position)
        steps.append((statement, [statement.row(behind=behind, until=until)]))
    older = delete(snapshots).where(snapshots.c.position <= archive.last_position)
    return [*steps, _without_params(dialect, older)]


def _raised_level() -> Any:
    return update(log_meta).where(log_meta.c.key == "min_level").values(value=str(ARCHIVED_LEVEL))


def _without_params(dialect: str, statement: Any) -> tuple[Prepared, Sequence[tuple[Any, ...]]]:
    prepared = prepare(dialect, statement)
    return prepared, [prepared.values]


def _plain(statements: Sequence[str]) -> Steps:
    return [(Prepared(sql, (), ()), [()]) for sql in statements]
