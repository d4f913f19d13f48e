"""How does a database travel between releases? In runs by turns, each handed over to the next with transactions in flight."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ghostfleet.domain.state import encode_state
from ghostfleet.domain.values import Hash
from ghostfleet.engine.recovery import recover
from tests.acceptance.service_process import GHOST_FLEET, Fleet, ServiceProcess, until
from tests.findings import nothing
from tests.releases.only_here import settings_of_ours
from tests.releases.previous_release import Release

BLOCK_SECS = 1
QUIET_SECS = 1.5
LANDED = ("mined", "final", "cancelled")
OURS = (str(GHOST_FLEET),)
LOOK_AT_LOG = Path(__file__).with_name("look_at_log.py")
LOOK_SECS = 180
End = Literal["SIGTERM", "SIGKILL"]


@dataclass
class Journey:
    """One database that both releases run on, in turn. `in_flight` is what the latest run left to the next one."""

    fleet: Fleet
    previous: Release
    in_flight: set[Hash] = field(default_factory=set)
    paused: bool = False
    handed_over: int = 0
    """Transactions that were signed by one release and settled under the other."""

    @contextlib.asynccontextmanager
    async def ours(self) -> AsyncIterator[ServiceProcess]:
        """A run of this release, with settings that only it knows."""
        async with self._run(OURS, settings_of_ours(self.fleet)) as service:
            yield service

    @contextlib.asynccontextmanager
    async def theirs(self) -> AsyncIterator[ServiceProcess]:
        """A run of the previous release."""
        async with self._run(self.previous.program, {}) as service:
            yield service

    @contextlib.asynccontextmanager
    async def _run(self, program: tuple[str, ...], settings: dict[str, object]) -> AsyncIterator[ServiceProcess]:
        """Blocks come again once it is ready; what was in flight settles, paused or not; a pause is in force and ends here."""
        service = await self.fleet.start(program=program, settings=settings)
        try:
            await service.ready()
            assert bool((await service.get("/admin/status"))["paused"]) is self.paused
            await self.fleet.chain.call("evm_setIntervalMining", BLOCK_SECS)
            await self._what_was_in_flight_settles()
            if self.paused:
                await self._nothing_is_signed()
                await service.post("/admin/resume")
                self.paused = False
            await self.fleet.acted(1)
            yield service
        finally:
            await service.kill()

    async def hand_over(
        self,
        service: ServiceProcess,
        end: End,
        *,
        paused: bool = False,
        last: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """End the run while every wallet has a transaction in flight, paused or not, and compare what both releases say.

        `last` is what is asked of it under the pause."""
        await self.fleet.chain.call("evm_setIntervalMining", 0)

        async def every_wallet_waits() -> bool:
            wallets = (await service.get("/admin/status"))["wallets"]
            waiting = {it["id"] for it in wallets if any(slot["accepted_by"] for slot in it["open_slots"])}
            return waiting >= set(self.fleet.wallets)

        await until(every_wallet_waits, "a transaction of every wallet in flight")
        if paused:
            await service.post("/admin/pause", reason="before the other release takes over")
            self.paused = True
        if last is not None:
            await last()
        if end == "SIGTERM":
            assert await service.terminate() == 0
        else:
            await service.kill()
        self.in_flight = {row.hash for row in await self.fleet.attempts() if row.status == "open"}
        assert len(self.in_flight) >= len(self.fleet.wallets)
        await self.both_say_the_same()

    async def _what_was_in_flight_settles(self) -> None:
        """Each of these, or an attempt that replaced it, is in a block, and no second transaction of its action is."""

        async def settled() -> bool:
            rows = await self.fleet.attempts()
            actions = {row.action_id for row in rows if row.hash in self.in_flight}
            return actions <= {row.action_id for row in rows if row.status in LANDED}

        await until(settled, "what the other release had in flight is in a block")
        self.handed_over += len(self.in_flight)

    async def _nothing_is_signed(self) -> None:
        """P5: not by this release under the other one's pause, whatever was under way when it came."""
        signed = len(await self.fleet.attempts())
        await asyncio.sleep(QUIET_SECS)
        assert len(await self.fleet.attempts()) == signed

    async def both_say_the_same(self) -> None:
        """The log verifies for both; each one's state by fold is its state by snapshot; and what the previous release knows of
        the state is what this one knows."""
        async with self.fleet.log() as log:
            verified = await log.verify()
            nothing([] if verified.ok else [f"the log does not verify: {verified.problem}"])
            ours = await recover(log, use_snapshot=False)
            assert await recover(log) == ours
        rows, by_fold, by_snapshot = await asyncio.to_thread(self._as_the_previous_release_sees_it)
        assert rows == str(verified.rows)
        assert by_fold == by_snapshot
        nothing(missing_from(json.loads(encode_state(ours)), json.loads(by_fold)))

    def _as_the_previous_release_sees_it(self) -> list[str]:
        command = [*self.previous.python, str(LOOK_AT_LOG), f"sqlite:///{self.fleet.database}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOOK_SECS)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


def missing_from(whole: Any, part: Any, where: str = "state") -> list[str]:
    """Where `whole` differs from `part`, apart from fields that only `whole` has."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return [it for key, value in part.items() for it in missing_from(whole.get(key), value, f"{where}.{key}")]
    if isinstance(part, list) and isinstance(whole, list) and len(part) == len(whole):
        return [
            it for n, pair in enumerate(zip(whole, part, strict=True)) for it in missing_from(*pair, f"{where}[{n}]")
        ]
    return [] if whole == part else [f"{where}: {json.dumps(whole)} is not {json.dumps(part)}"]
