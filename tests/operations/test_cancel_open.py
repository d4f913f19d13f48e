"""EP-001: a pause gives open nonces away where that is asked for."""

import asyncio

import pytest

from ghostfleet.domain import events as ev
from tests.acceptance.service_process import until
from tests.operations.stage import MoneyFleet, answer

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900)]


@pytest.mark.parametrize("anvil", [0.5], indirect=True)
async def test_open_transactions_are_replaced_by_empty_ones_and_none_of_them_happens(fleet: MoneyFleet):
    """No blocks come, every wallet has a transaction in the pool: none of these is ever mined, each nonce is used."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await fleet.chain.call("evm_setIntervalMining", 0)

        async def all_open() -> bool:
            slots = [slot for it in (await service.get("/admin/status"))["wallets"] for slot in it["open_slots"]]
            return len(slots) == len(fleet.wallets) and all(slot["accepted_by"] for slot in slots)

        await until(all_open, "a transaction of each wallet in the pool")
        doomed = {row.hash for row in await fleet.attempts() if row.status == "open"}
        head = await fleet.head()
        command = asyncio.create_task(
            fleet.run("pause", "--cancel-open", "--reason", "stop all", "--json", url=service.url)
        )
        await fleet.see(ev.TransactionSigned, count=len(doomed), after=head)
        await fleet.chain.call("evm_setIntervalMining", 1)
        ended = await command
        assert ended.code == 0, ended.err
        told = answer(ended)
        assert told["paused"] is True
        became = [slot["became"] for row in told["cancelled"].values() for slot in row["slots"]]
        assert became == ["cancelled"] * len(doomed)
        assert (await service.get("/admin/status"))["open_slots"] == 0
    for tx in doomed:
        assert await fleet.chain.call("eth_getTransactionReceipt", str(tx)) is None
    await fleet.agrees()
