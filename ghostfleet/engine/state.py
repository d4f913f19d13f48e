"""The only mutable state there is, changed only by events that the log has accepted.

`commit` is one step: decide on the current state, fold the new events onto a candidate, append durably, then swap. Commits
that wait share one append, in one fleet-wide order: that is what limits and the pause rest on.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence

from ghostfleet.domain.events import NewEvent, Recorded, Stream
from ghostfleet.domain.state import Candidate, State
from ghostfleet.engine.ports import Clock, Log
from ghostfleet.errors import BadInput, GhostFleetError

Decide = Callable[[Candidate, int], Sequence[NewEvent]]
"""Pure: the state and the time (microseconds) to the events that follow. Raises Refused when the wish does not fit."""

Committing = asyncio.Future[tuple[Recorded, ...]]
"""Done when the events are durable, or cannot be."""

MAX_COMMITS_PER_APPEND = 1000
"""Bounds the time a commit can wait behind others, and the memory of one append."""


class LiveState:
    """Commits decisions one batch at a time. `on_event` is called for each event once it is durable and visible."""

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
        self._some = asyncio.Event()
        self.trouble: str | None = None
        """Why the log did not take the latest append, until it takes one again."""
        self.troubled = asyncio.Event()

    async def commit(self, decide: Decide) -> tuple[Recorded, ...]:
        """Write what `decide` returns. Returns it once durable; raises what `decide` raised, or what the log did."""
        done: Committing = asyncio.get_running_loop().create_future()
        self._waiting.append((decide, done))
        self._some.set()
        return await done

    async def write(self, events: Sequence[NewEvent]) -> tuple[Recorded, ...]:
        """Write events that need no decision."""
        return await self.commit(lambda _state, _now_us: events)

    async def run(self) -> None:
        """Serve commits until cancelled; an append that is under way is finished first."""
        while True:
            await self._some.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_COMMITS_PER_APPEND))]
            if not self._waiting:
                self._some.clear()
            await _finish(self._serve(batch))

    async def _serve(self, batch: Sequence[tuple[Decide, Committing]]) -> None:
        candidate = Candidate(self.state)
        now_us = self._clock.now_us()
        written: list[NewEvent] = []
        answers: list[tuple[Committing, tuple[Recorded, ...] | Exception]] = []
        for decide, done in batch:
            tried = Candidate(candidate)
            try:
                events = decide(tried, now_us)
                recorded = tried.try_events(events, now_us)
            except Exception as problem:  # a decision that fails is its asker's, not its neighbours'
                answers.append((done, problem))
                continue
            tried.swap()
            written.extend(events)
            answers.append((done, recorded))
        try:
            await self._append(written, candidate, now_us)
        except BadInput as problem:  # an event that no log can take
            if len(batch) == 1:
                _answer(batch[0][1], problem)
                return
            for each in batch:  # it fails its own asker only
                await self._serve([each])
            return
        except GhostFleetError as problem:
            for done, outcome in answers:
                _answer(done, outcome if isinstance(outcome, Exception) else problem)
            return
        for done, outcome in answers:
            _answer(done, outcome)

    async def _append(self, events: list[NewEvent], candidate: Candidate, now_us: int) -> None:
        if not events:
            return
        expected = self._expected(events)
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            stored = await self._log.append(events, time_us=now_us, expected=expected)
            self._on_commit(loop.time() - started)
        except BadInput:
            raise  # nothing is wrong with the log
        except GhostFleetError as problem:
            if await self._landed_all_the_same(events):
                return
            self.trouble = str(problem)
            self.troubled.set()
            raise
        self.trouble = None
        assert stored[-1].position == candidate.position, "the log numbers events as the candidate does"
        candidate.swap()
        for recorded in stored:
            self._on_event(recorded)

    def _expected(self, events: Sequence[NewEvent]) -> Mapping[Stream, int]:
        base = Candidate(self.state)
        return {stream: base.version(stream) for stream in {event.stream for event in events}}

    async def _landed_all_the_same(self, events: Sequence[NewEvent]) -> bool:
        """After a failed append: whether the log took these events although it could not say so. Then they are facts."""
        landed: list[Recorded] = []
        with contextlib.suppress(GhostFleetError):
            async for recorded in self._log.read(self.state.position):
                self.state.apply(recorded)
                self._on_event(recorded)
                landed.append(recorded)
        newest = landed[-len(events) :]
        return [(it.stream, it.event) for it in newest] == [(it.stream, it.event) for it in events]


def _answer(done: Committing, outcome: tuple[Recorded, ...] | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


async def _finish(work: Coroutine[None, None, None]) -> None:
    """Run to the end even when cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
