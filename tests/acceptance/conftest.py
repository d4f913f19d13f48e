"""A prepared fleet on an anvil of its own, for each test that asks for one."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from tests.acceptance.service_process import Fleet, prepared_fleet


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Six wallets that act three times a second or so, with little patience: final after 4 blocks, stuck after 3 s."""
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        fees__stuck_after_secs=3,
        chain__finality_blocks=4,
        chain__block_time_secs=0.2,
        chain__request_timeout_secs=5,
    )
