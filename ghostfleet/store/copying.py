"""How is a log copied while it is written? Page by page up to where it ended when the copy began: rows never change.

A copy is a log: a SQLite file, whatever the original is kept in, with read models, which `open_log` opens and an auditor's
twenty lines verify. No read holds on to the original for longer than a page (the writer's write-ahead file is not pinned), and
the hash chain is computed anew on the way and once more from the finished copy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from ghostfleet.domain.events import wallet_stream
from ghostfleet.store.archives import (
    Archive,
    anchor_row,
    anchors_of,
    archive_row,
    archives_of,
    insert_anchor,
    insert_archive,
)
from ghostfleet.store.codec import CODEC, Codec
from ghostfleet.store.database import Database, Steps, prepare
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.newer import naming_the_release
from ghostfleet.store.places import recorder_at
from ghostfleet.store.projections import changes_of
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.rows import EventRow, LogHead
from ghostfleet.store.schema import ARCHIVED_LEVEL
from ghostfleet.store.sql_recorder import SqlRecorder
from ghostfleet.store.sqlite import SqliteDatabase, as_one_file
from ghostfleet.store.statements import Statements
from ghostfleet.store.tables import log_meta, transactions, wallets
from ghostfleet.store.verification import chain_fault, verify

PAGE_ROWS = 2000
"""Rows read at a time: a read of so many takes some milliseconds."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy has to know of events that it does not hold."""

    archives: Sequence[Archive] = ()
    anchors: Sequence[tuple[Any, ...]] = ()
    wallets: Sequence[tuple[Any, ...]] = ()

    @property
    def anchor(self) -> LogHead:
        """Which row the first one of the copy continues."""
        return self.archives[-1].head if self.archives else LogHead()


async def past_of(database: Database) -> Past:
    """The archives of a log, and the wallets that were registered in them."""
    archives = await archives_of(database)
    if not archives:
        return Past()
    every = await database.fetch(prepare(database.dialect, select(wallets)), whole=True)
    return Past(
        archives=archives,
        anchors=[anchor_row(it) for it in await anchors_of(database)],
        wallets=[row for row in every if wallet_stream(row[0]) in archives[-1].versions],
    )


async def copy_into(path: Path, source: Database, until: LogHead, codec: Codec = CODEC) -> None:
    """Make a log at `path`, where there is nothing yet, of all that the table of `source` holds up to `until`.

    Raises LogCorrupt, naming the row, when the original's chain does not hold up to there.
    """
    target = await SqliteDatabase.open(path, read_only=False, create=True)
    try:
        await fill(target, source, until, codec)
    finally:
        await target.close()
    as_one_file(path)
    for name in (".lock", ".witness"):
        path.with_name(path.name + name).unlink(missing_ok=True)


async def fill(target: Database, source: Database, until: LogHead, codec: Codec = CODEC) -> None:
    """Write what `source` holds up to `until` into a migrated database without events."""
    past = await past_of(source)
    if past.archives:
        await target.write(_past_steps(target.dialect, past), (), lambda _: ())
        await _copy_old_attempts(source, target, past.anchor.position)
    recorder = SqlRecorder(target)
    await recorder.stated_head()
    await _copy_rows(SqlRecorder(source), recorder, past.anchor, until, codec)


def _past_steps(dialect: str, past: Past) -> Steps:
    """What makes an empty log begin behind its archives."""
    anchor = past.anchor
    head = Statements(dialect).set_head
    level = update(log_meta).where(log_meta.c.key == "min_level").values(value=str(ARCHIVED_LEVEL))
    raised = prepare(dialect, level)
    return [
        (insert_archive(dialect), [archive_row(it) for it in past.archives]),
        (insert_anchor(dialect), past.anchors),
        (prepare(dialect, insert(wallets)), past.wallets),
        (head, [head.row(position=anchor.position, hash=bytes(anchor.hash), projected=anchor.position)]),
        (raised, [raised.values]),
    ]


async def _copy_old_attempts(source: Database, target: Database, anchor: int) -> None:
    """What the read model says of archived actions: their events are not here, and they had all ended before they went."""
    after = 0
    old = select(transactions).where(transactions.c.signed_position > bindparam("after"))
    old = old.where(transactions.c.signed_position <= anchor).order_by(transactions.c.signed_position).limit(PAGE_ROWS)
    chosen = prepare(source.dialect, old)
    into = prepare(target.dialect, insert(transactions))
    place = list(transactions.c).index(transactions.c.signed_position)
    while page := await source.fetch(chosen, chosen.row(after=after)):
        await target.write([(into, page)], (), lambda _: ())
        after = page[-1][place]


async def _copy_rows(source: Recorder, target: Recorder, at: LogHead, until: LogHead, codec: Codec) -> None:
    while at.position < until.position:
        page = await source.page(at.position, until.position, PAGE_ROWS)
        if not page:
            raise LogCorrupt(f"position {at.position + 1} is missing, the log goes on to {until.position}")
        at = checked(page, at)
        try:
            changes = changes_of(map(codec.decode, page))
        except UnknownCriticalEvent as unknown:
            raise await naming_the_release(source, unknown, codec) from None
        await target.record(page, changes)
    if at != until:
        raise LogCorrupt(f"position {at.position} has the hash {at.hash}, the log says that it ends with {until.hash}")


def checked(page: Sequence[EventRow], at: LogHead) -> LogHead:
    """The head after these rows. Raises LogCorrupt for the first that does not continue the chain."""
    for row in page:
        if fault := chain_fault(row, at.position, at.hash):
            raise LogCorrupt(f"position {at.position + 1}: {fault}")
        at = LogHead(row.position, row.hash)
    return at


async def verified_copy(path: Path, codec: Codec = CODEC) -> LogHead:
    """Read a copy from the disk, chain, read models and all; of one behind an archive what is behind it.

    Returns its head; raises LogCorrupt when it does not verify.
    """
    recorder = await recorder_at(f"sqlite:///{path}", read_only=True, create=False)
    try:
        found = await verify(recorder, codec, recorder.anchor.position)
    finally:
        await recorder.close()
    if not found.ok:
        raise LogCorrupt(f"the copy does not verify: {found.problem}")
    return found.head
