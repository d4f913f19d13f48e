"""Killed before, during and after each step of the lane, the log and a migration: started again, nothing is lost or doubled."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.engine.recovery import recover
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, prepared_fleet
from tests.crashtest.drain import drain
from tests.crashtest.loop import every_wallet_acts

LANE = (
    "ActionDecided",
    "TransactionSigned",
    "BroadcastAccepted",
    "TransactionMined",
    "ActionSucceeded",
    "TransactionFinal",
)
METHODS = (
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionCount",
    "eth_getBlockByNumber",
    "eth_feeHistory",
    "eth_getBalance",
)
DEATH_SECS = 150.0
pytestmark = [
    pytest.mark.anvil,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("anvil", [0.5], indirect=True),
]


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> Fleet:
    """Three wallets that act often."""
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=3,
        chain__finality_blocks=3,
        chain__block_time_secs=0.5,
        chain__request_timeout_secs=5,
        fees__stuck_after_secs=3,
    )


async def dies(fleet: Fleet, aim: str, *, stopped_after_secs: float | None = None) -> None:
    """A run that ends by SIGKILL at the step aimed at; the log that it leaves is whole, and its fold one."""
    service = await fleet.start(program=(sys.executable, "-m", "tests.crashtest.aimed", aim))
    try:
        if stopped_after_secs is not None:
            await service.ready()
            await asyncio.sleep(stopped_after_secs)
            service.process.terminate()
        code = await service.ended(DEATH_SECS)
        assert code == -signal.SIGKILL, f"{aim}: ended with {code}\n{service.output[-3000:]}"
    finally:
        await service.kill()
    if aim.partition(":")[2].startswith("migration"):
        return
    async with fleet.log() as log:
        verified = await log.verify()
        assert verified.ok, f"{aim}: {verified.problem}"
        assert await recover(log) == await recover(log, use_snapshot=False), aim


async def comes_back(fleet: Fleet) -> None:
    """A normal start: every wallet acts, everything settles, log and chain agree in every transaction."""
    async with fleet.service() as service:
        await service.ready()
        await every_wallet_acts(fleet)
        assert await service.terminate() == 0
    await drain(fleet)
    await assert_agreement(fleet)


@pytest.mark.parametrize("step", LANE)
async def test_killed_at_the_append_of(step: str, fleet: Fleet):
    """Each event of an action's life: not yet written, written and not committed, committed and not yet acted upon."""
    for aim in (
        f"before:append:{step}:2",
        f"during:append:{step}:1",
        f"after:append:{step}:1",
        f"after:append:{step}:4",
    ):
        await dies(fleet, aim)
    await comes_back(fleet)


@pytest.mark.parametrize("method", METHODS)
async def test_killed_at_the_request_for(method: str, fleet: Fleet):
    """Each question to the node: not asked, or asked and answered with nobody left to hear it."""
    for aim in (f"before:request:{method}:1", f"after:request:{method}:1", f"after:request:{method}:3"):
        await dies(fleet, aim)
    await comes_back(fleet)


async def test_killed_at_any_append_and_any_request(fleet: Fleet):
    """In the order in which they come, the service's own first events and questions included."""
    for number in (1, 2, 3, 5, 8):
        await dies(fleet, f"before:append:*:{number}")
        await dies(fleet, f"after:request:*:{number}")
    await comes_back(fleet)


async def test_killed_at_a_snapshot(fleet: Fleet):
    """A snapshot is a cache: half of one is none."""
    for moment in ("before", "during", "after"):
        await dies(fleet, f"{moment}:snapshot:*:1")
        await dies(fleet, f"{moment}:snapshot:*:2")
    await comes_back(fleet)


async def test_killed_at_the_snapshot_of_a_graceful_stop(fleet: Fleet):
    for moment in ("before", "after"):
        await dies(fleet, f"{moment}:append:ServiceStopped:1", stopped_after_secs=1.0)
    await comes_back(fleet)


@pytest.mark.parametrize("step", ["checkpoint", "commit"])
async def test_killed_at_a_checkpoint(step: str, fleet: Fleet):
    """The write-ahead file is copied into the database every eight pages, and the process dies around and within that."""
    for number in (1, 4, 9):
        for moment in ("before", "during", "after"):
            await dies(fleet, f"{moment}:{step}:*:{number}")
    await comes_back(fleet)


async def test_killed_at_each_step_of_a_migration(fleet: Fleet):
    """A schema is there whole or not at all, and the next start makes it."""
    for number in range(1, 6):
        await dies(fleet, f"before:migration:*:{number}")
        await dies(fleet, f"after:migration:*:{number}")
    for number in (9, 14, 18, 20):
        await dies(fleet, f"after:migration:*:{number}")
    await dies(fleet, "before:append:*:1")
    await comes_back(fleet)
