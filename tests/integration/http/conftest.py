"""A real SQLite log for each test, and a service over it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fleet_over_http import Running, registered, running

from ghostfleet.store.log import open_log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Any]:
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    yield log
    await log.close()


@pytest.fixture
async def fleet(log: Any) -> AsyncIterator[Running]:
    """Open on loopback, with two wallets."""
    async with running(log) as fleet:
        await fleet.service.append(registered("wallet-001", 1), registered("wallet-002", 2))
        yield fleet
