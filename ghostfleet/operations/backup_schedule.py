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
    not_before_us = ended_us = 0
    outcome: ev.BackupMade | ev.BackupFailed | None = None
    """Of the newest one, while the log does not have it."""
    while True:
        now_us = clock.now_us()
        if now_us >= max(live.state.fleet.backed_up_us + every_us, not_before_us):
            outcome = await _one(url, settings, now_us, make)
            ended_us = clock.now_us()
            retry_us = every_us if isinstance(outcome, ev.BackupMade) else min(every_us, int(RETRY_SECS * SECOND_US))
            not_before_us = ended_us + retry_us  # whether or not the log takes it
        if outcome is not None and await _recorded(live, outcome, ended_us):
            if isinstance(outcome, ev.BackupMade):
                await asyncio.to_thread(_forget_old_ones, settings.directory, settings.keep)
            outcome = None
        await asyncio.sleep(min(LOOK_SECS, settings.every_secs))


async def _one(url: str, settings: Backups, now_us: int, make: Make) -> ev.BackupMade | ev.BackupFailed:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // SECOND_US))
    try:
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_leftovers(settings.directory)
        made = await make(url, settings.directory / f"{PREFIX}{stamp}{SUFFIX}")
    except GhostFleetError as problem:
        return ev.BackupFailed(reason=str(problem)[:500])
    except OSError as problem:
        return ev.BackupFailed(reason=f"{settings.directory}: {problem.strerror}")
    return ev.BackupMade(file=made.file, position=made.position, head_hash=made.head_hash, size_bytes=made.size_bytes)


async def _recorded(live: LiveState, outcome: ev.BackupMade | ev.BackupFailed, ended_us: int) -> bool:
    """Whether the log has it. One that does not take it now is asked again: until then no older backup goes, for a log in
    trouble is when they are needed."""
    if isinstance(outcome, ev.BackupMade) and live.state.fleet.backed_up_us >= ended_us:
        return True  # it was in doubt, and had landed
    try:
        await live.write([ev.NewEvent(ev.FLEET_STREAM, outcome)])
    except TryAgain:
        return False
    return True


def _forget_old_ones(directory: Path, keep: int) -> None:
    """Names sort as their times do. What cannot be removed is tried again after the next one."""
    with contextlib.suppress(OSError):
        for old in sorted(directory.glob(f"{PREFIX}*{SUFFIX}"))[:-keep]:
            old.unlink(missing_ok=True)
