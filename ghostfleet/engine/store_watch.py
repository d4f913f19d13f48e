"""A log that cannot be written stops the fleet: nothing leaves until it can, and then it goes on by itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ghostfleet.domain.events import FLEET_STREAM, NewEvent, StoreRecovered
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.ports import Clock
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.telemetry.logs import ASIDE

TAKES_NOTHING = "class=log_unavailable the log takes nothing"
MEANWHILE = "The fleet stands: nothing is decided or sent until it does; then it goes on by itself (RUNBOOK.md, IR-006)"
PROBE_SECS = 2.0
"""How often a failing log is tried with the event that says it recovered."""


async def watch_store(live: LiveState, gate: Gate, clock: Clock, on_recovered: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled: on trouble shut the gate, probe, and open it once an append is durable again.

    That it is so is said once, on standard error: the log of events, which lines are made of, is what is missing.
    `on_recovered` is awaited before that; where it raises TryAgain the log is in trouble again.
    """
    while True:
        await live.troubled.wait()
        gate.shut(Reason.STORE)
        reason, failed_us = live.trouble or "", clock.now_us()
        logging.getLogger(ASIDE).error("%s: %s. %s", TAKES_NOTHING, reason, MEANWHILE)
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
