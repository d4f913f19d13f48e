"""`pause --cancel-open` that was interrupted: once nothing of it is open any more it ends, though nobody asks again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.operation import Operation
from ghostfleet.operations.runner import OperationRunner
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import Stage, stage

CANCEL = ev.OperationStarted(
    operation_id="cancel-1", kind="cancel", wallets=("w",), params={"destinations": []}, actor="local"
)
SUSPENDED = ev.OperationSuspended(operation_id="cancel-1", actor="local", reason="paused by local")


@asynccontextmanager
async def suspended(*, planned: bool) -> AsyncIterator[tuple[Stage, ev.TransactionSigned]]:
    """With a transaction that is open; suspended by the next pause, before its duty came to anything."""
    async with stage() as on:
        doomed = await on.signed()
        await on.fleet(CANCEL)
        if planned:
            plan = {"open_slots": [{"nonce": 0, "action_id": doomed.action_id, "kind": "k", "hash": str(doomed.hash)}]}
            await on.fleet(ev.OperationWalletPlanned(operation_id="cancel-1", wallet="w", plan=plan))
        await on.fleet(SUSPENDED)
        duties: Any = on.world.duties
        runner = OperationRunner(on.world, duties, lambda _wallet: None, lambda _wallet: None)
        running = asyncio.create_task(runner.run())
        try:
            yield on, doomed
        finally:
            running.cancel()
            await asyncio.wait([running])


def open_operations(on: Stage) -> tuple[Operation, ...]:
    return on.world.state.fleet.operations


@pytest.mark.parametrize("planned", [True, False])
def test_while_its_transaction_is_open_it_waits_and_then_it_ends(planned: bool) -> None:
    async def story() -> None:
        async with suspended(planned=planned) as (on, doomed):
            await asyncio.sleep(10)
            assert [it.id for it in open_operations(on)] == ["cancel-1"]
            await on.included(doomed)
            await asyncio.sleep(10)
            assert open_operations(on) == ()
            finished = on.told[-1]
            assert isinstance(finished, ev.OperationFinished)
            assert (finished.outcome, finished.summary["done"]) == ("done", 1)
            (line,) = [it.result for it in on.told if isinstance(it, ev.OperationWalletDone)]
            assert [slot["became"] for slot in line["slots"]] == (["mined"] if planned else [])

    virtual_time.run(story())


def test_what_the_wallet_has_signed_since_is_not_its_business() -> None:
    """The fleet was resumed, and acts again."""

    async def story() -> None:
        async with suspended(planned=True) as (on, doomed):
            await on.included(doomed)
            await on.signed()
            await asyncio.sleep(10)
            assert on.wallet.pending
            assert open_operations(on) == ()

    virtual_time.run(story())


def test_another_operation_stays_suspended_until_somebody_asks() -> None:
    async def story() -> None:
        async with stage() as on:
            await on.fleet(
                ev.OperationStarted(operation_id="fund-1", kind="fund", wallets=("w",), params={}, actor="local"),
                ev.OperationSuspended(operation_id="fund-1", actor="local", reason="paused by local"),
            )
            duties: Any = on.world.duties
            runner = OperationRunner(on.world, duties, lambda _wallet: None, lambda _wallet: None)
            running = asyncio.create_task(runner.run())
            await asyncio.sleep(10)
            assert [it.id for it in open_operations(on)] == ["fund-1"]
            running.cancel()
            await asyncio.wait([running])

    virtual_time.run(story())
