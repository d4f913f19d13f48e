"""P5 with a real process and a real chain: once a pause has answered nothing leaves, and a restart changes nothing about it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet, ServiceProcess, prepared_fleet, until
from tests.acceptance.wire import Wire, wire_to

WALLETS = 12
QUIET_SECS = 2.5
"""Longer than a slot may be stuck (2 s): a fee bump or a rebroadcast would come within it."""
BUSY_SECS = 90.0

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]


@pytest.fixture
async def wire(chain: DevnetClient) -> AsyncIterator[Wire]:
    async with wire_to(chain.url) as wire:
        yield wire


@pytest.fixture
async def fleet(chain: DevnetClient, wire: Wire, tmp_path: Path) -> Fleet:
    """Twelve wallets in a hurry: at every moment some are on their way."""
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=WALLETS,
        interval_secs=0.2,
        chain__rpc_url=wire.url,
        chain__finality_blocks=4,
        chain__block_time_secs=0.5,
        chain__request_timeout_secs=5,
        fees__stuck_after_secs=2,
    )


async def nonces(fleet: Fleet) -> list[int]:
    """The next nonce of every wallet as the node sees it, its pool included."""
    counts = [("eth_getTransactionCount", [str(address), "pending"]) for address in fleet.wallets.values()]
    return [int(count, 16) for count in await fleet.chain.batch(counts)]


async def open_slots(service: ServiceProcess, least: int) -> bool:
    return bool((await service.get("/admin/status"))["open_slots"] >= least)


async def test_pausing_under_load_lets_nothing_reach_the_chain_after_the_answer_nor_after_a_restart(
    fleet: Fleet, wire: Wire, chain: DevnetClient
):
    """EP-001, asked once by a kill and a restart: the pause is still there, and still holds."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await chain.call("evm_setIntervalMining", 0)  # what is open stays open: it would be bumped or sent again
        await until(
            lambda: open_slots(service, WALLETS // 3), "a third of the fleet under way, the rest coming", BUSY_SECS
        )
        await service.post("/admin/pause", reason="under load")
        sends, reached = await wire.left(), await nonces(fleet)
        await asyncio.sleep(QUIET_SECS)
        assert (wire.sends, await nonces(fleet)) == (sends, reached)
        await service.kill()
    async with fleet.service() as service:
        await service.ready()
        assert (await service.get("/admin/status"))["paused"] is True
        paused_at = await fleet.head()
        await chain.call("evm_setIntervalMining", 1)
        await fleet.see(ev.TransactionMined, after=paused_at)  # receipts are still read
        await asyncio.sleep(QUIET_SECS)
        assert (wire.sends, await nonces(fleet)) == (sends, reached)
        await service.post("/admin/resume")
        await fleet.acted(1)
        assert wire.sends > sends
        await service.settled()
        assert await service.terminate() == 0
    await assert_agreement(fleet)
