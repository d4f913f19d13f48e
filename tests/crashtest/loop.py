"""Kill it at random moments, start it again at once, again and again: do log and chain still agree in everything?"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from ghostfleet.engine.recovery import recover
from tests.acceptance.agreement import differences
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet, until
from tests.crashtest.drain import drain
from tests.proxy.process import ProxyProcess

EARLY_SHARE = 0.25
"""Of the kills come while the service starts, wherever it is then; the others after it said that it was ready."""
EARLY_SECS = 2.0
READY_KILL_SECS = (0.2, 3.0)
PAUSE_SHARE = 0.1
"""Of the later kills come with a pause; one that was answered has to be in force at the next start."""
CHECK_EVERY = 10
"""Kills between two full checks of the log and of the fold; the end of the log is checked after each."""
ACT_SECS = 120.0


class Summary(msgspec.Struct, kw_only=True):
    """What was done, and what it came to."""

    seed: int
    wallets: int
    kills: int = 0
    killed_while_starting: int = 0
    pauses_kept: int = 0
    full_checks: int = 0
    secs: float = 0.0
    events: int = 0
    transactions: int = 0
    """That took effect on chain."""
    replacements: int = 0
    requests: int = 0
    faults: dict[str, int] = {}
    differences: list[str] = []


async def crash_fleet(chain: DevnetClient, directory: Path, proxy: ProxyProcess, wallets: int) -> Fleet:
    """A busy fleet behind the faulty way, with little patience."""
    return await prepared_fleet(
        chain,
        directory,
        wallets=wallets,
        interval_secs=0.5,
        chain__rpc_url=proxy.url,
        chain__request_timeout_secs=3,
        chain__finality_blocks=8,
        chain__block_time_secs=0.5,
        fees__stuck_after_secs=4,
    )


async def crash_loop(
    fleet: Fleet, proxy: ProxyProcess, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Summary:
    """Kills, then a quiet end in which every wallet acts, everything settles, and all is compared."""
    summary = Summary(seed=seed, wallets=len(fleet.wallets))
    began = time.monotonic()
    moments = random.Random(seed)
    paused = False
    while summary.kills < kills and not summary.differences:
        service = await fleet.start()
        try:
            paused = await _one_life(service, moments, paused, summary)
        finally:
            await service.kill()
        summary.kills += 1
        summary.differences += await _look_at_log(fleet, whole=summary.kills % CHECK_EVERY == 0)
        summary.full_checks += summary.kills % CHECK_EVERY == 0
        say(f"kill {summary.kills}: {summary.differences or 'the log is whole'}")
    await proxy.switch(on=False)
    if not summary.differences:
        await _quiet_end(fleet)
        summary.differences += await _look_at_log(fleet, whole=True)
        summary.differences += await differences(fleet)
    await _count(fleet, proxy, summary)
    summary.secs = round(time.monotonic() - began, 1)
    return summary


async def _one_life(service: ServiceProcess, moments: random.Random, paused: bool, summary: Summary) -> bool:
    """From a start to the moment of the kill. Returns whether a pause that was answered has to be in force afterwards."""
    if moments.random() < EARLY_SHARE:
        await asyncio.sleep(moments.uniform(0, EARLY_SECS))
        assert service.process.returncode is None, f"ended by itself:\n{service.output[-2000:]}"
        summary.killed_while_starting += 1
        return paused
    await service.ready()
    in_force = (await service.get("/admin/status"))["paused"]
    if paused and not in_force:
        summary.differences.append(f"kill {summary.kills}: a pause that was answered did not outlive it")
    if in_force:
        summary.pauses_kept += 1
        await service.post("/admin/resume")
    await asyncio.sleep(moments.uniform(*READY_KILL_SECS))
    if moments.random() >= PAUSE_SHARE:
        return False
    pausing = asyncio.create_task(service.post("/admin/pause", reason="just before the kill"))
    done, _ = await asyncio.wait({pausing}, timeout=moments.choice((0.005, 0.05, 1.0)))
    await service.kill()
    try:
        await pausing
    except (aiohttp.ClientError, OSError):
        return False
    return bool(done)


async def _look_at_log(fleet: Fleet, *, whole: bool) -> list[str]:
    """The log as a killed process left it. Opening checks its end; `whole` every row, and the fold against the snapshot."""
    if not fleet.database.exists() or not fleet.database.stat().st_size:
        return []
    async with fleet.log() as log:
        if not whole:
            return []
        verified = await log.verify()
        found = [] if verified.ok else [f"the log does not verify: {verified.problem}"]
        if await recover(log) != await recover(log, use_snapshot=False):
            found.append("the state by snapshot is not the state by fold")
        return found


async def _quiet_end(fleet: Fleet) -> None:
    """Without faults: every wallet acts, then every slot comes to its end."""
    async with fleet.service() as service:
        await service.ready()
        if (await service.get("/admin/status"))["paused"]:
            await service.post("/admin/resume")
        await every_wallet_acts(fleet)
        assert await service.terminate() == 0
    await drain(fleet)


async def every_wallet_acts(fleet: Fleet, within_secs: float = ACT_SECS) -> None:
    """Wait until each wallet has succeeded once from now on. Reads each event once, however long the log is."""
    waiting = set(fleet.wallets)
    async with fleet.log() as log:
        position = log.head.position

        async def acted() -> bool:
            nonlocal position
            async for recorded in log.read(position):
                position = recorded.position
                if isinstance(recorded.event, ev.ActionSucceeded) and recorded.wallet is not None:
                    waiting.discard(recorded.wallet)
            return not waiting

        await until(acted, f"every wallet acts; waiting for {waiting}", within_secs)


async def _count(fleet: Fleet, proxy: ProxyProcess, summary: Summary) -> None:
    attempts = await fleet.attempts()
    summary.events = await fleet.head()
    summary.transactions = sum(row.status in ("mined", "final") for row in attempts)
    summary.replacements = sum(row.attempt > 1 for row in attempts)
    counts = await proxy.counts()
    summary.requests, summary.faults = counts["requests"], counts["faults"]
