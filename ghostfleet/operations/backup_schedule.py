"""Backups by the clock: one every so often, the newest few kept, each in a process of its own. Failing never stops the fleet."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ghostfleet.config.loaded import Backups
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import SECOND_US
from ghostfleet.engine.ports import Clock
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import GhostFleetError, TryAgain
from ghostfleet.operations.backup import Backup, back_up_apart
from ghostfleet.store.durable_files import clear_leftovers

PREFIX, SUFFIX = "ghost-fleet-", ".db.gz"
"""Of the names of scheduled backups: nothing else in the directory is ever touched."""
LOOK_SECS = 5.0
RETRY_SECS = 600.0
"""After a failure it is tried again so much later, or after the interval where that is shorter."""

Make = Callable[[str, Path], Awaitable[Backup]]


async def backups_by_schedule(
    live: LiveState, clock: Clock, url: str, settings: Backups | None, *, make: Make = back_up_apart
) -> None:
    """Until cancelled: make a backup whenever the newest that the log knows of is older than the interval; without a
    schedule in the settings none."""
    if settings is None:
        return
    every_us = int(settings.every_secs * SECOND_US)
    not_before_us = 0
    while True:
        now_us = clock.now_us()
        if now_us >= max(live.state.fleet.backed_up_us + every_us, not_before_us):
            event = await _one(url, settings, now_us, make)
            if isinstance(event, ev.BackupFailed):
                not_before_us = clock.now_us() + min(every_us, int(RETRY_SECS * SECOND_US))
            with contextlib.suppress(TryAgain):
                await live.write([ev.NewEvent(ev.FLEET_STREAM, event)])
        await asyncio.sleep(min(LOOK_SECS, settings.every_secs))


async def _one(url: str, settings: Backups, now_us: int, make: Make) -> ev.BackupMade | ev.BackupFailed:
    """Make one, and let the oldest beyond the number that is kept go: after it, so that a failure deletes nothing."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // SECOND_US))
    try:
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_leftovers(settings.directory)
        made = await make(url, settings.directory / f"{PREFIX}{stamp}{SUFFIX}")
        _forget_old_ones(settings.directory, settings.keep)
    except GhostFleetError as problem:
        return ev.BackupFailed(reason=str(problem)[:500])
    except OSError as problem:
        return ev.BackupFailed(reason=f"{settings.directory}: {problem.strerror}")
    return ev.BackupMade(file=made.file, position=made.position, head_hash=made.head_hash, size_bytes=made.size_bytes)


def _forget_old_ones(directory: Path, keep: int) -> None:
    """Names sort as their times do."""
    for old in sorted(directory.glob(f"{PREFIX}*{SUFFIX}"))[:-keep]:
        old.unlink(missing_ok=True)
