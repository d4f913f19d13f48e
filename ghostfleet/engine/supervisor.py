"""Runs the lanes: one task a wallet, under one roof. A lane that breaks is written down and started again, ever later."""

import asyncio

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.engine.lane import Lane
from ghostfleet.engine.trouble import describe
from ghostfleet.engine.world import World
from ghostfleet.errors import GhostFleetError, StopService
from ghostfleet.plugins.api import ChainView

FIRST_RESTART_SECS = 1.0
LONGEST_RESTART_SECS = 300.0
"""A lane that breaks again and again is tried this seldom; its open slot is not forgotten."""


class Supervisor:
    """Owns the lanes. `nudge` wakes the lane of a wallet whose stream somebody else wrote to."""

    def __init__(self, world: World, view: ChainView) -> None:
        self._world = world
        self._lanes = {name: Lane(name, world, view) for name in world.state.wallets}

    def nudge(self, wallet: str) -> None:
        """Make the wallet's lane look at the state now."""
        lane = self._lanes.get(wallet)
        if lane is not None:
            lane.nudge.set()

    async def run(self) -> None:
        """Every lane, until cancelled. Raises StopService as it comes: going on would be wrong."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(self._keep_running(lane), name=f"lane {lane.name}")

    async def _keep_running(self, lane: Lane) -> None:
        restart_secs = FIRST_RESTART_SECS
        while True:
            try:
                return await lane.run()
            except StopService:
                raise
            except Exception as defect:  # the boundary of a lane: recorded, and tried again
                await self._record(lane.name, defect)
            await asyncio.sleep(restart_secs)
            restart_secs = min(restart_secs * 2, LONGEST_RESTART_SECS)

    async def _record(self, name: str, defect: Exception) -> None:
        error = ev.ErrorRecorded(error_class="defect", message=describe(defect))
        try:
            await self._world.live.write(decisions.for_wallet(name, "", [error]))
        except GhostFleetError:
            return  # the log is not there: the lane's next start will meet the same, and readiness says so
