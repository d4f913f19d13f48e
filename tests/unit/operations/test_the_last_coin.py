"""Native coin that goes to a contract, which may take it at a price, or not at all; and what the table says then."""

from collections.abc import Callable

import pytest

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.cli.operation_tables import not_empty
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, AnswerClass, Call, JsonObject
from ghostfleet.engine.errands import run_errands
from ghostfleet.operations.extract import ExtractDuty
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import (
    COST_WEI,
    EXTRACT,
    FEES,
    GAS,
    SAFE,
    Stage,
    following,
    operation_started,
    stage,
)

MORE_GAS = 2 * GAS
HELD_WEI = 10**18


def vault(call: Call) -> int:
    """Writes down who has paid: that takes more than being called with nothing."""
    return MORE_GAS if call.value_wei else GAS


def no_receiver(call: Call) -> int:
    if call.to == SAFE:
        raise RpcRefused(sort_error(3, "execution reverted: no thanks"))
    return GAS


def lagging(call: Call) -> int:
    """A node that does not know yet what the wallet has."""
    if call.value_wei:
        raise RpcRefused(sort_error(-32000, "insufficient funds for transfer"))
    return GAS


async def extracted(on: Stage, takes: Callable[[Call], int], held_wei: int) -> JsonObject:
    """The wallet's line, once an extraction is done with it."""

    async def estimate_gas(sender: Address, call: Call) -> int:
        return takes(call)

    on.node.estimate_gas = estimate_gas  # type: ignore[method-assign]
    on.node.balance_wei = held_wei
    planned = ev.OperationWalletPlanned(operation_id="extract-1", wallet="w", plan={})
    await on.fleet(operation_started("extract", EXTRACT), planned)
    duty = ExtractDuty("extract-1", SAFE, on.world)
    for _ in range(10):
        outcome = await run_errands(on.world, "w", duty)
        for nonce in outcome.opened:
            await on.follower.broadcast_new(nonce)
            await on.blocks(1)
            on.node.balance_wei = 0
        await on.follower.follow()
        lines = [it.result for it in on.told if isinstance(it, ev.OperationWalletDone)]
        if lines:
            return lines[0]
    raise AssertionError(on.kinds)


def test_a_contract_that_does_more_with_coin_than_without_gets_the_gas_for_it() -> None:
    async def story() -> None:
        async with stage() as on:
            line = await extracted(on, vault, HELD_WEI)
            (sent,) = on.node.sent
            assert (sent.gas, sent.call.value_wei) == (MORE_GAS, HELD_WEI - MORE_GAS * FEES.max_fee_wei)
            assert (line["empty"], line["left"]) == (True, {"native": "0"})

    virtual_time.run(story())


def test_a_contract_that_takes_no_coin_costs_no_gas_and_the_table_says_that_the_wallet_is_not_empty() -> None:
    """It was sent three times, and reverted each time; then: "checked against the chain: it is so"."""

    async def story() -> None:
        async with stage() as on:
            line = await extracted(on, no_receiver, HELD_WEI)
            assert on.node.sent == []
            assert line["left"] == {"native": str(HELD_WEI)}
            assert not line["empty"]
            (said,) = not_empty({"rows": {"w": line}}, {})
            assert said == "w: not empty: sweep_native: execution reverted: no thanks"

    virtual_time.run(story())


@pytest.mark.parametrize("held_wei", [0, 1, COST_WEI])
def test_what_does_not_pay_for_being_moved_leaves_a_wallet_empty(held_wei: int) -> None:
    async def story() -> None:
        async with stage() as on:
            line = await extracted(on, no_receiver, held_wei)
            assert on.node.sent == []
            assert (line["empty"], line["remarks"]) == (True, [])

    virtual_time.run(story())


def test_a_node_that_knows_nothing_of_the_funds_yet_keeps_no_sweep_back() -> None:
    async def story() -> None:
        async with stage() as on:
            assert (await extracted(on, lagging, HELD_WEI))["empty"]
            assert len(on.node.sent) == 1

    virtual_time.run(story())


def test_a_sweep_that_was_signed_anew_for_less_says_what_it_moved() -> None:
    """It said the amount that was decided on first: with fees and what is left that was more than there had been."""

    async def story() -> None:
        async with stage() as on:
            on.node.answer = AnswerClass.UNDERPRICED
            on.node.balance_wei = HELD_WEI
            planned = ev.OperationWalletPlanned(operation_id="extract-1", wallet="w", plan={})
            await on.fleet(operation_started("extract", EXTRACT), planned)
            duty = ExtractDuty("extract-1", SAFE, on.world)
            (nonce,) = (await run_errands(on.world, "w", duty)).opened
            await on.follower.broadcast_new(nonce)
            on.node.answer = AnswerClass.ACCEPTED
            async with following(on):
                await on.blocks(10)
            on.node.balance_wei = 0
            await run_errands(on.world, "w", duty)
            first, second = on.node.sent
            assert second.call.value_wei < first.call.value_wei
            (line,) = [it.result for it in on.told if isinstance(it, ev.OperationWalletDone)]
            moved = str(second.call.value_wei)
            assert line["moved"]["native"] == {"sent": moved, "received": moved, "tax": "0"}

    virtual_time.run(story())
