"""A lane that is asked for while all lanes end is the next start's: nobody who asks is broken by it."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from ghostfleet.engine import supervisor as supervisor_
from ghostfleet.engine.supervisor import Supervisor


class Lingering:
    """A lane that takes its time to end."""

    over = False

    def __init__(self, name: str, *_: Any) -> None:
        self.name, self.nudge = name, asyncio.Event()

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)


async def test_a_nudge_while_the_lanes_end_starts_none_and_breaks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulator (seed 642): a reload in the moment of a stop ended the loop that commits, and the stop hung."""
    monkeypatch.setattr(supervisor_, "Lane", Lingering)
    wallets: dict[str, object] = {"first": None}
    lanes = Supervisor(SimpleNamespace(state=SimpleNamespace(wallets=wallets)), None)  # type: ignore[arg-type]
    running = asyncio.create_task(lanes.run())
    await asyncio.sleep(0)
    wallets["second"] = None
    running.cancel()
    await asyncio.sleep(0.01)
    lanes.nudge("second")
    with contextlib.suppress(asyncio.CancelledError):
        await running
    lanes.nudge("second")
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("lane ")] == []
