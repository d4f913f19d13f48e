"""Runs the lanes: one task a wallet, under one roof. A lane that breaks is written down and started again, ever later."""

import asyncio
from collections.abc import Callable
from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import WalletId
from ghostfleet.engine.lane import Lane
from ghostfleet.engine.trouble import describe
from ghostfleet.engine.world import World
from ghostfleet.errors import GhostFleetError, StopService
from ghostfleet.plugins.api import ChainView

FIRST_RESTART_SECS = 1.0
LONGEST_RESTART_SECS = 300.0
"""A lane that breaks again and again is tried this seldom; its open slot is not forgotten."""


class Supervisor:
    """Owns the lanes: one for each wallet of the log that `acts`, also for those that come while it runs."""

    def __init__(self, world: World, view: ChainView, acts: Callable[[str], bool] = lambda _wallet: True) -> None:
        self._world = world
        self._view = view
        self._acts = acts
        self._lanes: dict[str, Lane] = {}
        self._group: asyncio.TaskGroup | None = None

    def nudge(self, wallet: str) -> None:
        """Make the wallet's lane look at the state now. One that was over, or never was, starts when there is something to do."""
        lane = self._lanes.get(wallet)
        if lane is not None:
            lane.nudge.set()
        elif self._group is not None and wallet in self._world.state.wallets and self._acts(wallet):
            lane = Lane(wallet, self._world, self._view)
            if not lane.over:
                self._start(lane, self._group)

    def nudge_all(self) -> None:
        """Make every lane look at the state now: something changed for all of them."""
        for lane in self._lanes.values():
            lane.nudge.set()

    async def run(self) -> None:
        """Every lane, until cancelled. Raises StopService as it comes: going on would be wrong."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in list(self._world.state.wallets):
                self.nudge(name)
            await asyncio.Event().wait()

    def _start(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        running = self._keep_running(lane)
        try:
            task = group.create_task(running, name=f"lane {lane.name}")
        except RuntimeError:  # the group is ending: the next start has this lane
            running.close()
            return
        self._lanes[lane.name] = lane
        task.add_done_callback(partial(self._ended, lane.name))

    def _ended(self, name: str, task: "asyncio.Task[None]") -> None:
        """Its last slot has ended. What came for it in its last moment is for a new lane."""
        self._lanes.pop(name, None)
        if not task.cancelled() and task.exception() is None:
            self.nudge(name)

    async def _keep_running(self, lane: Lane) -> None:
        loop, restart_secs = asyncio.get_running_loop(), FIRST_RESTART_SECS
        while True:
            started = loop.time()
            try:
                await lane.run()
                # one that the settings still have in use may have something left by an extraction: it is asked for again
                if lane.name not in self._world.in_force.now.enabled:
                    self._world.signer.forget(WalletId(lane.name))
                return
            except StopService:
                raise
            except Exception as defect:  # the boundary of a lane: recorded, and tried again
                await self._record(lane.name, defect)
            if loop.time() - started > LONGEST_RESTART_SECS:  # it went well for long: another story
                restart_secs = FIRST_RESTART_SECS
            await asyncio.sleep(restart_secs)
            restart_secs = min(restart_secs * 2, LONGEST_RESTART_SECS)

    async def _record(self, name: str, defect: Exception) -> None:
        error = ev.ErrorRecorded(error_class="defect", message=describe(defect))
        try:
            await self._world.live.write(decisions.for_wallet(name, "", [error]))
        except GhostFleetError:
            return  # the log is not there: the lane's next start will meet the same, and readiness says so
