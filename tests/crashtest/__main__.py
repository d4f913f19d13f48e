"""`python -m tests.crashtest --kills 200`: SIGKILL at random moments, on anvil, behind a faulty way. Ends with a summary in JSON.

Exit code 1 on any difference; its directory is then kept. The seed that is printed makes the same moments and faults again,
as far as a real machine keeps time.
"""

import argparse
import asyncio
import contextlib
import secrets
import shutil
import sys
from pathlib import Path

import msgspec

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.launch import running_anvil
from tests.crashtest.loop import Summary, crash_fleet, crash_loop
from tests.proxy.process import running_proxy

BLOCK_SECS = 0.5


async def crash_test(options: argparse.Namespace, out: Path) -> Summary:
    """A chain, the way to it, the fleet, the loop."""
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(running_anvil(block_time_secs=BLOCK_SECS))
        chain = await stack.enter_async_context(connected(anvil.url))
        proxy = await stack.enter_async_context(running_proxy(anvil.url, seed=options.seed, faults=options.faults))
        fleet = await crash_fleet(chain, out / "fleet", proxy, options.wallets)
        return await crash_loop(fleet, proxy, options.kills, options.seed, lambda line: print(line, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crashtest", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--wallets", type=int, default=12)
    parser.add_argument("--seed", type=int, default=None, help="of the moments and the faults; default: a new one")
    parser.add_argument("--faults", default="all", help="see python -m tests.proxy --help")
    parser.add_argument("--out", type=Path, default=Path("out/crashtest"), help="replaced when it is there")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(10**6)
    print(f"seed {options.seed}", flush=True)
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        summary = asyncio.run(crash_test(options, out))
    except BaseException:
        print(f"kept: {out}", file=sys.stderr)
        raise
    text = msgspec.json.format(msgspec.json.encode(summary)).decode()
    (out / "summary.json").write_text(text + "\n")
    print(text)
    if summary.differences:
        print(f"kept: {out}", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(out / "fleet")


if __name__ == "__main__":
    main()
