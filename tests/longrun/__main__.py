"""`python -m tests.longrun`: a hundred wallets on anvil for ten minutes, three kills, a pause in each life. Ends with JSON.

Exit code 1 on any difference between log and chain or fold and snapshot, when anything left after a pause, and when a pause
answered after more than a second; its directory is then kept.
"""

import argparse
import contextlib
from functools import partial
from pathlib import Path

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.launch import running_anvil
from tests.acceptance.service_process import prepared_fleet
from tests.acceptance.wire import wire_to
from tests.longrun.run import Summary, long_run
from tests.reported_run import run_and_report

BLOCK_SECS = 1.0
CHAIN_STATES = 50
"""Past states that anvil keeps: of every block it would be gigabytes."""


async def whole_run(options: argparse.Namespace, out: Path) -> Summary:
    """A chain, the wire to it, the fleet, the run."""
    history = ("--prune-history", str(CHAIN_STATES))
    async with contextlib.AsyncExitStack() as stack:
        anvil = await stack.enter_async_context(running_anvil(block_time_secs=BLOCK_SECS, args=history))
        chain = await stack.enter_async_context(connected(anvil.url))
        wire = await stack.enter_async_context(wire_to(anvil.url))
        fleet = await prepared_fleet(
            chain,
            out / "fleet",
            wallets=options.wallets,
            interval_secs=options.interval,
            chain__rpc_url=wire.url,
            chain__block_time_secs=BLOCK_SECS,
        )
        return await long_run(
            fleet, wire, minutes=options.minutes, kills=options.kills, say=lambda line: print(line, flush=True)
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.longrun", description=__doc__)
    parser.add_argument("--wallets", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two actions of a wallet")
    parser.add_argument("--out", type=Path, default=Path("out/longrun"), help="replaced when it is there")
    options = parser.parse_args()
    run_and_report(options.out, partial(whole_run, options), lambda summary: summary.wrong)


if __name__ == "__main__":
    main()
