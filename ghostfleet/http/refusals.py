"""How are refused commands kept? Each as an event, up to so many a minute; the next one then tells how many were not."""

import logging
from collections import deque

from msgspec.structs import replace

from ghostfleet.domain.values import MINUTE_US
from ghostfleet.engine.ports import AdminCommand, Clock, Service
from ghostfleet.errors import GhostFleetError

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
        now_us = self._clock.now_us()
        full = len(self._recorded_us) == MAX_REFUSALS_PER_MINUTE
        if full and 0 <= now_us - self._recorded_us[0] < MINUTE_US:
            self._unrecorded += 1
            return
        self._recorded_us.append(now_us)
        missed, self._unrecorded = self._unrecorded, 0
        why = why[:MAX_WHY_CHARS] + (f" (and {missed} refusals before it that are not recorded)" if missed else "")
        try:
            await self._service.refused(replace(command, reason=""), why)
        except GhostFleetError as problem:
            self._unrecorded += missed + 1
            logger.warning("a refused command could not be recorded: %s", problem)
