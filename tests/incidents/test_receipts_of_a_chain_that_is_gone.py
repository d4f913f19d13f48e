"""A receipt counts only while its block is in the chain."""

from typing import Any

from ghostfleet.domain import events as ev
from tests.incidents.staged_fleet import Stage, broken_by, consecutive
from tests.simulation import planted
from tests.simulation.chain import Block
from tests.simulation.node import Node, _hash, _receipt


class Nostalgic(Node):
    """Answers with the receipt of the first block that ever held a transaction, as geth did."""

    believes = True

    def _eth_getTransactionReceipt(self, tx: str) -> dict[str, Any] | None:
        held = self._chain.containing.get(_hash(tx), [])
        if self.believes and held:
            return _receipt(self._chain, _hash(tx), held[0])
        return super()._eth_getTransactionReceipt(tx)


@broken_by(planted.receipts_of_any_block_count)
def test_a_receipt_of_a_block_that_is_gone_counts_for_nothing() -> None:
    """ethereum/go-ethereum issue 1746: a receipt for a block that is no longer in the chain."""
    stage = Stage(node=Nostalgic, fees={"stuck_after_secs": 300.0}, secs=200)
    node = stage.nodes[0]
    assert isinstance(node, Nostalgic)
    gone: list[Block] = []

    def take_back() -> None:
        """The block of nonce 1 is taken back, and the transaction with it; it comes to be mined again 30 s later."""
        block = stage.chain.head
        tx = next((it.tx for it in block.done if it.tx.nonce == 1), None)
        if tx is None:
            stage.at(0.1, take_back)
            return
        gone.append(block)
        stage.chain.inclusion = -1.0
        stage.chain.reorganise(1)
        stage.at(30, lambda: setattr(stage.chain, "inclusion", 1.0))
        stage.at(200, lambda: setattr(node, "believes", False))

    stage.when(ev.BroadcastAccepted, lambda _: stage.at(0.1, take_back), where=lambda it: it.nonce == 1)

    def of_the_chain(mined: ev.TransactionMined) -> None:
        assert not gone or mined.block.hash != gone[0].hash

    stage.always(ev.TransactionMined, of_the_chain)
    stage.play()
    assert gone
    tx = stage.mined()[1].hash
    block = stage.block_with(tx)
    assert block is not None
    assert block is not gone[0]
    found = [it for it in stage.events(ev.TransactionMined) if it.nonce == 1]
    assert [(it.hash, it.block.hash) for it in found] == [(tx, block.hash)]
    assert consecutive([it.nonce for it in stage.mined()])
    said = [it for it in stage.events(ev.ErrorRecorded) if it.error_class == "receipt_missing"]
    assert len(said) == 1
    assert str(tx) in said[0].message


@broken_by(planted.ignore_reorganisations)
def test_a_receipt_whose_block_is_taken_back_counts_no_more() -> None:
    """ethereum/go-ethereum issue 1746: believed while its block was in the chain, taken back with it."""
    stage = Stage(fees={"stuck_after_secs": 300.0})
    gone: list[Block] = []

    def take_back(mined: ev.TransactionMined) -> None:
        gone.append(stage.chain.by_hash[mined.block.hash])
        stage.chain.inclusion = -1.0
        stage.at(0.1, lambda: stage.chain.reorganise(stage.chain.head.number - mined.block.number + 1))
        stage.at(60, lambda: setattr(stage.chain, "inclusion", 1.0))

    stage.when(ev.TransactionMined, take_back, where=lambda it: it.nonce == 1)
    stage.play()
    reorged = stage.events(ev.TransactionReorged)
    assert [(it.nonce, it.block.hash) for it in reorged] == [(1, gone[0].hash)]
    last = [it for it in stage.events(ev.TransactionMined) if it.nonce == 1][-1]
    assert stage.block_with(last.hash) is stage.chain.by_hash[last.block.hash]
    assert {tx.hash for tx in stage.sends_of(1)} == {reorged[0].hash}
    assert consecutive([it.nonce for it in stage.mined()])
