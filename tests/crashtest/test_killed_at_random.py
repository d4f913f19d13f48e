"""Twenty kills in CI; `make crashtest KILLS=200` for two hundred."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.process import Devnet
from tests.crashtest.loop import crash_fleet, crash_loop
from tests.findings import nothing
from tests.proxy.process import running_proxy

KILLS = 20
SEED = 3
pytestmark = pytest.mark.anvil


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("anvil", [0.5], indirect=True)
async def test_killed_at_random_moments_on_a_faulty_way_log_and_chain_agree_and_every_wallet_acts(
    anvil: Devnet, tmp_path: Path
):
    """P1, P2, P3, P5, P6 with a real process, disk and chain."""
    async with connected(anvil.url) as chain, running_proxy(anvil.url, seed=SEED) as proxy:
        fleet = await crash_fleet(chain, tmp_path / "fleet", proxy, wallets=6)
        summary = await crash_loop(fleet, proxy, KILLS, SEED)
    nothing(summary.differences)
    assert summary.kills == KILLS
    assert summary.killed_while_starting > 0
    assert summary.transactions > summary.wallets
