"""When is a waiting call's time up? Calls whose moments are near each other share one timer.

A timer of its own is a good part of what a call costs beyond its bytes, and hardly any ever goes off.
"""

import asyncio
import math
from collections.abc import Callable

from ghostfleet.chain.calls import Call

STEP_SECS = 1.0
"""A call hears at most so much later that its time is up."""


class Deadlines:
    """The calls that wait, by the step in which their time is up."""

    def __init__(self, expire: Callable[[Call], None]) -> None:
        self._expire = expire
        self._steps: dict[int, dict[Call, None]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def group(self, secs: float) -> dict[Call, None]:
        """Those whose time is up in so many seconds: put a call in, and take it out when it is over."""
        loop = asyncio.get_running_loop()
        step = math.ceil((loop.time() + secs) / STEP_SECS)
        calls = self._steps.get(step)
        if calls is None:
            calls = self._steps[step] = {}
            self._timers[step] = loop.call_at(step * STEP_SECS, self._up, step)
        return calls

    def close(self) -> None:
        """No timer goes off any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._steps.clear()

    def _up(self, step: int) -> None:
        del self._timers[step]
        for call in self._steps.pop(step):
            self._expire(call)
