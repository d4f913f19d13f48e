"""Is anybody there? When no operator was heard of for a set time, the fleet pauses itself.

Who was heard of, and when, is in the log, so a restart hands out no fresh time.
"""

import asyncio
import contextlib
from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import SECOND_US
from ghostfleet.engine.ports import Clock
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.telemetry.moments import span

LOOK_SECS = 5.0
"""How late the pause may come; a clock that is put right is noticed as soon."""
NEVER = float("inf")


class Deadman:
    """`limit_us` without an operator pauses the fleet; 0 never does."""

    def __init__(self, live: LiveState, clock: Clock, limit_us: int) -> None:
        self._live = live
        self._clock = clock
        self._limit_us = limit_us

    @property
    def left_secs(self) -> float:
        """Seconds until the fleet pauses itself; less than none since it is due; infinite where it never does."""
        seen_us = self._live.state.fleet.operators.seen_us
        if not self._limit_us or seen_us is None:
            return NEVER
        return (seen_us + self._limit_us - self._clock.now_us()) / SECOND_US

    async def watch(self) -> None:
        """Until cancelled."""
        while self._limit_us:
            await self.look()
            await asyncio.sleep(LOOK_SECS)

    async def look(self) -> None:
        """Pause the fleet if it is due. A log that takes nothing now is asked again: it lets nothing out either."""
        if self.left_secs <= 0 and self._live.state.fleet.paused is None:
            with contextlib.suppress(TryAgain):
                await self._live.commit(partial(_paused, limit_us=self._limit_us))


def _paused(state: Candidate, now_us: int, *, limit_us: int) -> list[ev.NewEvent]:
    seen_us = state.fleet.operators.seen_us
    if seen_us is None or now_us < seen_us + limit_us:
        return []  # somebody came at the last moment
    reason = f"no operator was heard of for {span(limit_us)}: resume, and check in more often"
    return decisions.pause(state, decisions.DEADMAN_ACTOR, reason)
