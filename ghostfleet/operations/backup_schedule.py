"""Backups by the clock: one every so often, the newest few kept, each in a process of its own. Failing never stops the fleet."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from ghostfleet.config.loaded import Backups
from ghostfleet.domain import events as ev
from ghostfleet.domain.schedule import is_over
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
    known_us = retry_us = 0
    ended_us: int | None = None
    outcome: ev.BackupMade | ev.BackupFailed | None = None
    """Of the newest one, while the log does not have it."""
    while True:
        now_us = clock.now_us()
        if is_over(now_us, live.state.fleet.backed_up_us, every_us) and is_over(now_us, ended_us, retry_us):
            outcome = await _one(url, settings, now_us, make)
            ended_us, known_us = clock.now_us(), live.state.fleet.backed_up_us
            retry_us = every_us if isinstance(outcome, ev.BackupMade) else min(every_us, int(RETRY_SECS * SECOND_US))
        landed = live.state.fleet.backed_up_us != known_us and live.state.fleet.backed_up_us >= (ended_us or 0)
        if outcome is not None and await _recorded(live, outcome, landed=landed):
            if isinstance(outcome, ev.BackupMade):
                await asyncio.to_thread(_forget_old_ones, settings.directory, settings.keep, outcome.file)
            outcome = None
        await asyncio.sleep(min(LOOK_SECS, settings.every_secs))


async def _one(url: str, settings: Backups, now_us: int, make: Make) -> ev.BackupMade | ev.BackupFailed:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // SECOND_US))
    try:
        settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_leftovers(settings.directory, f"{PREFIX}*{SUFFIX}")
        made = await make(url, settings.directory / f"{PREFIX}{stamp}{SUFFIX}")
    except GhostFleetError as problem:
        return ev.BackupFailed(reason=str(problem)[:500])
    except OSError as problem:
        return ev.BackupFailed(reason=f"{settings.directory}: {problem.strerror}")
    return ev.BackupMade(file=made.file, position=made.position, head_hash=made.head_hash, size_bytes=made.size_bytes)


async def _recorded(live: LiveState, outcome: ev.BackupMade | ev.BackupFailed, *, landed: bool) -> bool:
    """Whether the log has it. One that does not take it now is asked again: until then no older backup goes, for a log in
    trouble is when they are needed."""
    if isinstance(outcome, ev.BackupMade) and landed:
        return True  # it was in doubt
    try:
        await live.write([ev.NewEvent(ev.FLEET_STREAM, outcome)])
    except TryAgain:
        return False
    return True


def _forget_old_ones(directory: Path, keep: int, newest: str) -> None:
    """Names sort as their times do; those after the newest are of a clock that was put back since, and go first. What cannot be
    removed is tried again after the next one."""
    with contextlib.suppress(OSError):
        every = directory.glob(f"{PREFIX}*{SUFFIX}")
        for old in sorted(every, key=lambda it: (it.name <= newest, it.name))[:-keep]:
            old.unlink(missing_ok=True)
