"""How does a fleet fare over minutes of work with kills in between? One life after the other, and all compared in the end.

A life ends by SIGKILL at full load. After each the state by fold has to be the state by snapshot, as `ghost-fleet audit state`
prints it. In each life comes a pause, watched on the wire to the node: in the middle, and in the last one before a kill at its
end, so that the kill meets a paused fleet and the pause has to outlive it.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from ghostfleet.domain.state import FOLD_VERSION
from tests.acceptance.agreement import differences
from tests.acceptance.service_process import Fleet, ServiceProcess
from tests.acceptance.wire import Wire
from tests.crashtest.drain import drain
from tests.crashtest.loop import every_wallet_acts

WATCH_SECS = 5.0
"""How long a pause is watched: several blocks, and several looks of every wallet at its open slot."""
SETTLE_SECS = 120.0
ANSWER_MS = 1_000.0
"""A pause's answer may take so long before the run fails. The goal, 100 ms, holds on a machine that is not shared (3 to 7 ms were
measured), and a test on virtual time keeps what the service itself waits. Beside test suites on two cores a process may not get
to run for some tenths of a second, and no more; whoever waits for an endpoint waits for seconds."""


class Summary(msgspec.Struct, kw_only=True):
    """What was done, and what it came to."""

    wallets: int
    minutes: float
    kills: int = 0
    pauses: int = 0
    """Answered under load, and watched."""
    pause_answers_ms: list[float] = []
    """What each answer took, at full load, connection and all."""
    in_flight_at_a_pause: list[int] = []
    """Transactions that had left and had no answer yet, as the answers say."""
    left_after_a_pause: int = 0
    """Sends that came by on the wire after its answer."""
    pause_outlived_a_kill: bool = False
    snapshots_at: list[int] = []
    """Position of the snapshot that each comparison after a kill began with; 0: there was none yet."""
    heads_at: list[int] = []
    """Where the log ended then."""
    events: int = 0
    verified: int = 0
    """Events whose hashes were recomputed."""
    transactions: int = 0
    """That took effect on chain."""
    stopped_secs: float = 0.0
    """What the graceful stop at the end of the work took."""
    secs: float = 0.0
    differences: list[str] = []

    @property
    def late_answers(self) -> list[str]:
        """Pauses that answered too late, in words."""
        return [f"a pause answered after {ms:g} ms" for ms in self.pause_answers_ms if ms > ANSWER_MS]

    @property
    def wrong(self) -> list[str]:
        """What the run fails for."""
        return self.differences + self.late_answers


async def long_run(
    fleet: Fleet,
    wire: Wire,
    *,
    minutes: float,
    kills: int,
    watch_secs: float = WATCH_SECS,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """So many minutes of work in kills + 1 lives, then a quiet end."""
    summary = Summary(wallets=len(fleet.wallets), minutes=minutes)
    began = time.monotonic()
    life_secs = minutes * 60 / (kills + 1)
    for number in range(1, kills + 1):
        async with fleet.service() as service:
            await service.ready()
            await asyncio.sleep(life_secs if number == kills else life_secs / 2)
            await _pause(service, wire, watch_secs, summary)
            if number != kills:
                await service.post("/admin/resume")
                await asyncio.sleep(life_secs / 2)
            await service.kill()
        summary.kills += 1
        summary.differences += await _state_differences(fleet, summary)
        say(f"kill {number}: {summary.differences or 'fold and snapshot agree'}, {summary.heads_at[-1]:,} events")
    await _last_life(fleet, wire, life_secs, watch_secs, summary)
    await drain(fleet, SETTLE_SECS)
    summary.differences += await differences(fleet)
    await _count(fleet, summary)
    summary.secs = round(time.monotonic() - began, 1)
    return summary


async def _pause(service: ServiceProcess, wire: Wire, secs: float, summary: Summary) -> None:
    """Pause, and watch the wire from the answer on."""
    asked = time.monotonic()
    told = await service.post("/admin/pause", reason="the long run looks whether anything leaves")
    summary.pause_answers_ms.append(round((time.monotonic() - asked) * 1000, 1))
    summary.in_flight_at_a_pause.append(told["in_flight"]["transactions"])
    sends = await wire.left()
    await asyncio.sleep(secs)
    summary.pauses += 1
    summary.left_after_a_pause += wire.sends - sends
    if wire.sends != sends:
        summary.differences.append(f"{wire.sends - sends} sends left after a pause had answered")


async def _state_differences(fleet: Fleet, summary: Summary) -> list[str]:
    """What a kill has left: the same state both ways?"""
    async with fleet.log() as log:
        saved = await log.load_snapshot(FOLD_VERSION)
        summary.snapshots_at.append(saved.position if saved else 0)
        summary.heads_at.append(log.head.position)
    by_fold = await fleet.command("audit", "state", "--json", "--by", "fold")
    by_snapshot = await fleet.command("audit", "state", "--json", "--by", "snapshot")
    if by_fold.code or by_snapshot.code:
        return [f"audit state: {by_fold.err}{by_snapshot.err}"]
    return (
        [] if by_fold.out == by_snapshot.out else [f"kill {summary.kills}: the state by fold is not that by snapshot"]
    )


async def _last_life(fleet: Fleet, wire: Wire, secs: float, watch_secs: float, summary: Summary) -> None:
    """Started on the pause that the last kill met: nothing leaves until the resume; then work, and a graceful stop."""
    async with fleet.service() as service:
        sends = wire.sends
        await service.ready()
        await asyncio.sleep(watch_secs)
        paused = (await service.get("/admin/status"))["paused"]
        summary.pause_outlived_a_kill = paused and wire.sends == sends
        if summary.kills and not summary.pause_outlived_a_kill:
            summary.differences.append(
                f"the pause did not outlive the kill: paused {paused}, {wire.sends - sends} sends"
            )
        await service.post("/admin/resume")
        await every_wallet_acts(fleet)
        await asyncio.sleep(secs)
        before = time.monotonic()
        code = await service.terminate()
        summary.stopped_secs = round(time.monotonic() - before, 2)
        if code:
            summary.differences.append(f"the graceful stop ended with {code}")


async def _count(fleet: Fleet, summary: Summary) -> None:
    async with fleet.log() as log:
        verified = await log.verify()
    summary.events, summary.verified = await fleet.head(), verified.rows
    summary.transactions = await fleet.effects()
