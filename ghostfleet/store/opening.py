"""Is this log whole enough to go on writing it? Checked at every opening, in bounded time; `verify` checks the rest."""

from collections.abc import Mapping

import msgspec

from ghostfleet.domain.events import Stream
from ghostfleet.store.errors import LogCorrupt, LogCutBack
from ghostfleet.store.recorder import Recorder
from ghostfleet.store.rows import LogHead
from ghostfleet.store.verification import chain_fault

TAIL_ROWS = 1000
"""Newest rows whose hashes are recomputed at every opening: what a crash can have hurt is among them."""


class Opened(msgspec.Struct, frozen=True):
    """Where the log ends, what every stream is at, and how far the read models follow."""

    head: LogHead
    versions: Mapping[Stream, int]
    projected: int


async def opened(recorder: Recorder, *, beside_a_writer: bool = False) -> Opened:
    """Raises LogCorrupt, saying what does not fit.

    Beside a writer the log grows from one read to the next: then it is the log up to where its end was stated first.
    """
    witness = recorder.witnessed()
    stated, projected = await recorder.stated_head()
    head = await recorder.head()
    _check_witness(witness, head)
    if beside_a_writer and head.position > stated.position:
        head = await _head_at(recorder, stated.position)
    if head != stated:
        raise LogCorrupt(
            f"the log ends at position {head.position} ({head.hash}), but its last commit ended at {stated.position}"
            f" ({stated.hash}): rows were lost or changed. Restore it from a backup"
        )
    counted = await recorder.versions()
    rows = sum(count for _, count in counted.values())
    if rows < head.position or (rows > head.position and not beside_a_writer):
        raise LogCorrupt(
            f"the log has gaps: it ends at position {head.position}, with fewer rows. Restore it from a backup"
        )
    for stream, (version, count) in counted.items():
        if version != count:
            raise LogCorrupt(f"stream {stream} has {count} events, the newest with version {version}")
    await _check_tail(recorder, head)
    return Opened(head, {stream: version for stream, (version, _) in counted.items()}, projected)


async def _head_at(recorder: Recorder, position: int) -> LogHead:
    rows = await recorder.page(position - 1, position, 1) if position else ()
    return LogHead(rows[0].position, rows[0].hash) if rows else LogHead()


def _check_witness(witness: LogHead | None, head: LogHead) -> None:
    if witness is not None and witness.position > head.position:
        raise LogCutBack(
            f"the log ends at position {head.position}, but it had reached position {witness.position}: positions"
            f" {head.position + 1} to {witness.position} were lost, or an older copy was put in its place. Put the newest"
            " copy back; to go on with this one, remove the .witness file beside it first"
        )


async def _check_tail(recorder: Recorder, head: LogHead) -> None:
    anchor = recorder.anchor
    before = max(head.position - TAIL_ROWS, anchor.position)
    rows = list(await recorder.page(max(before - 1, anchor.position), head.position, TAIL_ROWS + 1))
    previous = anchor.hash if before == anchor.position else rows.pop(0).hash
    position = before
    for row in rows:
        if fault := chain_fault(row, position, previous):
            raise LogCorrupt(f"position {position + 1}: {fault}. Restore the log from a backup")
        position, previous = row.position, row.hash
    if position != head.position:
        raise LogCorrupt(f"position {position + 1} is missing, the log ends at {head.position}")
