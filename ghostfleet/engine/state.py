"""The only mutable state there is, changed only by events that the log has accepted.

`commit` is one step: decide on a candidate, append durably, then swap the candidate in. Commits that wait share one append,
in one fleet-wide order: that is what limits and the pause rest on. While one batch is being written the next one is decided
on top of it; of a batch that could not be written nothing was ever seen, and what was decided on top of it is decided anew.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from ghostfleet.domain.events import NewEvent, Recorded
from ghostfleet.domain.state import Candidate, State
from ghostfleet.engine.ports import Clock, Log
from ghostfleet.errors import GhostFleetError, TryAgain
from ghostfleet.store.codec import Encoded
from ghostfleet.store.commits import MAX_APPEND_ROWS
from ghostfleet.store.errors import HeadMoved, LogUnavailable

Decide = Callable[[Candidate, int], Sequence[NewEvent]]
"""Pure: the state and the time (microseconds) to the events that follow. Raises Refused when the wish does not fit."""

Committing = asyncio.Future[tuple[Recorded, ...]]
"""Done when the events are durable, or cannot be."""

MAX_COMMITS_PER_APPEND = 1000
"""Bounds the time a commit can wait behind others, and the memory of one append."""
MAX_BATCHES = 2
"""One that is being written, and one that is decided on top of it and is next."""
AHEAD_SHARE = 0.5
"""The next batch is decided as soon as it is so large a part of the one being written; smaller ones wait for more to join."""


@dataclass
class _Batch:
    """Commits that share an append."""

    asked: list[tuple[Decide, Committing]]
    candidate: Candidate
    """The state after this batch, on top of the batch before it."""
    started: float
    """By the loop's clock."""
    answers: list[tuple[Committing, tuple[Recorded, ...] | Exception]] = field(default_factory=list)
    recorded: list[Recorded] = field(default_factory=list)
    """Its events, numbered as the log will number them."""
    writing: "asyncio.Task[tuple[Recorded, ...]] | None" = None
    """None where there is nothing to write: everybody was refused."""

    @property
    def over(self) -> bool:
        return self.writing is None or self.writing.done()

    @property
    def problem(self) -> BaseException | None:
        """Why it was not written, once it is over."""
        return None if self.writing is None else self.writing.exception()

    def answer(self, problem: GhostFleetError | None = None) -> None:
        """Tell everybody what became of it; whoever was refused hears that in any case."""
        for done, outcome in self.answers:
            if not done.done():
                if isinstance(outcome, Exception):
                    done.set_exception(outcome)
                elif problem is not None:
                    done.set_exception(problem)
                else:
                    done.set_result(outcome)


class LiveState:
    """Commits decisions batch by batch. `on_event` is called for each event once it is durable and visible."""

    def __init__(
        self,
        state: State,
        log: Log,
        clock: Clock,
        on_event: Callable[[Recorded], None],
        on_commit: Callable[[float], None] = lambda _secs: None,
    ) -> None:
        self.state = state
        self._log = log
        self._clock = clock
        self._on_event = on_event
        self._on_commit = on_commit
        self._waiting: deque[tuple[Decide, Committing]] = deque()
        self._batches: deque[_Batch] = deque()
        """Decided, oldest first; not yet in the state."""
        self._look = asyncio.Event()
        self._written_at = 0.0
        """When the latest append was over, by the loop's clock."""
        self.trouble: str | None = None
        """Why the log did not take the latest append, until it takes one again."""
        self.troubled = asyncio.Event()

    async def commit(self, decide: Decide) -> tuple[Recorded, ...]:
        """Write what `decide` returns. Returns it once durable; raises what `decide` raised, or what the log did."""
        done: Committing = asyncio.get_running_loop().create_future()
        self._waiting.append((decide, done))
        if self._may_decide:
            self._look.set()
        return await done

    async def write(self, events: Sequence[NewEvent]) -> tuple[Recorded, ...]:
        """Write events that need no decision."""
        return await self.commit(lambda _state, _now_us: events)

    async def run(self) -> None:
        """Serve commits until cancelled; what has been decided is written first."""
        try:
            while True:
                if self._batches and self._batches[0].over:
                    await _finish(self._settle())
                elif self._may_decide:
                    self._decide()
                else:
                    self._look.clear()
                    await self._look.wait()
        except asyncio.CancelledError:
            await _finish(self._settle_all())
            raise

    @property
    def _may_decide(self) -> bool:
        """Whether enough wait for a batch of their own."""
        if not self._batches:
            return bool(self._waiting)
        return len(self._batches) < MAX_BATCHES and len(self._waiting) >= AHEAD_SHARE * len(self._batches[0].asked)

    def _decide(self) -> None:
        """The next batch, on top of those before it, and on its way to the log."""
        below = self._batches[-1].candidate if self._batches else self.state
        candidate = Candidate(below)
        batch = _Batch(asked=[], candidate=candidate, started=asyncio.get_running_loop().time())
        now_us, follows = self._clock.now_us(), below.position
        encoded: list[Encoded] = []
        while self._waiting and len(batch.asked) < MAX_COMMITS_PER_APPEND:
            decide, done = self._waiting[0]
            candidate.mark()
            try:
                events = decide(candidate, now_us)
                recorded = candidate.try_events(events, now_us)
                rows = self._log.encode(events)
            except Exception as problem:  # a decision that fails is its asker's, not its neighbours'
                candidate.back()
                batch.answers.append((done, problem))
            else:
                if encoded and len(encoded) + len(rows) > MAX_APPEND_ROWS:
                    candidate.back()
                    break  # the first of the next batch
                encoded += rows
                batch.recorded += recorded
                batch.answers.append((done, recorded))
            batch.asked.append(self._waiting.popleft())
        if encoded:
            batch.writing = asyncio.create_task(self._log.append_encoded(encoded, time_us=now_us, follows=follows))
            batch.writing.add_done_callback(lambda _: self._look.set())
        self._batches.append(batch)

    async def _settle(self) -> None:
        """What became of the oldest batch."""
        batch = self._batches[0]
        problem = batch.problem
        if problem is None:
            stored = batch.writing.result()[-1].position if batch.writing is not None else batch.candidate.position
            assert stored == batch.candidate.position, "the log numbers events as the candidate does"
            self._adopt(batch)
        elif isinstance(problem, GhostFleetError):
            await self._recover()
        else:
            raise problem

    async def _settle_all(self) -> None:
        while self._batches:
            if (writing := self._batches[0].writing) is not None:
                await asyncio.wait([writing])
            await self._settle()

    def _adopt(self, batch: _Batch) -> None:
        """The oldest batch is durable: make it the state, and tell."""
        self._batches.popleft()
        batch.candidate.swap()
        if self._batches:
            self._batches[0].candidate.rebase(self.state)
        if batch.recorded:
            self.trouble = None
            now = asyncio.get_running_loop().time()
            self._on_commit(now - max(batch.started, self._written_at))
            self._written_at = now
        for recorded in batch.recorded:
            self._on_event(recorded)
        batch.answer()

    async def _recover(self) -> None:
        """The oldest batch was not written, it seems. The log knows; whatever is in it is a fact, whoever was told otherwise."""
        writings = [batch.writing for batch in self._batches if batch.writing is not None]
        await asyncio.wait(writings)
        while any(it.writing is not None and it.problem is None for it in self._batches):
            self._adopt(self._batches[0])  # one that is written stands on all before it: they are written too
        failed = list(self._batches)
        self._batches.clear()
        found, whole = await self._catch_up()
        again: list[tuple[Decide, Committing]] = []
        for number, batch in enumerate(failed):
            problem = batch.problem
            if batch.recorded and all(found.get(it.position) == it for it in batch.recorded):
                self.trouble = None
                batch.answer()
            elif _may_be_decided_anew(problem, first=number == 0, whole=whole):
                again += batch.asked
            elif isinstance(problem, GhostFleetError):
                if isinstance(problem, HeadMoved):
                    problem = LogUnavailable("the log has events that cannot be read")
                self.trouble = str(problem)
                self.troubled.set()
                batch.answer(problem)
            else:
                assert problem is not None
                raise problem
        self._waiting.extendleft(reversed(again))

    async def _catch_up(self) -> tuple[dict[int, Recorded], bool]:
        """Make what is in the log beyond the state part of it. Returns that by position, and whether it could be read whole.

        Raises StopService for a log that no later look will read any better.
        """
        found: dict[int, Recorded] = {}
        with contextlib.suppress(TryAgain):
            async for recorded in self._log.read(self.state.position):
                self.state.apply(recorded)
                self._on_event(recorded)
                found[recorded.position] = recorded
            return found, True
        return found, False


def _may_be_decided_anew(problem: BaseException | None, *, first: bool, whole: bool) -> bool:
    """Of a batch that is not in the log as far as that could be read (`whole` or not): whether it cannot turn up there later, and
    was decided on top of what is not there, or without something that is."""
    if problem is None or isinstance(problem, HeadMoved):
        return whole or not first
    return not first and isinstance(problem, LogUnavailable) and not problem.in_doubt


async def _finish(work: Coroutine[None, None, None]) -> None:
    """Run to the end even when cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
