"""The event log: what happened, in order, durably, provably. The one thing in the service that is true.

`EventLog` is the same over every storage; `open_log` opens one from its URL.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from ghostfleet.domain.events import NewEvent, Recorded, Stream, wallet_of
from ghostfleet.errors import BadInput
from ghostfleet.store.checkpoints import Asked
from ghostfleet.store.codec import CODEC, Codec, Encoded
from ghostfleet.store.commits import MAX_APPEND_ROWS, GroupCommit
from ghostfleet.store.errors import ArchiveMissing, EventUnwritable, LogCorrupt, LogUnavailable, UnknownCriticalEvent
from ghostfleet.store.newer import naming_the_release
from ghostfleet.store.opening import opened
from ghostfleet.store.places import recorder_at
from ghostfleet.store.projections import changes_of
from ghostfleet.store.queries import EventQuery, Page, TransactionQuery, TransactionRow
from ghostfleet.store.recorder import Counters, Recorder, Snapshot
from ghostfleet.store.rows import EventRow, LogHead
from ghostfleet.store.verification import Verification, snapshot_fits, verify

READ_PAGE_ROWS = 2000
"""Rows that `read` takes at a time: bounds its memory, and how long a read can hold a snapshot."""
SNAPSHOTS_KEPT = 3
MAX_SNAPSHOT_BYTES = 512 * 2**20


class EventLog:
    """One open log. Made by `open_log`, or by `EventLog.over` a recorder."""

    def __init__(self, recorder: Recorder, head: LogHead, versions: Mapping[Stream, int], codec: Codec) -> None:
        self._recorder = recorder
        self._codec = codec
        self.counters = Counters()
        self._commits = GroupCommit(recorder, head, versions, self.counters)

    @classmethod
    async def over(cls, recorder: Recorder, *, codec: Codec = CODEC, read_only: bool = False) -> "EventLog":
        """Check the end of the log, bring the read models up to it, and open. Raises LogCorrupt, LogUnavailable."""
        found = await opened(recorder, beside_a_writer=read_only)
        log = cls(recorder, found.head, found.versions, codec)
        if not read_only and found.projected < found.head.position:
            await log._project(found.projected)
        return log

    @property
    def head(self) -> LogHead:
        """The newest durable row, as of the last commit of this process."""
        return self._commits.head

    async def schema(self) -> Mapping[str, str]:
        """`revision` (migration), `level`, `min_level` (below which a release must not open it), `release` that wrote last."""
        return await self._recorder.schema()

    @property
    def wal_bytes(self) -> int:
        """Length of the write-ahead file now; 0 where there is none."""
        return self._recorder.wal_bytes

    def version(self, stream: Stream) -> int:
        """How many events the stream has."""
        return self._commits.versions.get(stream, 0)

    @property
    def wallets(self) -> Sequence[str]:
        """The names of all that ever had an event, retired ones too."""
        return [name for stream in self._commits.versions if (name := wallet_of(stream)) is not None]

    async def append(
        self, events: Sequence[NewEvent], *, time_us: int, expected: Mapping[Stream, int] | None = None
    ) -> tuple[Recorded, ...]:
        """Write all of them or none; durable when it returns. Concurrent calls share a commit.

        `expected` is the version each stream must have now. Raises VersionConflict, EventUnwritable, LogUnavailable (nothing
        changed; when `in_doubt`, the events may be found in the log later), LogCorrupt.
        """
        encoded = self.encode(events)
        return await self._commits.append(encoded, time_us, expected=expected) if encoded else ()

    def encode(self, events: Sequence[NewEvent]) -> list[Encoded]:
        """Events as they will be written. Raises EventUnwritable."""
        if len(events) > MAX_APPEND_ROWS:
            raise EventUnwritable(f"one append takes at most {MAX_APPEND_ROWS} events, not {len(events)}")
        encode = self._codec.encode
        return [encode(event) for event in events]

    async def append_encoded(self, events: Sequence[Encoded], *, time_us: int, follows: int) -> tuple[Recorded, ...]:
        """As `append`, of one event or more that are to follow the one at position `follows` and no other. Raises HeadMoved."""
        return await self._commits.append(events, time_us, follows=follows)

    async def read(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[Recorded]:
        """Events after a position, in order, up to the head at the time. Unknown events that may be skipped are UnknownEvent.

        Raises UnknownCriticalEvent, LogCorrupt, LogUnavailable.
        """
        decode = self._codec.decode
        while True:
            page = await self._recorder.page(after, until, READ_PAGE_ROWS)
            for row in page:
                if row.position != after + 1:
                    raise _gap(after, row.position)
                after = row.position
                try:
                    recorded = decode(row)
                except UnknownCriticalEvent as unknown:
                    raise await naming_the_release(self._recorder, unknown, self._codec) from None
                yield recorded
            if len(page) < READ_PAGE_ROWS:
                return

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        """A page of rows as they are stored. Raises BadInput for a page size that is not offered."""
        return await self._recorder.rows(query)

    def decode(self, row: EventRow) -> Recorded:
        """The event of a row that `rows` gave."""
        return self._codec.decode(row)

    async def transaction(self, tx: bytes) -> TransactionRow | None:
        """What became of this attempt; None when it was never signed here."""
        return await self._recorder.transaction(tx)

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]:
        """A page of attempts."""
        return await self._recorder.transactions(query)

    async def verify(self, *, after: int = 0, asked: Asked | None = None) -> Verification:
        """Walk the hash chain and all that hangs on it, checkpoints where that is asked; the first row that does not fit is
        named."""
        return await verify(self._recorder, self._codec, after, asked)

    async def rebuild_projections(self) -> None:
        """Make the read models anew from the events, and drop the snapshots. For a log that nobody appends to meanwhile.
        Raises ArchiveMissing before it changes anything."""
        if missing := self.missing():
            raise ArchiveMissing(f"the read models are derived from all events, and {missing[0]}: put it there")
        await self._recorder.forget_projections()
        if not await self._project(0):
            raise LogCorrupt(
                "the read models cannot hold what the log says: `ghost-fleet audit verify` names where they end"
            )
        await self._recorder.drop_snapshots(await self._recorder.every_snapshot())

    async def _project(self, after: int) -> bool:
        """Whether the read models follow to the end now. A log that holds what they cannot goes on without."""
        while page := await self._recorder.page(after, None, READ_PAGE_ROWS):
            after = page[-1].position
            try:
                changes = changes_of(map(self._codec.decode, page))
            except UnknownCriticalEvent as unknown:
                raise await naming_the_release(self._recorder, unknown, self._codec) from None
            if not await self._recorder.project(changes, after):
                return False
        return True

    async def save_snapshot(self, position: int, fold_version: int, state: bytes) -> None:
        """Keep a folded state. Raises BadInput for a position beyond the head, LogUnavailable."""
        if not 0 < position <= self.head.position or len(state) > MAX_SNAPSHOT_BYTES:
            raise BadInput(
                f"no snapshot of {len(state)} bytes at position {position}: the log ends at {self.head.position}"
            )
        row = await self._recorder.page(position - 1, position, 1)
        if not row:
            raise LogUnavailable(f"position {position} cannot be read")
        await self._recorder.put_snapshot(Snapshot.of(position, fold_version, row[0].hash, state), SNAPSHOTS_KEPT)

    async def load_snapshot(self, fold_version: int) -> Snapshot | None:
        """The newest that fits this log, undamaged; None when there is none."""
        for snapshot in await self._recorder.snapshots(fold_version):
            if await snapshot_fits(self._recorder, snapshot):
                return snapshot
        return None

    @property
    def anchor(self) -> LogHead:
        """The end of the newest archive; position 0 where nothing was archived."""
        return self._recorder.anchor

    def missing(self) -> Sequence[str]:
        """Which events lie in archive files that are not at hand, in words; answers lack them."""
        return self._recorder.missing()

    async def load_anchor_state(self, fold_version: int) -> Snapshot | None:
        """The state as of the anchor by this version of the fold; None when another one wrote it. Raises LogCorrupt."""
        return await self._recorder.anchor_state(fold_version)

    async def save_anchor_state(self, fold_version: int, state: bytes) -> None:
        """Keep the state as of the anchor for this version of the fold. Raises BadInput where nothing was archived."""
        anchor = self.anchor
        await self._recorder.put_anchor_state(Snapshot.of(anchor.position, fold_version, anchor.hash, state))

    async def close(self) -> None:
        """Finish the appends that wait, then let the storage and its lock go."""
        await self._commits.close()
        await self._recorder.close()


def _gap(after: int, position: int) -> Exception:
    return LogCorrupt(f"position {after + 1} is missing: {after} is followed by {position}")


async def open_log(
    url: str,
    *,
    read_only: bool = False,
    create: bool = True,
    codec: Codec = CODEC,
    archives: Path | None = None,
) -> EventLog:
    """Open the log at `sqlite:///FILE` or `postgresql://...`, as its one writer or read-only beside it.

    `archives` is where its archive files lie; None: beside a SQLite file.
    Raises BadInput (no such place), LogHeld, LogCorrupt, SchemaTooNew, LogUnavailable.
    """
    recorder = await recorder_at(url, read_only=read_only, create=create, archives=archives)
    try:
        return await EventLog.over(recorder, codec=codec, read_only=read_only)
    except BaseException:
        await recorder.close()
        raise


async def verify_log(
    url: str, *, codec: Codec = CODEC, archives: Path | None = None, asked: Asked | None = None
) -> Verification:
    """`EventLog.verify` of a log that may be too damaged to be opened.

    Raises BadInput, SchemaTooNew, UnknownCriticalEvent, LogUnavailable; LogCorrupt when the database cannot even be read.
    """
    recorder = await recorder_at(url, read_only=True, create=False, archives=archives)
    try:
        return await verify(recorder, codec, 0, asked)
    finally:
        await recorder.close()
