"""The previous release, built once for all tests of a worker, and the fleet that both releases run."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from tests.acceptance.service_process import Fleet, prepared_fleet
from tests.releases.previous_release import PREVIOUS, REPOSITORY, Release, build_release


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return build_release(REPOSITORY, PREVIOUS, tmp_path_factory.mktemp("previous-release"))


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Five wallets with little patience and two ways to the chain, whose settings file both releases read."""
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=5,
        fees__stuck_after_secs=3,
        chain__finality_blocks=4,
        chain__block_time_secs=1,
        chain__request_timeout_secs=5,
        chain__rpc_urls=[chain.url.replace("127.0.0.1", "localhost")],
    )
