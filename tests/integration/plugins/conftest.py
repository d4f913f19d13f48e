"""A stage for each test: a fresh anvil with the stand-ins on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from protocol_stage import Stage, set_stage

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.deploy import Scale
from ghostfleet.devnet.process import Devnet

PEACEFUL = Scale(death_rates_bps=(0, 0, 0, 0, 0), scan_interval_secs=(60, 60, 60, 60, 60), lock_secs=10)
"""Nobody dies."""
Setting = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def stage(anvil: Devnet) -> AsyncIterator[Setting]:
    """`await stage()` with one wallet, or with so many and a scale of its own."""
    async with AsyncExitStack() as stack:

        async def set_up(wallets: int = 1, scale: Scale = PEACEFUL, tokens: int = 3_000) -> Stage:
            client = await stack.enter_async_context(connected(anvil.url))
            return await set_stage(client, wallets, scale, tokens)

        yield set_up
