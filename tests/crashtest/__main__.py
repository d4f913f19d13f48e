"""`python -m tests.crashtest --kills 200`: SIGKILL at random moments, on anvil, behind a faulty way. Ends with a summary in JSON.

Exit code 1 on any difference; its directory is then kept. The seed that is printed makes the same moments and faults again,
as far as a real machine keeps time.
"""

import argparse
import contextlib
import secrets
from functools import partial
from pathlib import Path

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.launch import running_anvil
from tests.crashtest.loop import Summary, crash_fleet, crash_loop
from tests.proxy.process import running_proxy
from tests.reported_run import run_and_report

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
    run_and_report(options.out, partial(crash_test, options), lambda summary: summary.differences)


if __name__ == "__main__":
    main()
