"""`python -m benchmarks.extract`: how long does it take to bring everything out of 1,000 wallets? The goal is under two minutes.

EP-002 with the real service as a process of its own, on GHOSTNET's contracts on anvil on the same machine: nearly every wallet
has acted, the fleet is paused, and `ghost-fleet extract-all` is timed from its start to its end, plan, table and checks included.
Then the chain itself is asked whether anything is left, wallet by wallet.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.end_to_end import GAS_A_BLOCK, _ready
from ghostfleet.devnet.client import connected
from ghostfleet.devnet.launch import running_anvil
from ghostfleet.domain import events as ev
from tests.acceptance.service_process import GHOST_FLEET, ServiceProcess, until
from tests.operations.stage import SAFE, MoneyFleet, money_fleet

WALLETS = 1_000
GOAL_SECS = 120.0
BLOCK_SECS = 1.0
INTERVAL_SECS = 20.0
"""Between two actions of a wallet, while positions are made."""
ACT_SECS = 300.0
ACTED_SHARE = 0.95
"""Of the wallets have acted when the fleet is paused; the protocol has no room for some."""
EXTRACT_SECS = 1_800.0


class Extracted(msgspec.Struct, kw_only=True):
    """What it came to."""

    wallets: int
    secs: float
    transactions: int
    """Of the operation, mined."""
    steps: dict[str, int]
    """By kind of action."""
    failed: int
    left: list[str]
    """Wallets in which the chain says something is left."""


async def measure(wallets: int, profile: Path | None = None) -> Extracted:
    """The whole of it, on a chain of its own. `profile` takes what the service spent its time on (pstats)."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        args = ("--gas-limit", str(GAS_A_BLOCK))
        anvil = await stack.enter_async_context(running_anvil(block_time_secs=BLOCK_SECS, args=args))
        chain = await stack.enter_async_context(connected(anvil.url))
        fleet = await money_fleet(chain, folder / "fleet", wallets=wallets, interval_secs=INTERVAL_SECS)
        fleet.settings |= {"chain.block_time_secs": BLOCK_SECS, "fees.stuck_after_secs": 30}
        service = await fleet.start(program=_program(profile))
        try:
            await _ready(service)
            await _everybody_acts(fleet, service)
            await service.post("/admin/pause", reason="the benchmark takes everything out")
            began = time.monotonic()
            problems = await _extract(fleet, service)
            secs = time.monotonic() - began
            await service.terminate()
        finally:
            await service.kill()
        return await _looked_at(fleet, wallets, secs, problems)


def _program(profile: Path | None) -> tuple[str, ...]:
    return (
        (str(GHOST_FLEET),)
        if profile is None
        else (sys.executable, "-m", "cProfile", "-o", str(profile), str(GHOST_FLEET))
    )


async def _everybody_acts(fleet: MoneyFleet, service: ServiceProcess) -> None:
    async def acted() -> bool:
        found = (await service.get("/admin/status"))["wallets"]
        acted = sum(wallet["actions"]["succeeded"] > 0 for wallet in found)
        await asyncio.sleep(1.0)  # a list of all wallets is work that is not measured, and not for nothing either
        return bool(acted >= ACTED_SHARE * len(found))

    await until(acted, "wallets have acted", ACT_SECS)


async def _extract(fleet: MoneyFleet, service: ServiceProcess) -> list[str]:
    """The command, to its end. Returns what its own check found."""
    process = await asyncio.create_subprocess_exec(
        *(str(GHOST_FLEET), "--config", str(fleet.config), "extract-all", "--to", SAFE, "--yes", "--json"),
        *("--url", service.url),
        env=fleet.environ({}),
        stdout=asyncio.subprocess.PIPE,
        limit=2**27,
    )
    out, _ = await asyncio.wait_for(process.communicate(), EXTRACT_SECS)
    assert out, f"extract-all ended with {process.returncode}"
    table: dict[str, Any] = json.loads(out.splitlines()[-1])
    return list(table["problems"])


async def _looked_at(fleet: MoneyFleet, wallets: int, secs: float, problems: list[str]) -> Extracted:
    """The log and the chain, afterwards."""
    decided = {
        each.event.action_id: each.event.kind
        for each in await fleet.recorded(ev.ActionDecided)
        if isinstance(each.event, ev.ActionDecided) and each.event.operation
    }
    ends = await fleet.recorded(ev.TransactionMined, ev.ActionRejected)
    mined = {it.event.action_id for it in ends if isinstance(it.event, ev.TransactionMined)} & set(decided)
    rejected = sum(isinstance(it.event, ev.ActionRejected) and it.event.action_id in decided for it in ends)
    left = list(problems)
    for name, at in fleet.wallets.items():
        native, data = await fleet.native(at), await fleet.data(at)
        if native or data:
            left.append(f"{name}: {native} wei, {data} of DATA")
    return Extracted(
        wallets=wallets,
        secs=round(secs, 1),
        transactions=len(mined),
        steps=dict(Counter(decided[action] for action in mined).most_common()),
        failed=rejected,
        left=left,
    )


def main() -> None:
    """Exit code 1 where something is left, or it took too long."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract", description=__doc__)
    parser.add_argument("--wallets", type=int, default=WALLETS)
    parser.add_argument(
        "--profile", type=Path, default=None, help="write the service's profile there; it is slower then"
    )
    options = parser.parse_args()
    found = asyncio.run(measure(options.wallets, options.profile))
    print(msgspec.json.format(msgspec.json.encode(found)).decode())
    per_second = found.transactions / found.secs
    print(f"{found.wallets:,} wallets in {found.secs:.1f} s (goal {GOAL_SECS:.0f} s): {per_second:.0f} transactions/s")
    sys.exit(1 if found.left or found.secs > GOAL_SECS else 0)


if __name__ == "__main__":
    main()
