"""Wallet `w` in a lane of its own, which asks a plugin that a test brings."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.profile import GRINDER, Profile
from ghostfleet.domain.values import Call, JsonObject, LogEntry
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.lane import Lane
from ghostfleet.engine.view import LatestView
from ghostfleet.plugins.api import Action, Plugin, Verdict
from tests.unit.engine.follow_stage import SAFE, Stage, stage

PROFILE: Profile = msgspec.structs.replace(
    GRINDER, name="p", action_interval_secs=100.0, action_interval_jitter_pct=0.0, afk_probability=0.0
)
GOOD = Action(kind="k", call=Call(to=SAFE), gas=21_000)


class Seen(msgspec.Struct, frozen=True):
    saved_wei: Any = 0


class Answering(Plugin[Seen]):
    """Answers what a test wants."""

    name = "t"
    kinds = ("k", "save", "empty")
    Observation = Seen

    def __init__(self, **said: Any) -> None:
        super().__init__({}, chain_id=1)
        self.said: dict[str, Any] = {
            "observe": Seen(),
            "decide": GOOD,
            "judge": Verdict(),
            "decode_log": None,
            "withdraw": (),
            "remarks": (),
            "coming": "",
            **said,
        }

    async def observe(self, wallet: Any, chain: Any) -> Any:
        return self.said["observe"]

    def decide(self, view: Any, wallet: Any, profile: Profile, random: Any) -> Any:
        return self.said["decide"]

    def judge(self, kind: str, reason: str) -> Any:
        return self.said["judge"]

    def decode_log(self, entry: LogEntry) -> JsonObject | None:
        return self.said["decode_log"]  # type: ignore[no-any-return]

    def withdraw(self, view: Any, wallet: Any) -> Any:
        return self.said["withdraw"]

    def remarks(self, view: Any) -> Any:
        return self.said["remarks"]

    def coming(self, view: Any) -> Any:
        return self.said["coming"]


class Seeds:
    def seed(self) -> int:
        return 7


@asynccontextmanager
async def acting(plugin: Plugin[Any]) -> AsyncIterator[Stage]:
    """The lane runs by itself: a turn each hundred seconds, from the first moment on."""
    async with stage({"t": plugin}) as on:
        tuning = dataclasses.replace(
            on.world.in_force.now, profiles={"p": PROFILE}, allowed=AllowList().allow([SAFE], "a test")
        )
        on.world = dataclasses.replace(on.world, entropy=Seeds(), in_force=InForce(tuning))
        lane = Lane("w", on.world, LatestView(on.world.chain, on.heads))
        task = asyncio.create_task(lane.run())
        try:
            yield on
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
