"""How are refused commands kept? Each as an event, up to so many a minute; the next one then tells how many were not."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from ghostfleet.domain.events import AdminLockedOut
from ghostfleet.domain.values import MINUTE_US
from ghostfleet.engine.ports import AdminCommand, Clock, Service
from ghostfleet.errors import GhostFleetError
from ghostfleet.http.access import ANONYMOUS
from ghostfleet.http.lockout import Lockout

MAX_REFUSALS_PER_MINUTE = 60
"""Whoever may not command must not be able to fill the disk by trying."""
MAX_WHY_CHARS = 300

logger = logging.getLogger("ghostfleet.http")


class Refusals:
    """Records refused commands through the service."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._recorded_us: deque[int] = deque(maxlen=MAX_REFUSALS_PER_MINUTE)
        self._unrecorded = 0

    async def record(self, command: AdminCommand, why: str) -> None:
        """Record one. A log that cannot take it does not change the answer; the line says so."""

        async def recording(missed: str) -> None:
            await self._service.refused(replace(command, reason=""), why[:MAX_WHY_CHARS] + missed)

        await self._within_bounds(recording)

    async def locked_out(self, lockout: Lockout, request_id: str) -> None:
        """Record that a place presented too many wrong credentials."""
        event = AdminLockedOut(
            remote=lockout.remote,
            actor=lockout.name or ANONYMOUS,
            failures=lockout.failures,
            until_us=lockout.until_us,
        )

        async def recording(missed: str) -> None:
            await self._service.locked_out(event, request_id)

        await self._within_bounds(recording)

    async def _within_bounds(self, recording: Callable[[str], Awaitable[None]]) -> None:
        now_us = self._clock.now_us()
        full = len(self._recorded_us) == MAX_REFUSALS_PER_MINUTE
        if full and 0 <= now_us - self._recorded_us[0] < MINUTE_US:
            self._unrecorded += 1
            return
        self._recorded_us.append(now_us)
        missed, self._unrecorded = self._unrecorded, 0
        try:
            await recording(f" (and {missed} refusals before it that are not recorded)" if missed else "")
        except GhostFleetError as problem:
            self._unrecorded += missed + 1
            logger.warning("a refused command could not be recorded: %s", problem)
