"""How many transactions a second does the whole service do, on anvil on the same machine?

The service is the real one, `ghost-fleet` as a process of its own on a fleet made by `devnet prepare`, with wallets that want
more than it can do. What is counted stands in its log: transactions whose receipt is recorded, over the time between the
last receipt of the window's first block and the last receipt of its last one. Afterwards it is paused and compared with the
chain: a difference spoils the figure.

The limit, on the same node in the same run, only sends (presigned.py). Beside it what a user would write instead.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import msgspec

from benchmarks.lines import Line, Round, line
from benchmarks.presigned import Sent, give, measure_presigned, new_keys
from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.launch import running_anvil
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address
from tests.acceptance.agreement import differences
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet, until

GOAL, LEAST = 0.25, 800.0
SENDER_TURNS = 3
"""Of a second or two each, and the machine changes its mind from one to the next; the median counts."""
INTERVAL_SECS = 0.05
GAS_A_BLOCK = 300_000_000
"""Room for 14,000 transfers a block: anvil's own 30 million would be the limit with 1 s blocks."""
SUNK = Address(b"benchmark's own sink")
"""Where everybody but the fleet sends."""
READY_SECS = 180.0
WITHOUT_WALLETS = "/admin/status?state=retired"
"""The counts of all, and no list: one of 3,000 wallets, asked for twenty times a second, is work that is not measured."""
DRAIN_SECS = 240.0
"""A node that shares two cores may be behind with its blocks; what it keeps in its queue for good is sent anew after 30 s."""
COMPETITOR_SECS = 180.0
COMPETITOR_WALLETS = 50
ROOT = Path(__file__).resolve().parent.parent
VIEM = ROOT / "benchmarks/competitors/viem.mjs"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One way to measure."""

    block_secs: float
    wallets: int
    """A wallet does at most one transaction a block."""
    warm_secs: float = 5.0
    window_secs: float = 15.0
    presigned: int = 10_000
    competitors: int = 2_000
    """Transactions of each."""

    @property
    def case(self) -> str:
        return f"{self.block_secs:g} s blocks"


SETTINGS = (Setting(block_secs=1.0, wallets=3_000), Setting(block_secs=0.1, wallets=3_000))
QUICK = (Setting(block_secs=0.1, wallets=5, warm_secs=1.0, window_secs=1.0, presigned=100, competitors=20),)


def measure(*, quick: bool = False) -> list[Line]:
    """Every setting: the service, the limit, and what users would write."""
    return [each for setting in (QUICK if quick else SETTINGS) for each in asyncio.run(_measure(setting))]


async def _measure(setting: Setting) -> list[Line]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        args = ("--gas-limit", str(GAS_A_BLOCK))
        devnet = await stack.enter_async_context(running_anvil(block_time_secs=setting.block_secs, args=args))
        chain = await stack.enter_async_context(connected(devnet.url))
        rate, note = await _service(chain, folder / "fleet", setting)
        sent = [await measure_presigned(chain, SUNK, setting.presigned) for _ in range(SENDER_TURNS)]
        lines = [_line("ghost-fleet", setting, rate, sent, note, goal=GOAL, least=LEAST)]
        for name, command in _competitors().items():
            found = await _competitor(chain, folder, setting, command)
            lines.append(_line(name, setting, found, sent, "signed, sent, receipts read; nothing recorded"))
    return lines


def _line(who: str, setting: Setting, rate: float, sent: Sequence[Sent], note: str, **goals: float) -> Line:
    note = f"{note}; the sender's were mined at {median(each.mined for each in sent):,.0f}/s"
    case = f"{who}, {setting.case}"
    rounds = [Round(rate, each.accepted) for each in sent]
    return line(rounds, benchmark="end to end", case=case, unit="transactions/s", note=note, **goals)


async def _service(chain: DevnetClient, folder: Path, setting: Setting) -> tuple[float, str]:
    """Recorded receipts a second, and what more there is to say."""
    fleet = await prepared_fleet(chain, folder, wallets=setting.wallets, interval_secs=INTERVAL_SECS)
    async with fleet.service() as service:
        await _ready(service)
        await asyncio.sleep(setting.warm_secs + setting.window_secs)
        assert await service.terminate() == 0, service.output[-2000:]
    await _drain(fleet)
    found = await differences(fleet)
    assert found == [], found[:10]
    recorded = await fleet.recorded()
    rate = _rate([each for each in recorded if isinstance(each.event, ev.TransactionMined)], setting)
    return rate, f"{setting.wallets:,} wallets, {_errors(recorded)} errors, 0 differences to the chain"


async def _ready(service: ServiceProcess) -> None:
    """Until the service is, thousands of keystores opened."""

    async def look() -> bool:
        assert service.process.returncode is None, service.output[-2000:]
        with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
            await service.get("/health/ready")
            return True
        return False

    await until(look, "/health/ready", READY_SECS)


async def _drain(fleet: Fleet) -> None:
    """Let every open slot end: with a limit that is reached already, nothing new is decided."""
    async with fleet.service(settings={"limits.transactions_per_minute": 1}) as service:
        await _ready(service)

        async def nothing_open() -> bool:
            return not (await service.get(WITHOUT_WALLETS))["open_slots"]

        await until(nothing_open, "every slot settled", DRAIN_SECS)
        assert await service.terminate() == 0, service.output[-2000:]


def _rate(mined: list[ev.Recorded], setting: Setting) -> float:
    """From the last receipt of one block to the last of another, so that no block counts in part."""
    start_us = mined[0].time_us + int(setting.warm_secs * 1e6)
    end_us = start_us + int(setting.window_secs * 1e6)
    last_us: dict[int, int] = {}
    count: Counter[int] = Counter()
    for each in mined:
        assert isinstance(each.event, ev.TransactionMined)
        number = each.event.block.number
        last_us[number] = max(each.time_us, last_us.get(number, 0))
        count[number] += 1
    inside = sorted(number for number, time_us in last_us.items() if start_us <= time_us < end_us)
    assert len(inside) > 1, "no two blocks in the window"
    first, last = inside[0], inside[-1]
    total = sum(number for block, number in count.items() if first < block <= last)
    return total / ((last_us[last] - last_us[first]) / 1e6)


def _errors(recorded: list[ev.Recorded]) -> int:
    failures = (ev.ErrorRecorded, ev.BroadcastFailed, ev.ActionFailed, ev.TransactionDropped, ev.BreakerTripped)
    return sum(isinstance(each.event, failures) for each in recorded)


def _competitors() -> dict[str, list[str]]:
    found = {"web3.py tasks": [sys.executable, "-m", "benchmarks.competitors.web3_tasks"]}
    node = shutil.which("node")
    if node is not None and (ROOT / "node_modules/viem").is_dir():
        found["viem, batch transport"] = [node, str(VIEM)]
    return found


async def _competitor(chain: DevnetClient, folder: Path, setting: Setting, command: list[str]) -> float:
    """Transactions a second, by its own clock: its start is not counted."""
    keys = new_keys(COMPETITOR_WALLETS)
    await give(chain, keys)
    keys_file = folder / "keys.json"
    keys_file.write_text(json.dumps(["0x" + key.secret.hex() for key in keys]))
    chain_id = int(await chain.call("eth_chainId"), 16)
    process = await asyncio.create_subprocess_exec(
        *(*command, chain.url, str(chain_id), str(setting.competitors), str(keys_file)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), COMPETITOR_SECS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, command
    said: dict[str, Any] = json.loads(out)
    return float(said["transactions"]) / float(said["seconds"])
