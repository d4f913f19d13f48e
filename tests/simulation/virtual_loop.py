"""An asyncio event loop on which time is a number: it jumps to the next timer or happening, and can die at any step."""

import asyncio
import contextlib
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.universe import Universe

MAX_STEPS_AT_ONE_MOMENT = 200_000
"""More callbacks than this without time going by is a loop that never waits."""
PURGE_ABOVE = 200
"""Cancelled timers are thrown out when there are more of them than this, and more than the others."""


class Crashed(BaseException):
    """The process is dead: nothing of it runs any more."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one callback a step. `crash_in` steps from now it raises Crashed out of itself."""

    _ready: deque[asyncio.Handle]  # of BaseEventLoop, which keeps to itself what they are
    _scheduled: list[Any]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self, universe: Universe, after_step: Callable[[], None]) -> None:
        super().__init__()
        self._universe = universe
        self._after_step = after_step
        self.steps = 0
        self.crash_in: int | None = None
        self.dead = False
        self._moment = -1.0
        self._steps_at_moment = 0
        self.set_exception_handler(self._unhandled)

    def time(self) -> float:
        return self._universe.now

    def crash(self) -> None:
        """Die before the next step."""
        self.crash_in = 0

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.dead:
            self._universe.violated("no defect", f"{context.get('message')}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        universe = self._universe
        self._purge()
        if not self._ready:
            timer = self._scheduled[0]._when if self._scheduled else None
            happening = universe.next_at()
            if happening is not None and (timer is None or happening <= timer):
                universe.happen()
            elif timer is not None:
                universe.now = max(universe.now, timer)
            elif not self._stopping:
                universe.violated("nothing stuck", "every task waits, and nothing will ever happen")
            self._due()
        if self.crash_in is not None:
            if self.crash_in <= 0:
                raise Crashed
            if self._ready:
                self.crash_in -= 1
        if self._ready:
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()
                self.steps += 1
                self._count_steps()
                self._after_step()
        universe.check()

    def _due(self) -> None:
        now = self._universe.now
        while self._scheduled and self._scheduled[0]._when <= now:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)

    def _purge(self) -> None:
        scheduled = self._scheduled
        if self._timer_cancelled_count > PURGE_ABOVE and self._timer_cancelled_count * 2 > len(scheduled):
            kept = []
            for handle in scheduled:
                if handle._cancelled:
                    handle._scheduled = False
                else:
                    kept.append(handle)
            heapq.heapify(kept)
            self._scheduled = scheduled = kept
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False

    def _count_steps(self) -> None:
        if self._universe.now != self._moment:
            self._moment, self._steps_at_moment = self._universe.now, 0
        self._steps_at_moment += 1
        if self._steps_at_moment > MAX_STEPS_AT_ONE_MOMENT:
            self._universe.violated("nothing spins", f"{MAX_STEPS_AT_ONE_MOMENT} steps without waiting")

    def live(self, main: Coroutine[Any, Any, None]) -> None:
        """Run to the end, or to the crash. Raises Crashed or Violation; then what was left of it is buried."""
        try:
            self.run_until_complete(main)
        finally:
            self._bury()

    def _bury(self) -> None:
        """Let go of suspended coroutines without letting them do anything that outlives them."""
        self.dead = True
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        events._set_running_loop(self)
        try:
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                for _ in range(20):
                    try:
                        coroutine.close()
                        break
                    except (Exception, BaseExceptionGroup):  # a task group that is buried says so of GeneratorExit
                        continue
        finally:
            events._set_running_loop(None)
        self._ready.clear()
        self._scheduled.clear()
        with contextlib.suppress(RuntimeError):
            self.close()
