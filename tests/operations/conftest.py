"""A GHOSTNET fleet with a treasury, on an anvil of its own, for each test that asks for one."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from tests.operations.stage import MoneyFleet, money_fleet


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> MoneyFleet:
    """Three wallets that act about every second; the first account of the development chain is the treasury."""
    return await money_fleet(chain, tmp_path / "fleet", wallets=3)
