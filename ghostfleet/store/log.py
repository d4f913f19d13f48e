"""The event log: append-only, gap-free, hash-chained, with one writer. Concurrent appends share one commit."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from time import perf_counter

from ghostfleet.domain.events import NewEvent, Recorded, Stream, UnknownEvent
from ghostfleet.domain.values import Hash
from ghostfleet.store.codec import CODEC, Codec
from ghostfleet.store.errors import LogCorrupt, LogUnavailable, VersionConflict
from ghostfleet.store.projections import Change, Projector
from ghostfleet.store.queries import EventQuery, Page, TransactionQuery, TransactionRow
from ghostfleet.store.recorder import PAGE_ROWS, Recorder, StoredSnapshot
from ghostfleet.store.rows import EMPTY, NO_HASH, EventRow, LogHead, rehash, row_hash

MAX_ROWS_PER_COMMIT = 2000
"""Bounds how long a commit takes; what does not fit goes into the next."""
MAX_WAITING = 10_000
"""Appends that may wait; more wait to be let in."""
SNAPSHOTS_KEPT = 3
CHECKED_AT_OPEN = 1000
"""The last rows are verified whenever a log is opened; `verify` walks all of it."""


class _Append:
    __slots__ = ("done", "events", "expected", "time_us")

    def __init__(self, events: Sequence[NewEvent], time_us: int, expected: Mapping[Stream, int]) -> None:
        self.events, self.time_us, self.expected = events, time_us, expected
        self.done: asyncio.Future[tuple[Recorded, ...]] = asyncio.get_running_loop().create_future()


class EventLog:
    """The log, whatever it is stored in."""

    def __init__(self, recorder: Recorder, codec: Codec = CODEC, projector: Projector | None = None) -> None:
        self._recorder = recorder
        self._codec = codec
        self._projector = projector or Projector()
        self._versions: dict[Stream, int] = {}
        self._waiting: deque[_Append] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._uncertain = False
        self.head: LogHead = EMPTY
        self.commit_secs = 0.0
        self.commit_rows = 0

    async def open(self) -> None:
        """Take over what is stored. Raises LogCorrupt where its end does not hang together."""
        self.head = await self._recorder.head()
        self._versions = await self._recorder.versions()
        if sum(self._versions.values()) != self.head.position:
            raise LogCorrupt(
                f"the log has {sum(self._versions.values())} events by streams and ends at position {self.head.position}"
            )
        await self._check_end()

    @property
    def wal_bytes(self) -> int:
        """The size of the database's write-ahead log, where it has one beside it."""
        return self._recorder.wal_bytes

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        """A page of rows by filter. Raises LogUnavailable."""
        return await self._recorder.rows(query)

    async def transaction(self, tx: Hash) -> TransactionRow | None:
        """One signed attempt by its hash."""
        found = await self._recorder.transactions(TransactionQuery(hash=tx, limit=1))
        return found.rows[0] if found.rows else None

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]:
        """A page of signed attempts, oldest first."""
        return await self._recorder.transactions(query)

    def version(self, stream: Stream) -> int:
        """How many events a stream has."""
        return self._versions.get(stream, 0)

    async def append(
        self, events: Sequence[NewEvent], *, time_us: int, expected: Mapping[Stream, int] | None = None
    ) -> tuple[Recorded, ...]:
        """Write events, all or none; durable when it returns. Cancelled, it happens wholly or not at all.

        Raises VersionConflict when a stream is not at its expected version, LogUnavailable when nothing was written.
        """
        if not events:
            return ()
        while len(self._waiting) >= MAX_WAITING and self._committing is not None:
            await asyncio.wait([self._committing])
        waiting = _Append(events, time_us, expected or {})
        self._waiting.append(waiting)
        if self._committing is None:
            self._committing = asyncio.get_running_loop().create_task(self._commit_all())
        return await waiting.done

    async def _commit_all(self) -> None:
        """Commit what waits, batch after batch, until nothing does."""
        try:
            await asyncio.sleep(0)  # let everybody who is about to append join the first batch
            while self._waiting:
                await self._commit_batch(self._next_batch())
        finally:
            self._committing = None

    def _next_batch(self) -> list[_Append]:
        batch: list[_Append] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0].events) <= MAX_ROWS_PER_COMMIT):
            append = self._waiting.popleft()
            if not append.done.cancelled():
                batch.append(append)
                rows += len(append.events)
        return batch

    async def _commit_batch(self, batch: Sequence[_Append]) -> None:
        try:
            if self._uncertain:
                await self._reread()
            rows, taken = self._rows_of(batch)
            if rows:
                await self._record(rows, [recorded for _, events in taken for recorded in events])
        except LogUnavailable as problem:
            self._uncertain = True
            for append in batch:
                _fail(append, problem)
            return
        except Exception as problem:  # a defect: its appends must not wait for ever
            self._uncertain = True
            for append in batch:
                _fail(append, problem)
            return
        for append, recorded in taken:
            if not append.done.done():
                append.done.set_result(recorded)

    async def _record(self, rows: Sequence[EventRow], recorded: Sequence[Recorded]) -> None:
        changes: list[Change] = []
        for event in recorded:
            changes.extend(self._projector.changes(event))
        started = perf_counter()
        await self._recorder.record(rows, changes)
        self.commit_secs, self.commit_rows = perf_counter() - started, len(rows)
        self.head = LogHead(rows[-1].position, rows[-1].hash)
        for row in rows:
            self._versions[row.stream] = row.version

    def _rows_of(self, batch: Sequence[_Append]) -> tuple[list[EventRow], list[tuple[_Append, tuple[Recorded, ...]]]]:
        """Number, encode and chain the events; an append whose expectation fails is refused alone."""
        position, previous = self.head.position, self.head.hash
        versions: dict[Stream, int] = {}
        rows: list[EventRow] = []
        taken: list[tuple[_Append, tuple[Recorded, ...]]] = []
        for append in batch:
            conflict = self._conflict(append, versions)
            if conflict is not None:
                _fail(append, conflict)
                continue
            recorded: list[Recorded] = []
            for new in append.events:
                position += 1
                version = versions.get(new.stream, self._versions.get(new.stream, 0)) + 1
                versions[new.stream] = version
                kind, kind_version, critical, payload = self._codec.encode(new.event)
                previous = row_hash(
                    previous,
                    position,
                    new.stream,
                    version,
                    kind,
                    kind_version,
                    critical,
                    append.time_us,
                    new.correlation,
                    payload,
                )
                rows.append(
                    EventRow(
                        position,
                        new.stream,
                        version,
                        kind,
                        kind_version,
                        critical,
                        append.time_us,
                        new.correlation,
                        payload,
                        previous,
                    )
                )
                recorded.append(Recorded(position, new.stream, version, append.time_us, new.correlation, new.event))
            taken.append((append, tuple(recorded)))
        return rows, taken

    def _conflict(self, append: _Append, versions: Mapping[Stream, int]) -> VersionConflict | None:
        for stream, expected in append.expected.items():
            actual = versions.get(stream, self._versions.get(stream, 0))
            if actual != expected:
                return VersionConflict(stream, expected, actual)
        return None

    async def _reread(self) -> None:
        """After a failure nobody knows whether the commit happened: what is stored is what counts."""
        self.head = await self._recorder.head()
        self._versions = await self._recorder.versions()
        self._uncertain = False

    async def read(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[Recorded]:
        """Events in order; UnknownEvent for one that this release need not know. Raises UnknownCriticalEvent."""
        async for row in self.stored(after, until=until):
            recorded = self._codec.decode(row)
            if recorded is None:
                recorded = Recorded(row.position, row.stream, row.version, row.time_us, row.correlation, UnknownEvent())
            yield recorded

    async def stored(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[EventRow]:
        """Rows in order, page by page. Raises LogCorrupt at a gap."""
        last = (await self._recorder.head()).position if until is None else until
        while after < last:
            page = await self._recorder.page(after, last, PAGE_ROWS)
            if not page:
                return
            for row in page:
                if row.position != after + 1:
                    raise LogCorrupt(f"position {after + 1} is missing")
                after = row.position
                yield row

    async def page(self, after: int, until: int) -> Sequence[EventRow]:
        """Some rows after a position, as they are stored, in order."""
        return await self._recorder.page(after, until, PAGE_ROWS)

    async def save_snapshot(self, position: int, fold_version: int, state: bytes) -> None:
        """Keep a folded state. Raises LogUnavailable."""
        snapshot = StoredSnapshot(position, state, hashlib.sha256(state).digest())
        await self._recorder.save_snapshot(snapshot, fold_version, SNAPSHOTS_KEPT)

    async def load_snapshot(self, fold_version: int) -> StoredSnapshot | None:
        """The newest one that is whole and not ahead of the log; a damaged one is as good as none."""
        for snapshot in await self._recorder.snapshots(fold_version):
            if snapshot.position <= self.head.position and hashlib.sha256(snapshot.state).digest() == snapshot.digest:
                return snapshot
        return None

    async def close(self) -> None:
        """Finish the commit that is under way, then let go."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        await self._recorder.close()

    async def _check_end(self) -> None:
        """The last rows chain up to the head."""
        first = max(self.head.position - CHECKED_AT_OPEN, 0)
        previous: Hash | None = NO_HASH if first == 0 else None
        async for row in self.stored(first):
            if previous is not None and rehash(previous, row) != row.hash:
                raise LogCorrupt(f"position {row.position}: the row does not fit its hash; restore a backup")
            previous = row.hash


def _fail(append: _Append, problem: Exception) -> None:
    if not append.done.done():
        append.done.set_exception(problem)


__all__ = ["EventLog", "EventQuery", "EventRow", "LogHead", "Page", "TransactionQuery", "TransactionRow"]
