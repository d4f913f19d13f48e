"""How do concurrent appends share one commit? They wait in a bounded queue; whatever waits when a commit is over is the next.

One task at a time drains the queue, and only while there is something in it. An append whose caller is cancelled before its
batch is taken never happens; after that it happens wholly.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from ghostfleet.domain.events import Recorded, Stream
from ghostfleet.domain.values import Hash
from ghostfleet.errors import BadInput, GhostFleetError, StopService
from ghostfleet.store.codec import LAST_TIME_US, Encoded
from ghostfleet.store.errors import EventUnwritable, HeadMoved, LogCorrupt, LogUnavailable, VersionConflict
from ghostfleet.store.projections import changes_of
from ghostfleet.store.recorder import Counters, Recorder
from ghostfleet.store.rows import EventRow, LogHead, chain_hash

MAX_WAITING_APPENDS = 4096
"""Appends in the queue; more of them wait to get into it."""
MAX_BATCH_ROWS = 512
"""Rows in one commit: bounds how long the next append waits, and while one half of many writers is being committed the
other half can prepare its next events. A single append may be larger, alone."""
MAX_APPEND_ROWS = 65_536
"""Events in one append."""

Answer = tuple[Recorded, ...]


class _Waiting(msgspec.Struct, gc=False):
    events: Sequence[Encoded]
    time_us: int
    expected: Mapping[Stream, int] | None
    follows: int | None
    done: "asyncio.Future[Answer]"


class _Batch(msgspec.Struct):
    """Rows that go into one commit, and who waits for them."""

    rows: list[EventRow] = []
    recorded: list[Recorded] = []
    versions: dict[Stream, int] = {}
    answers: list[tuple["asyncio.Future[Answer]", Answer]] = []

    def head(self) -> LogHead:
        newest = self.rows[-1]
        return LogHead(newest.position, newest.hash)


class GroupCommit:
    """The writing side of the log: head and versions in memory are what is durable, never more."""

    def __init__(self, recorder: Recorder, head: LogHead, versions: Mapping[Stream, int], counters: Counters) -> None:
        self._recorder = recorder
        self.head = head
        self.versions: dict[Stream, int] = dict(versions)
        self._counters = counters
        self._queue: deque[_Waiting] = deque()
        self._room = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._in_doubt: _Batch | None = None
        self._broken: StopService | None = None
        self._closed = False

    async def append(
        self,
        events: Sequence[Encoded],
        time_us: int,
        *,
        expected: Mapping[Stream, int] | None = None,
        follows: int | None = None,
    ) -> tuple[Recorded, ...]:
        """Returns when the events are durable."""
        if not 0 <= time_us <= LAST_TIME_US:
            raise EventUnwritable(f"{time_us} is no time in microseconds since 1970")
        while len(self._queue) >= MAX_WAITING_APPENDS:
            await self._room.wait()
        if self._closed:
            raise BadInput("the log is closed: open it again")
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(events, time_us, expected, follows, done))
        if len(self._queue) >= MAX_WAITING_APPENDS:
            self._room.clear()
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="log commits")
        return await done

    async def close(self) -> None:
        """Take no more appends; finish those that wait."""
        self._closed = True
        if self._draining is not None:
            await asyncio.wait([self._draining])

    async def _drain(self) -> None:
        try:
            while self._queue:
                await self._next()
        finally:
            self._draining = None
            while self._queue:
                _fail([self._queue.popleft().done], LogUnavailable("the log is being closed", in_doubt=False))
            self._room.set()

    async def _next(self) -> None:
        """One commit, or the same answer to all that wait when there can be none."""
        try:
            await self._settle()
        except GhostFleetError as problem:
            _fail([self._queue.popleft().done for _ in range(len(self._queue))], problem)
            self._room.set()
            return
        batch = self._take()
        self._room.set()
        if batch.rows:
            await self._commit(batch)

    def _take(self) -> _Batch:
        batch = _Batch()
        while self._queue and (not batch.rows or len(batch.rows) + len(self._queue[0].events) <= MAX_BATCH_ROWS):
            waiting = self._queue.popleft()
            if waiting.done.done():
                continue  # its caller was cancelled
            conflict = self._conflict(waiting, batch)
            if conflict is not None:
                waiting.done.set_exception(conflict)
                continue
            batch.answers.append((waiting.done, self._number(batch, waiting)))
        return batch

    def _conflict(self, waiting: _Waiting, batch: _Batch) -> VersionConflict | HeadMoved | None:
        newest = batch.rows[-1].position if batch.rows else self.head.position
        if waiting.follows is not None and waiting.follows != newest:
            return HeadMoved(waiting.follows, newest)
        for stream, wanted in (waiting.expected or {}).items():
            actual = batch.versions.get(stream) or self.versions.get(stream, 0)
            if actual != wanted:
                return VersionConflict(stream, wanted, actual)
        return None

    def _number(self, batch: _Batch, waiting: _Waiting) -> Answer:
        """Give the events their positions, versions and hashes at the end of the batch."""
        rows, versions, time_us = batch.rows, batch.versions, waiting.time_us
        position, digest = (rows[-1].position, rows[-1].hash) if rows else (self.head.position, self.head.hash)
        answer: list[Recorded] = []
        for event in waiting.events:
            stream, correlation, kind_version, critical = (
                event.stream,
                event.correlation,
                event.type_version,
                event.critical,
            )
            position += 1
            version = (versions.get(stream) or self.versions.get(stream, 0)) + 1
            versions[stream] = version
            digest = Hash(chain_hash(digest, position, version, kind_version, critical, time_us, event.text))
            rows.append(
                EventRow(
                    position,
                    stream,
                    version,
                    event.type,
                    kind_version,
                    critical,
                    time_us,
                    correlation,
                    event.payload,
                    digest,
                )
            )
            answer.append(Recorded(position, stream, version, time_us, correlation, event.event))
        batch.recorded += answer
        return tuple(answer)

    async def _commit(self, batch: _Batch) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            await self._recorder.record(batch.rows, changes_of(batch.recorded))
        except LogUnavailable as problem:
            self._in_doubt = batch
            await self._answer_in_doubt(batch, problem)
            return
        except StopService as problem:
            self._broken = problem
            _fail([done for done, _ in batch.answers], problem)
            return
        except BaseException as problem:  # whoever waits has to hear of it; the next append looks at the disk first
            self._in_doubt = batch
            _fail([done for done, _ in batch.answers], LogUnavailable(f"the append failed: {problem!r}", in_doubt=True))
            if isinstance(problem, Exception):
                return
            raise
        self._adopt(batch)
        self._count(len(batch.rows), loop.time() - started)

    async def _answer_in_doubt(self, batch: _Batch, problem: LogUnavailable) -> None:
        """The commit failed. Look whether it landed all the same; if that cannot be seen, it stays in doubt."""
        try:
            await self._settle()
        except LogUnavailable:
            problem.in_doubt = True
        except StopService as worse:
            _fail([done for done, _ in batch.answers], worse)
            return
        else:
            problem.in_doubt = False
        _fail([done for done, _ in batch.answers], problem)

    async def _settle(self) -> None:
        """Know where the log ends before anything is written after a failed commit."""
        if self._broken is not None:
            raise self._broken
        batch = self._in_doubt
        if batch is None:
            return
        head = await self._settled_head(batch)
        if head == batch.head():
            self._adopt(batch)
        elif head != self.head:
            self._broken = LogCorrupt(
                f"the log ended at position {self.head.position} and now ends at {head.position} without a commit of this"
                " process: another writer, or writes were lost. Stop, and run `ghost-fleet audit verify`"
            )
            raise self._broken
        self._in_doubt = None

    async def _settled_head(self, batch: _Batch) -> LogHead:
        """Where the log ends, for certain. That somebody else has gone on writing it is seen without waiting for that."""
        try:
            return await self._recorder.settled_head()
        except LogUnavailable:
            seen = await self._recorder.head()
            if seen.position <= self.head.position or seen == batch.head():
                raise
            return seen

    def _adopt(self, batch: _Batch) -> None:
        self.head = batch.head()
        self.versions.update(batch.versions)
        for done, recorded in batch.answers:
            if not done.done():
                done.set_result(recorded)

    def _count(self, rows: int, secs: float) -> None:
        counters = self._counters
        counters.commits += 1
        counters.rows += rows
        counters.last_commit_rows = rows
        counters.last_commit_secs = secs


def _fail(waiting: Sequence["asyncio.Future[Answer]"], problem: GhostFleetError) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(problem)
