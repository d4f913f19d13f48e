"""What vanished from a pool is noticed, and sent again; a gap that nobody else will fill is filled."""

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from ghostfleet.domain import events as ev
from ghostfleet.domain.slot import SlotPolicy
from ghostfleet.engine import follow
from ghostfleet.engine.gaps import FILL_GAP
from tests.incidents.staged_fleet import ADDRESS, Stage, broken_by, consecutive
from tests.simulation import planted
from tests.simulation.chain import Tx
from tests.simulation.node import Node, RpcError

GAP = 24


@broken_by(planted.what_was_dropped_is_gone)
def test_a_transaction_dropped_for_its_low_fee_is_noticed_and_sent_again() -> None:
    """BoltzExchange/boltz-backend issue 1201: transactions dropped for low fees, and everything behind them waited for ever."""

    class Pricey(Node):
        """Evicts what does not pay the next block's base fee."""

        def _follow(self, block: Any) -> None:
            super()._follow(block)
            for pool in (self.pool, stage.chain.pool):
                for key, tx in list(pool.waiting.items()):
                    if tx.body.fees.max_fee_wei < self.head.next_base_fee_wei:
                        del pool.waiting[key]

    stage = Stage(node=Pricey, fees={"stuck_after_secs": 60.0})
    stage.when(ev.TransactionSigned, lambda _: stage.chain.jump_fees(100), where=lambda it: it.nonce == 1)
    stage.play()
    assert 1 in [it.nonce for it in stage.events(ev.TransactionDropped)]
    assert {tx.nonce for tx in stage.mined()} == {it.nonce for it in stage.events(ev.TransactionSigned)}
    assert len(stage.attempts_at(1)) > 1  # the same bytes would have been dropped again
    assert consecutive([tx.nonce for tx in stage.mined()])


def _gaps_stay() -> AbstractContextManager[Any]:
    async def stay(*_: Any) -> bool:
        return False

    return patch.object(follow, "fill_gap", stay)


@broken_by(_gaps_stay)
def test_a_gap_of_24_nonces_in_front_of_ours_is_filled() -> None:
    """BoltzExchange/boltz-backend issue 1201, smartcontractkit/chainlink-starknet pull 646, status-im/status-web issue 1314.

    Transactions dropped for low fees left a gap of 24 nonces; nodes accept what is behind a gap and say nothing; the local nonce
    was never lowered. Our own slots cannot leave such a gap: somebody else's transactions, dropped later, can.
    """
    stage = Stage(secs=60)

    def strangers(first: int) -> None:
        for nonce in range(first, first + GAP):
            stage.from_outside(nonce, max_fee_wei=1, tip_wei=1)
        stage.when(ev.TransactionSigned, lambda _: stage.drop(*range(first, first + GAP)))

    stage.when(ev.ActionSucceeded, lambda _: strangers(stage.chain.head.nonce(ADDRESS)))
    stage.play()
    behind = next(it for it in stage.events(ev.TransactionSigned) if it.nonce > GAP)
    filled = [it.params["nonce"] for it in stage.events(ev.ActionDecided) if it.kind == FILL_GAP]
    assert filled == list(range(behind.nonce - GAP, behind.nonce))
    assert consecutive([tx.nonce for tx in stage.mined()])
    assert behind.hash in {tx.hash for tx in stage.mined()}
    accepted = [it for it in stage.events(ev.BroadcastAccepted) if it.hash == behind.hash]
    assert accepted  # the node had said nothing of a gap


def _settled_by_hash_only() -> AbstractContextManager[Any]:
    async def by_hash_only(*_: Any) -> None:
        return

    return patch.object(follow.Follower, "_settle_by_nonce", by_hash_only)


@broken_by(_settled_by_hash_only)
def test_a_slot_is_settled_by_its_nonce_where_its_hash_tells_nothing() -> None:
    """smartcontractkit/chainlink-starknet pull 646: a transaction behind a silent gap is neither known nor ever mined."""
    stage = Stage()

    def overtaken(signed: ev.TransactionSigned) -> None:
        stage.from_outside(signed.nonce, mine=True)
        stage.nodes[0].head = stage.chain.head

    stage.when(ev.TransactionSigned, overtaken, where=lambda it: it.nonce == 2)
    stage.play()
    assert [it.nonce for it in stage.events(ev.TransactionSuperseded)] == [2]
    assert consecutive([tx.nonce for tx in stage.mined()])


class Forgetting(Node):
    """Answers the question for a transaction by hash as the test says, and keeps what it takes to itself at first."""

    private, failing = True, False
    asked = 0

    def _eth_getTransactionByHash(self, tx: str) -> dict[str, Any] | None:  # the method's name on the wire
        self.asked += 1
        if self.failing:
            raise RpcError(-32000, "missing trie node")
        return super()._eth_getTransactionByHash(tx)

    def _pass_on(self, tx: Tx) -> None:
        if not self.private:
            super()._pass_on(tx)


@broken_by(planted.a_null_receipt_means_dropped)
def test_dropped_needs_several_answers_of_the_node_that_took_it_and_its_failures_do_not_count() -> None:
    """status-im/status-web issue 1314 and pull 1316: receipts were asked from a node that never saw the transaction."""
    stage = Stage(node=Forgetting, endpoints=2, secs=200, fees={"stuck_after_secs": 1000.0})
    nodes: dict[str, Forgetting] = {}
    for (name, [node]), _ in zip(stage.promises.nodes.items(), stage.sites, strict=True):
        assert isinstance(node, Forgetting)
        nodes[name] = node
    stage.chain.stalled = True
    moments: dict[str, float] = {}

    def taken(event: ev.BroadcastAccepted) -> None:
        node = nodes[event.endpoint]
        stage.at(60, lambda: setattr(node, "failing", True))
        stage.at(110, lambda: setattr(node, "failing", False))
        stage.at(110, forget)

    def forget() -> None:
        moments["forgotten"] = stage.universe.now
        for node in nodes.values():
            node.private = False
        stage.drop()

    stage.when(ev.BroadcastAccepted, taken)
    stage.when(ev.TransactionDropped, lambda _: moments.update(dropped=stage.universe.now))
    stage.play()
    first = stage.events(ev.BroadcastAccepted)[0]
    dropped = stage.events(ev.TransactionDropped)[0]
    assert moments["dropped"] > moments["forgotten"]
    assert (dropped.hash, dropped.endpoint) == (first.hash, first.endpoint)
    others = [node for name, node in nodes.items() if name != first.endpoint]
    assert [node.unknown.get(first.hash, 0) for node in others] == [0]
    assert nodes[first.endpoint].unknown[first.hash] >= SlotPolicy().unknown_answers_mean_dropped
    assert {tx.hash for tx in stage.sends_of(0)} == {first.hash}
