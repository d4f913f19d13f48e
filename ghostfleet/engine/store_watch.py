"""A log that cannot be written stops the fleet: nothing leaves until it can, and then it goes on by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from ghostfleet.domain.events import FLEET_STREAM, NewEvent, StoreRecovered
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.ports import Clock
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain

PROBE_SECS = 2.0
"""How often a failing log is tried with the event that says it recovered."""


async def watch_store(live: LiveState, gate: Gate, clock: Clock, on_recovered: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled: on trouble shut the gate, probe, and open it once an append is durable again.

    `on_recovered` is awaited before that; where it raises TryAgain the log is in trouble again.
    """
    while True:
        await live.troubled.wait()
        gate.shut(Reason.STORE)
        reason, failed_us = live.trouble or "", clock.now_us()
        while True:  # also when another commit was the first that the log took again
            try:
                recovered = StoreRecovered(reason=reason, failed_us=failed_us)
                await live.write([NewEvent(FLEET_STREAM, recovered)])
                await on_recovered()
                break
            except TryAgain:
                await asyncio.sleep(PROBE_SECS)
        live.troubled.clear()
        gate.open(Reason.STORE)
