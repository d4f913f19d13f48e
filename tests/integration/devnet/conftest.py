"""Stages for the stand-ins: on anvil, or the same on both engines."""

from collections.abc import AsyncIterator

import pytest
from ghostnet_stage import QUIET, Stage, staged

from ghostfleet.devnet.launch import running_anvil
from ghostfleet.devnet.process import Devnet


@pytest.fixture
async def stage(anvil: Devnet, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """On anvil; `@pytest.mark.parametrize("stage", [Scale(...)], indirect=True)` sets another scale."""
    async with staged(anvil.url, getattr(request, "param", QUIET)) as one:
        yield one


@pytest.fixture(params=[pytest.param("anvil", marks=pytest.mark.anvil), "embedded"])
async def any_stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The same on both engines."""
    if request.param == "anvil":
        async with running_anvil() as devnet, staged(devnet.url, QUIET) as one:
            yield one
    else:
        from ghostfleet.devnet.embedded import serving

        async with serving(block_time_secs=0) as url, staged(url, QUIET) as one:
            yield one
