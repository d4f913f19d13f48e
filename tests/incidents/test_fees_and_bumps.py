"""Fees follow the chain up to the cap; a bump outbids what it replaces, at a bounded pace, and ends in a cancel."""

import itertools
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.chain import fees
from ghostfleet.chain.fees import bump
from ghostfleet.domain import events as ev
from ghostfleet.domain import slot as slots
from ghostfleet.domain.slot import Replace, SlotPolicy
from ghostfleet.domain.values import AnswerClass, Fees
from ghostfleet.engine import replacements
from ghostfleet.engine.follow import Follower
from ghostfleet.engine.pursuit import Pursuit
from tests.incidents.staged_fleet import STORY_SECS, Stage, broken_by, consecutive
from tests.simulation import planted
from tests.simulation.chain import GWEI, Pool, Tx
from tests.simulation.node import Node, RpcError

CAP_WEI = 20 * GWEI


@broken_by(planted.never_replace_what_is_stuck)
def test_after_a_restart_what_is_stuck_in_the_pool_is_replaced() -> None:
    """berachain/offchain-sdk issue 82: after a restart, a transaction that was stuck in the pool was not replaced."""
    stage = Stage()

    def stuck(_: ev.BroadcastAccepted) -> None:
        stage.chain.jump_fees(20)
        stage.at(1, lambda: stage.kill(down_secs=20))

    stage.when(ev.BroadcastAccepted, stuck, where=lambda it: it.nonce == 1)
    outcome = stage.play()
    assert outcome.runs == 2
    assert len(stage.attempts_at(1)) > 1
    first, second = stage.attempts_at(1)[:2]
    assert first.action_id == second.action_id
    assert second.purpose == "action"
    assert second.fees.max_fee_wei > first.fees.max_fee_wei
    landed = stage.mined()[1]
    assert landed.hash in {it.hash for it in stage.attempts_at(1)[1:]}
    assert consecutive([tx.nonce for tx in stage.mined()])


def _bumps_that_a_node_refuses() -> AbstractContextManager[Any]:
    """Five percent more, as if a node asked for any more at all."""

    def bump(old: Fees, suggestion: Fees, cap_wei: int | None, *, percent: float = 12.5) -> Fees:
        return Fees(old.max_fee_wei * 105 // 100, old.priority_fee_wei * 105 // 100)

    return patch.object(fees, "bump", bump)


@broken_by(planted.bump_only_one_cap)
@broken_by(_bumps_that_a_node_refuses)
def test_a_bump_raises_both_caps_by_what_nodes_ask() -> None:
    """nucypher/nucypher issue 2398 and smartcontractkit/chainlink pull 2509.

    A replacement with the same fee: "already known"; bumps below the node's minimum: "replacement transaction underpriced".
    """
    stage = Stage(fees={"min_priority_fee_wei": 1})
    stage.when(ev.BroadcastAccepted, lambda _: stage.chain.jump_fees(100), where=lambda it: it.nonce == 1)
    stage.play()
    attempts = stage.attempts_at(1)
    assert len(attempts) > 1
    pool = Pool()
    for attempt in attempts:
        assert pool.offer(stage.chain.decode(attempt.raw)) == ""
    refusals = {it.error_class for it in stage.events(ev.BroadcastFailed)}
    assert AnswerClass.REPLACEMENT_UNDERPRICED not in refusals


WEI = st.integers(0, 10**12) | st.integers(10**20, 10**30)


@given(WEI, WEI, WEI, WEI, st.none() | WEI, st.floats(0, 200))
def test_any_bump_outbids_by_a_tenth_rounded_up_and_stays_under_the_cap(
    max_fee: int, tip: int, suggested: int, suggested_tip: int, cap: int | None, percent: float
) -> None:
    """nucypher/nucypher issue 2398 and smartcontractkit/chainlink pull 2509: also from 1 wei, where 10 % more is nothing."""
    old = Fees(max(max_fee, tip), tip)
    new = bump(old, Fees(max(suggested, suggested_tip), suggested_tip), cap, percent=percent)
    if new is None:
        assert cap is not None
        assert cap * 10 < old.max_fee_wei * 11 or cap <= old.max_fee_wei or cap * 10 < tip * 11 or cap <= tip
        return
    assert new.max_fee_wei * 10 >= old.max_fee_wei * 11
    assert new.priority_fee_wei * 10 >= old.priority_fee_wei * 11
    assert new.max_fee_wei > old.max_fee_wei
    assert new.priority_fee_wei > old.priority_fee_wei
    assert new.priority_fee_wei <= new.max_fee_wei
    assert cap is None or new.max_fee_wei <= cap


@broken_by(lambda: patch.object(fees, "one_price", lambda ours: ours))
def test_a_strangers_legacy_transaction_that_no_block_takes_is_outbid() -> None:
    """smartcontractkit/chainlink pull 2509: bumps below the node's minimum, here what a stranger offered, as the simulator found.

    Its tip is higher than ours would have been after all its bumps, and it sits below the base fee and keeps the nonce.
    """
    stage = Stage(fees={"min_priority_fee_wei": 1})

    def pushed_out(_: ev.BroadcastAccepted) -> None:
        stage.from_outside(1, max_fee_wei=4 * GWEI, tip_wei=4 * GWEI)
        stage.chain.jump_fees(10)

    stage.when(ev.BroadcastAccepted, pushed_out, where=lambda it: it.nonce == 1)
    stage.play()
    assert AnswerClass.REPLACEMENT_UNDERPRICED in {it.error_class for it in stage.events(ev.BroadcastFailed)}
    assert stage.mined()[1].hash in {it.hash for it in stage.attempts_at(1) if it.purpose == "action"}
    assert all(it.fees.priority_fee_wei <= it.fees.max_fee_wei for it in stage.events(ev.TransactionSigned))


class Strict(Node):
    """Refuses what does not pay the next block's base fee, as nodes do."""

    def _take(self, tx: Tx) -> None:
        self.habits.refuses_below_base_fee = True
        super()._take(tx)


def _it_is_said_each_time() -> AbstractContextManager[Any]:
    say = Follower._say_once

    async def again(self: Follower, slot: Any, pursuit: Pursuit, error_class: str, message: str) -> None:
        pursuit.said.clear()
        await say(self, slot, pursuit, error_class, message)

    return patch.object(Follower, "_say_once", again)


def _at_the_cap(node: type[Node]) -> list[float]:
    """A story in which only a bump over the cap would help, for 250 seconds. How long it waits between sends."""
    stage = Stage(node=node, fees={"max_fee_wei": CAP_WEI}, secs=300)

    def forbidding(_: ev.BroadcastAccepted) -> None:
        stage.chain.jump_fees(1000)
        stage.at(250, lambda: stage.chain.jump_fees(1 / 1000))

    stage.when(ev.BroadcastAccepted, forbidding, where=lambda it: it.nonce == 1)
    stage.play()
    said = [it for it in stage.events(ev.ErrorRecorded) if it.error_class == "fee_cap"]
    assert len(said) == 1
    assert all(each.fees.max_fee_wei <= CAP_WEI for each in stage.events(ev.TransactionSigned))
    attempts = stage.attempts_at(1)
    assert len(attempts) <= 2
    assert stage.mined()[1].nonce == 1
    newest = [at for at, tx in stage.sent if tx.hash == attempts[-1].hash]
    return [later - earlier for earlier, later in itertools.pairwise(newest)]


@broken_by(_it_is_said_each_time)
def test_at_the_cap_it_says_so_once_and_waits() -> None:
    """nucypher/nucypher issue 2398 and smartcontractkit/chainlink pull 2509: a busy loop when the ceiling was reached."""
    assert min(_at_the_cap(Node)[1:]) > 5


@broken_by(lambda: patch.object(Pursuit, "back_off", lambda *_: None))
def test_at_the_cap_a_node_that_refuses_is_asked_ever_more_seldom() -> None:
    """nucypher/nucypher issue 2398 and smartcontractkit/chainlink pull 2509: a busy loop when the ceiling was reached."""
    gaps = _at_the_cap(Strict)
    assert len(gaps) < 15
    assert max(gaps) > 30


@broken_by(lambda: patch.object(replacements, "CHEAPER_PERCENT", 10**6))
def test_over_the_nodes_own_cap_the_fee_is_lowered_not_raised() -> None:
    """nucypher/nucypher issue 2398: a higher fee was over the node's configured cap, again and again."""

    class Thrifty(Node):
        def _take(self, tx: Tx) -> None:
            if tx.body.fees.max_fee_wei > 50 * GWEI:
                raise RpcError(-32000, "tx fee (1.1 ether) exceeds the configured cap (1.0 ether)")
            super()._take(tx)

    stage = Stage(node=Thrifty, secs=200)

    def dear(_: ev.ActionSucceeded) -> None:
        stage.chain.head.next_base_fee_wei = 40 * GWEI  # twice that is what a transaction offers
        stage.at(60, lambda: stage.chain.jump_fees(1 / 10))

    stage.when(ev.ActionSucceeded, dear)
    stage.play()
    refused = [it for it in stage.events(ev.BroadcastFailed) if it.error_class is AnswerClass.NODE_FEE_CAP]
    assert 0 < len(refused) < 10
    nonce = refused[0].nonce
    fees_offered = [it.fees.max_fee_wei for it in stage.attempts_at(nonce)]
    assert fees_offered[-1] < fees_offered[0]
    assert consecutive([tx.nonce for tx in stage.mined()])


@broken_by(planted.never_replace_what_is_stuck)
def test_fees_follow_the_base_fee_up_to_the_cap() -> None:
    """INFURA/infura issue 219: underpriced during a jump of the base fee."""

    stage = Stage(node=Strict, fees={"max_fee_wei": 200 * GWEI})
    stage.when(ev.BroadcastAccepted, lambda _: stage.chain.jump_fees(50), where=lambda it: it.nonce == 1)
    stage.play()
    signed = stage.events(ev.TransactionSigned)
    assert all(each.fees.max_fee_wei <= 200 * GWEI for each in signed)
    low, high = signed[0].fees.max_fee_wei, max(each.fees.max_fee_wei for each in signed)
    assert high > 20 * low
    for block, done in stage.chain.canonical_transactions():
        assert done.tx.body.fees.max_fee_wei >= block.base_fee_wei
    later = [each for each in signed if each.attempt == 1 and each.nonce > 1]
    assert later
    assert all(each.fees.max_fee_wei > low for each in later[:1])


def _the_same_again_for_ever() -> AbstractContextManager[Any]:
    def replacement(slot: Any, policy: SlotPolicy, why: str, purpose: ev.Purpose = "action") -> Replace:
        return Replace("action", why)

    return patch.object(slots, "_replacement", replacement)


def refused_outright(node: Node, tx: Tx) -> None:
    raise RpcError(-32000, "exceeds block gas limit")


def taken_and_never_mined(node: Node, tx: Tx) -> None:
    node.pool.offer(tx)


@pytest.mark.parametrize("poisoned", [refused_outright, taken_and_never_mined])
@broken_by(_the_same_again_for_ever)
def test_a_poisoned_transaction_ends_in_a_cancel_and_the_next_one_goes(poisoned: Any) -> None:
    """genlayerlabs/genlayer-studio pull 1601.

    One poisoned transaction was reset and stuck again for ever, blocking all behind it.
    """

    class Poisoned(Node):
        def _take(self, tx: Tx) -> None:
            if tx.nonce == 1 and tx.effect is not None:
                poisoned(self, tx)
            else:
                super()._take(tx)

    stage = Stage(node=Poisoned, secs=STORY_SECS)
    Poisoned.announce = lambda self: None  # type: ignore[method-assign]
    stage.play()
    attempts = stage.attempts_at(1)
    assert [it.purpose for it in attempts][-1] == "cancel"
    assert sum(it.purpose == "action" for it in attempts) <= 4
    assert stage.mined()[1].hash == attempts[-1].hash
    failed = stage.events(ev.ActionFailed)[0]
    assert (failed.action_id, failed.reason) == (attempts[0].action_id, "cancelled")
    assert stage.mined()[2].nonce == 2
