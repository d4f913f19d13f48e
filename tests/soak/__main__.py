"""`python -m tests.soak --minutes 60`: does it level off, with faults on? A table, a plot and the samples in out/soak.

Exit code 1 when something rises, or when log and chain differ in the end.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.launch import running_anvil
from ghostfleet.engine.recovery import recover
from tests.acceptance.agreement import differences
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet
from tests.crashtest.drain import drain
from tests.proxy.process import ProxyProcess, running_proxy
from tests.soak.plot import plot
from tests.soak.report import level, table
from tests.soak.samples import Sample, Sampler

CHAIN_STATES = 64
"""Of anvil's history; the chain's memory is not what is measured, but it is the same machine's."""
MAX_DIFFERENCES = 20


async def soak(options: argparse.Namespace, out: Path) -> int:
    """The whole run."""
    history = ("--prune-history", str(CHAIN_STATES))
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(running_anvil(block_time_secs=1.0, args=history))
        chain = await stack.enter_async_context(connected(anvil.url))
        proxy = await stack.enter_async_context(running_proxy(anvil.url, seed=options.seed, faults=options.faults))
        fleet = await prepared_fleet(
            chain,
            out / "fleet",
            wallets=options.wallets,
            interval_secs=options.interval,
            chain__rpc_url=proxy.url,
            chain__request_timeout_secs=5,
            chain__block_time_secs=1,
            fees__stuck_after_secs=10,
        )
        service = await stack.enter_async_context(fleet.service())
        await service.ready()
        samples = await _watched(fleet, service, options, out)
        said = await _ended(fleet, service, proxy)
    said |= {"wallets": options.wallets, "seed": options.seed, "minutes": options.minutes, "level": level(samples)}
    _report(out, samples, said)
    print((out / "report.md").read_text())
    return 0 if said["level"] and not said["differences"] and said["verified"] else 1


async def _watched(fleet: Fleet, service: ServiceProcess, options: argparse.Namespace, out: Path) -> list[Sample]:
    samples: list[Sample] = []
    end = time.monotonic() + options.minutes * 60
    with (out / "samples.jsonl").open("ab") as file:
        async with fleet.log() as log:
            sampler = Sampler(service, log, fleet.database)
            while time.monotonic() < end:
                await asyncio.sleep(min(options.every, max(0.1, end - time.monotonic())))
                samples.append(await sampler.look())
                file.write(msgspec.json.encode(samples[-1]) + b"\n")
                file.flush()
    return samples


async def _ended(fleet: Fleet, service: ServiceProcess, proxy: ProxyProcess) -> dict[str, Any]:
    """Faults off, stop, drain, compare."""
    await proxy.switch(on=False)
    before = time.monotonic()
    code = await service.terminate()
    stopped_secs = time.monotonic() - before
    await drain(fleet)
    found = await differences(fleet)
    async with fleet.log() as log:
        verified = await log.verify()
        same = await recover(log) == await recover(log, use_snapshot=False)
        events = log.head.position
    landed = sum(row.status in ("mined", "final") for row in await fleet.attempts())
    return {
        "differences": found,
        "verified": verified.ok and same and code == 0,
        "events": events,
        "transactions": landed,
        "stopped_secs": round(stopped_secs, 2),
        "proxy": await proxy.counts(),
    }


def _report(out: Path, samples: list[Sample], said: dict[str, Any]) -> None:
    title = f"Soak: {said['wallets']} wallets, {said['minutes']:g} minutes, faults on (seed {said['seed']})"
    faults = ", ".join(f"{kind} {count:,}" for kind, count in said["proxy"]["faults"].items())
    lines = [
        f"# {title}",
        "",
        table(samples),
        "",
        f"- {said['events']:,} events, {said['transactions']:,} transactions on chain; differences between log and chain: "
        f"{len(said['differences'])}; hash chain, fold and snapshot agree: {'yes' if said['verified'] else 'NO'}",
        f"- {said['proxy']['requests']:,} requests went through the proxy; faults: {faults}",
        f"- a graceful stop took {said['stopped_secs']} s",
        f"- samples: {len(samples)}, in samples.jsonl; plot.svg shows them",
        f"- verdict: {'levels off' if said['level'] else 'RISES'}",
        *(f"- {each}" for each in said["differences"][:MAX_DIFFERENCES]),
    ]
    (out / "report.md").write_text("\n".join(lines) + "\n")
    (out / "plot.svg").write_text(plot(samples, title))
    (out / "summary.json").write_text(json.dumps(said, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--wallets", type=int, default=200)
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between two actions of a wallet")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="all", help="see python -m tests.proxy --help")
    parser.add_argument("--out", type=Path, default=Path("out/soak"), help="replaced when it is there")
    options = parser.parse_args()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    sys.exit(asyncio.run(soak(options, out)))


if __name__ == "__main__":
    main()
