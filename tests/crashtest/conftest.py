"""The test's own anvil, spoken to directly."""

from collections.abc import AsyncIterator

import pytest

from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.process import Devnet


@pytest.fixture
async def chain(anvil: Devnet) -> AsyncIterator[DevnetClient]:
    async with connected(anvil.url) as client:
        yield client
