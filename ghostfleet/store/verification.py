"""Can it be proven that nobody edited the log? The walk along the hash chain, and everything that hangs on it."""

import struct
from collections.abc import Sequence

import msgspec

from ghostfleet.domain.events import Stream
from ghostfleet.store.checkpoints import Asked, CheckpointWalk, Newest
from ghostfleet.store.codec import Codec
from ghostfleet.store.errors import LogCorrupt, UnknownCriticalEvent
from ghostfleet.store.expectation import Expectation
from ghostfleet.store.kept_states import KeptStates
from ghostfleet.store.newer import naming_the_release
from ghostfleet.store.recorder import Recorder, Snapshot
from ghostfleet.store.rows import GENESIS, EventRow, LogHead, hash_of

PAGE_ROWS = 1000
LAST_POSITION = 2**63 - 1
COLUMN_KINDS = (int, str, int, str, int, int, int, str, str)


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What the walk found. `problem` is empty when all fits; `position` is the first row that does not, where it is a row."""

    ok: bool
    head: LogHead
    rows: int
    transactions: int = 0
    position: int | None = None
    problem: str = ""
    after: int = 0
    """The walk began behind this position, which is 0 unless it was asked so or an archive is not at hand."""
    missing: tuple[str, ...] = ()
    """Archives that are not at hand: their events were not verified, nor what the read models derive from them."""
    checkpoints: int = 0
    """How many signed heads were checked; none where nobody asked."""
    checkpoints_unseen: int = 0
    """How many of them name a row in an archive that is not at hand: only their signatures were checked."""
    newest_checkpoint: Newest | None = None
    not_contained: str = ""
    """Why this is not the log of a checkpoint that was noted elsewhere. It may hang together all the same."""


class Misfit(Exception):
    """The first thing that does not fit."""

    def __init__(self, problem: str, position: int | None = None) -> None:
        self.position = position
        super().__init__(problem if position is None else f"position {position}: {problem}")


def chain_fault(row: EventRow, after: int, previous: bytes) -> str:
    """Why this row cannot follow that one; empty when it can."""
    columns = msgspec.structs.astuple(row)
    for name, value, kind in zip(EventRow.__struct_fields__, columns, COLUMN_KINDS, strict=False):
        if type(value) is not kind:
            return f"column {name} is not {'a number' if kind is int else 'text'}"
    if row.position != after + 1:
        return f"the row is missing ({after} is followed by {row.position})"
    try:
        fits = hash_of(previous, row) == row.hash
    except (struct.error, UnicodeEncodeError):
        return "a column holds what no row can hold"
    return "" if fits else "the row does not fit its hash: a column of it, or the row before, was changed"


class _Walk:
    """State of one walk; `at` is the newest row that fits, `witness` where the log had ended once, `anchor` an archive's end."""

    def __init__(self, codec: Codec, at: LogHead, witness: LogHead | None, anchor: LogHead) -> None:
        self._codec = codec
        self._witness = witness
        self._anchor = anchor
        self.at = at
        self.rows = 0
        self._versions: dict[Stream, int] | None = {} if at.position == 0 else None
        self.expected = Expectation() if at.position == 0 else None
        self.checkpoints: CheckpointWalk | None = None
        self.kept: KeptStates | None = None

    async def step(self, row: EventRow) -> None:
        """One more row. Raises Misfit."""
        position = self.at.position + 1
        if fault := chain_fault(row, self.at.position, self.at.hash):
            raise Misfit(fault, position)
        if self._versions is not None:
            newest = self._versions.get(row.stream, 0)
            if row.version != newest + 1:
                raise Misfit(f"version {row.version} of {row.stream} follows version {newest}", position)
            self._versions[row.stream] = row.version
        try:
            recorded = self._codec.decode(row)
        except LogCorrupt as problem:
            raise Misfit(str(problem).partition(": ")[2], position) from None
        if self.expected is not None and (fault := self.expected.add(recorded)):
            raise Misfit(fault, position)
        if self._witness is not None and self._witness.position == position and self._witness.hash != row.hash:
            raise Misfit(
                f"the row is another than the one that the .witness file names ({self._witness.hash})", position
            )
        if self._anchor.position == position and self._anchor.hash != row.hash:
            raise Misfit(
                f"the row is another than the one that the log was anchored to ({self._anchor.hash})", position
            )
        if self.checkpoints is not None and (fault := await self.checkpoints.see(recorded.event, row)):
            raise Misfit(fault, position)
        if self.kept is not None and (fault := self.kept.see(recorded)):
            raise Misfit(fault)
        self.at = LogHead(row.position, row.hash)
        self.rows += 1

    def check_end(self) -> None:
        """Raises Misfit when the log went further once."""
        if self._witness is not None and self._witness.position > self.at.position:
            raise Misfit(f"the row is missing: the log had reached {self._witness.position}", self.at.position + 1)


async def verify(recorder: Recorder, codec: Codec, after: int, asked: Asked | None = None) -> Verification:
    """Everything after a position (which is taken on trust); from 0 the read models as well. Checkpoints where that is `asked`.

    Raises LogUnavailable, and UnknownCriticalEvent where this release cannot read on.
    """
    missing = tuple(recorder.missing())
    if missing:
        after = max(after, recorder.anchor.position)
    walk = _Walk(codec, LogHead(after), recorder.witnessed(), recorder.anchor)
    walk.checkpoints = CheckpointWalk(recorder, asked) if asked is not None else None
    try:
        walk.at = await _start(recorder, after)
        walk.kept = KeptStates(recorder)
        await walk.kept.begin(walk.at)
        if walk.checkpoints is not None:
            await walk.checkpoints.begin(walk.at)
        await _walk_to_the_end(recorder, walk)
        walk.check_end()
        if walk.expected is not None:
            await _check_read_models(recorder, walk)
        await _check_snapshots(recorder)
        if faults := await recorder.faults():
            raise Misfit(f"the database finds itself damaged: {faults}")
    except UnknownCriticalEvent as unknown:
        raise await naming_the_release(recorder, unknown, codec) from None
    except Misfit as misfit:
        return Verification(
            ok=False, head=walk.at, rows=walk.rows, position=misfit.position, problem=str(misfit), after=after
        )
    except LogCorrupt as problem:
        return Verification(ok=False, head=walk.at, rows=walk.rows, problem=str(problem), after=after)
    attempts = 0 if walk.expected is None else walk.expected.attempts
    found = Verification(ok=True, head=walk.at, rows=walk.rows, transactions=attempts, after=after, missing=missing)
    if walk.checkpoints is None:
        return found
    not_contained = walk.checkpoints.not_contained(walk.at)
    return msgspec.structs.replace(
        found,
        ok=not not_contained,
        checkpoints=walk.checkpoints.count,
        checkpoints_unseen=walk.checkpoints.unseen,
        newest_checkpoint=walk.checkpoints.newest,
        not_contained=not_contained,
    )


async def _start(recorder: Recorder, after: int) -> LogHead:
    if after == 0:
        if before := await recorder.page(-LAST_POSITION, 0, 1):
            raise Misfit("no event has such a position: the row was inserted", before[0].position)
        return LogHead(0, GENESIS)
    if after == recorder.anchor.position:
        return recorder.anchor
    row = await recorder.page(after - 1, after, 1)
    if not row:
        raise LogCorrupt(f"position {after} is missing")
    return LogHead(row[0].position, row[0].hash)


async def _walk_to_the_end(recorder: Recorder, walk: _Walk) -> None:
    while page := await _page(recorder, walk.at.position):
        for row in page:
            await walk.step(row)
        if walk.expected is not None:
            ended = walk.expected.take_ended()
            found = await recorder.by_hash([row.hash for row in ended])
            for wanted in ended:
                if found.get(bytes(wanted.hash)) != wanted:
                    raise Misfit(_differs(wanted.hash, found.get(bytes(wanted.hash)), wanted), wanted.signed_position)
    stated, _ = await recorder.stated_head()
    if stated.position < walk.at.position or (stated.position == walk.at.position and stated != walk.at):
        first = min(stated.position + 1, walk.at.position)
        raise Misfit(f"the last commit says that the log ends at {stated.position} ({stated.hash})", max(first, 1))
    if stated.position > walk.at.position and not await recorder.page(walk.at.position, None, 1):
        raise Misfit(f"the row is missing: the last commit ended at {stated.position}", walk.at.position + 1)


async def _page(recorder: Recorder, after: int) -> Sequence[EventRow]:
    """The next rows; when the page cannot be read, row by row, so that the one to blame has a name."""
    try:
        return await recorder.page(after, None, PAGE_ROWS)
    except LogCorrupt:
        try:
            return await recorder.page(after, None, 1)
        except LogCorrupt as problem:
            raise Misfit(f"the row cannot be read: {problem}", after + 1) from None


MAX_CATCH_UPS = 20
"""How often the walk follows a log that is being written before it compares what is open."""


async def _check_read_models(recorder: Recorder, walk: _Walk) -> None:
    """What has not ended can be compared only while the log stands still; a busy log is followed a few times."""
    assert walk.expected is not None
    for _ in range(MAX_CATCH_UPS):
        head = walk.at
        _, projected = await recorder.stated_head()
        wanted = walk.expected.open()
        found = await recorder.by_hash([row.hash for row in wanted])
        addresses = await recorder.addresses()
        count = await recorder.transaction_count()
        if await recorder.head() != head:
            await _walk_to_the_end(recorder, walk)
            continue
        if projected != head.position:
            raise Misfit(f"the read models follow up to position {projected} only: `ghost-fleet db rebuild` mends that")
        for row in wanted:
            if found.get(bytes(row.hash)) != row:
                raise Misfit(_differs(row.hash, found.get(bytes(row.hash)), row), row.signed_position)
        if addresses != walk.expected.addresses:
            differ = sorted(
                str(wallet)
                for wallet in {*addresses, *walk.expected.addresses}
                if addresses.get(wallet) != walk.expected.addresses.get(wallet)
            )
            raise Misfit(
                f"the read model of wallets differs in {', '.join(differ[:5])}: `ghost-fleet db rebuild` mends that"
            )
        if count != walk.expected.attempts:
            raise Misfit(
                f"the read model has {count} transactions, the log {walk.expected.attempts}: `ghost-fleet db rebuild` mends that"
            )
        return


async def snapshot_fits(recorder: Recorder, snapshot: Snapshot) -> bool:
    """Whether it is a state of this log, as it was written."""
    if type(snapshot.position) is not int or not snapshot.undamaged:
        return False
    anchor = recorder.anchor
    if 0 < snapshot.position <= anchor.position:
        return snapshot.position == anchor.position and snapshot.head_hash == anchor.hash
    row = await recorder.page(snapshot.position - 1, snapshot.position, 1)
    return bool(row) and row[0].hash == snapshot.head_hash


async def _check_snapshots(recorder: Recorder) -> None:
    for snapshot in await recorder.every_snapshot():
        if not await snapshot_fits(recorder, snapshot):
            raise Misfit(
                f"the snapshot at position {snapshot.position} is damaged or of another log, no start uses it:"
                " `ghost-fleet db rebuild` drops it"
            )


def _differs(tx: object, found: object, wanted: object) -> str:
    what = (
        "is missing from the read model" if found is None else f"differs in the read model: {found} instead of {wanted}"
    )
    return f"transaction {tx} {what}; `ghost-fleet db rebuild` mends that"
