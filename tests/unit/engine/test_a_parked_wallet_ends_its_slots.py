"""A wallet is parked for what its next action would need. What it has signed before may cost far less, and has to end."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import AnswerClass
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import COST_WEI, EXTRACT, Stage, following, operation_started, stage

ETHER = 10**18


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        virtual_time.run(test(*args, **kwargs))

    return run


async def parked(on: Stage) -> None:
    """It has one ether, and its next action would need ten."""
    assert on.node.balance_wei == ETHER
    await on.happened(ev.WalletParked(need_wei=10 * ETHER, balance_wei=ETHER))


async def extraction(on: Stage) -> ev.TransactionSigned:
    """An operator wants the wallet emptied: the first step is signed, and costs next to nothing."""
    await on.fleet(operation_started("extract", EXTRACT))
    return await on.signed(operation="extract-1")


@on_virtual_time
async def test_a_step_of_an_operation_that_never_left_is_sent() -> None:
    """The process was killed between the record and the send."""
    async with stage() as on:
        await parked(on)
        await extraction(on)
        async with following(on):
            await on.blocks(10)
        assert "TransactionMined" in on.kinds


@on_virtual_time
async def test_a_step_that_no_node_took_is_sent_again() -> None:
    async with stage() as on:
        await parked(on)
        on.node.answer = AnswerClass.ENDPOINT_FAULT
        signed = await extraction(on)
        await on.follower.broadcast_new(signed.nonce)
        on.node.answer = AnswerClass.ACCEPTED
        async with following(on):
            await on.blocks(10)
        assert "TransactionMined" in on.kinds


@on_virtual_time
async def test_a_step_that_a_node_lost_is_sent_again() -> None:
    async with stage() as on:
        await parked(on)
        signed = await extraction(on)
        await on.follower.broadcast_new(signed.nonce)
        on.node.forget_pool()
        async with following(on):
            await on.blocks(40)
        assert "TransactionMined" in on.kinds


@on_virtual_time
async def test_what_a_reorganisation_undid_is_sent_again() -> None:
    async with stage() as on:
        await on.included(await on.signed())
        await parked(on)
        async with following(on):
            on.node.take_back(1)
            await on.blocks(20, branch="b")
        assert [kind for kind in on.kinds if kind in ("TransactionReorged", "TransactionMined")] == [
            "TransactionMined",
            "TransactionReorged",
            "TransactionMined",
        ]


async def refused_for_want_of_funds(on: Stage) -> None:
    """It has signed away five ether and has one: parked for it."""
    signed = await on.signed(value_wei=5 * ETHER)
    await on.follower.broadcast_new(signed.nonce)
    async with following(on):
        await on.blocks(10)
    assert on.wallet.parked_until_wei == 5 * ETHER + COST_WEI


@on_virtual_time
async def test_what_an_operator_cancels_is_replaced_where_a_cancel_can_be_paid() -> None:
    async with stage() as on:
        await refused_for_want_of_funds(on)
        await on.fleet(operation_started("cancel", {"destinations": []}))
        async with following(on):
            await on.blocks(100)
        mined = next(it for it in on.told if isinstance(it, ev.TransactionMined))
        assert (mined.attempt, on.wallet.pending) == (2, ())


@on_virtual_time
async def test_what_cannot_be_paid_is_left_alone_until_it_can() -> None:
    async with stage() as on:
        await refused_for_want_of_funds(on)
        sent = len(on.node.sent)
        async with following(on):
            await on.blocks(100)
            assert len(on.node.sent) == sent, "a node that said no is not asked over and over"
            assert on.kinds.count("WalletParked") == 1
            on.node.balance_wei = 5 * ETHER + COST_WEI  # to the wei
            await on.blocks(20)
        left = on.kinds[on.kinds.index("WalletUnparked") :]
        assert left == ["WalletUnparked", "BroadcastAccepted", "TransactionMined", "ActionSucceeded"]


@on_virtual_time
async def test_a_node_that_is_wrong_about_funds_parks_nobody_and_gets_the_same_bytes_again() -> None:
    """It lags, and has not seen the wallet's money yet."""
    async with stage() as on:
        on.node.answer = AnswerClass.INSUFFICIENT_FUNDS
        signed = await on.signed(value_wei=ETHER // 2)
        await on.follower.broadcast_new(signed.nonce)
        on.node.answer = AnswerClass.ACCEPTED
        async with following(on):
            await on.blocks(5)
        assert "WalletParked" not in on.kinds
        assert on.kinds[-3:] == ["BroadcastAccepted", "TransactionMined", "ActionSucceeded"]
        assert len(on.node.sent) == 2


@on_virtual_time
async def test_a_wallet_that_no_node_has_refused_is_not_parked_for_what_is_on_its_way() -> None:
    """Its money may have gone into the very block that nobody shows yet."""
    async with stage() as on:
        signed = await on.signed(value_wei=ETHER // 2)
        await on.follower.broadcast_new(signed.nonce)
        on.node.balance_wei = 0
        async with following(on):
            await on.blocks(20)
        assert on.kinds[-1] == "BroadcastAccepted"
