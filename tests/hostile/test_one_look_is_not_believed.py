"""An answer of the right shape that is not true, once: nothing follows from it."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.engine.gaps import FILL_GAP
from tests.incidents.staged_fleet import ADDRESS, Stage, consecutive
from tests.simulation.node import Node


class Overstating(Node):
    """Says once, and only once, that the wallet has used more nonces than it has."""

    by = 0
    at = 2

    def _eth_getTransactionCount(self, address: str, tag: str) -> str:
        count = int(super()._eth_getTransactionCount(address, tag), 16)
        if count == self.at and tag == "pending" and self.by:
            count, self.by = count + self.by, 0
        return hex(count)


@pytest.mark.parametrize("by", [1, 7, 2**60])
def test_a_nonce_that_one_answer_overstates_is_no_transaction_from_outside(by: int) -> None:
    stage = Stage(node=Overstating)
    node = stage.nodes[0]
    assert isinstance(node, Overstating)
    node.by = by
    stage.play()
    assert node.by == 0, "it was said"
    assert stage.events(ev.NonceResynced) == []
    nonces = [tx.nonce for tx in stage.mined(ADDRESS)]
    assert len(nonces) > 3
    assert consecutive(nonces)


@pytest.mark.parametrize("by", [1, 7, 2**60])
def test_the_first_nonce_of_a_wallet_is_not_taken_from_one_answer(by: int) -> None:
    """The log never goes back: with 2**60 as its first nonce a wallet would have no other, ever."""
    stage = Stage(node=Overstating)
    node = stage.nodes[0]
    assert isinstance(node, Overstating)
    node.by, node.at = by, 0
    stage.play()
    assert node.by == 0, "it was said"
    nonces = [tx.nonce for tx in stage.mined(ADDRESS)]
    assert len(nonces) > 3
    assert consecutive(nonces)
    assert all(each.kind != FILL_GAP for each in stage.events(ev.ActionDecided))
