"""How is a fleet commanded whose service is down? By writing to its log what the service would write, as its one writer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ghostfleet.config.loaded import Loaded
from ghostfleet.engine.ports import Clock
from ghostfleet.engine.recovery import recover
from ghostfleet.engine.state import LiveState
from ghostfleet.store.log import open_log


@contextlib.asynccontextmanager
async def log_alone(loaded: Loaded, clock: Clock) -> AsyncIterator[LiveState]:
    """The state of the log of these settings, and commits to it, while the block runs.

    Raises LogHeld where the service runs, and what opening a log raises.
    """
    log = await open_log(loaded.store.url, archives=loaded.archive_dir)
    try:
        live = LiveState(await recover(log), log, clock, lambda _recorded: None)
        committing = asyncio.create_task(live.run(), name="commits")
        try:
            yield live
        finally:
            committing.cancel()
            await asyncio.wait([committing])
    finally:
        await log.close()
