"""What a transaction costs in questions: endpoints count them, and public ones limit them."""

from typing import Any

import pytest

from ghostfleet.domain import events as ev
from tests.incidents.staged_fleet import Stage
from tests.simulation.node import Node


class Counting(Node):
    """Remembers which questions for a receipt no node could have answered: no block has come since the bytes did."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.came: dict[str, int] = {}
        self.asked = self.in_vain = 0

    def _eth_sendRawTransaction(self, raw: str) -> str:
        tx = super()._eth_sendRawTransaction(raw)
        self.came[tx] = self.head.number
        return tx

    def _eth_getTransactionReceipt(self, tx: str) -> dict[str, Any] | None:
        self.asked += 1
        self.in_vain += self.came.get(tx) == self.head.number
        return super()._eth_getTransactionReceipt(tx)


def test_no_receipt_is_looked_for_before_a_block_can_have_it() -> None:
    stage = Stage(node=Counting, wallets=3)
    stage.play()
    [node] = stage.nodes
    assert isinstance(node, Counting)
    mined = stage.events(ev.TransactionMined)

    assert len(mined) > 20
    assert node.in_vain == 0


class Secretive(Node):
    """Its headers name no transactions: `None` leaves the field out, a list is what they say instead."""

    says: list[str] | None

    def _eth_getBlockByNumber(self, tag: str, full: bool) -> dict[str, Any] | None:
        block = super()._eth_getBlockByNumber(tag, full)
        if block is None or full:
            return block
        others = {name: value for name, value in block.items() if name != "transactions"}
        return others if self.says is None else others | {"transactions": self.says}


@pytest.mark.parametrize("says", [None, [], ["0x" + "77" * 32], ["not a hash"]])
def test_a_node_whose_headers_do_not_name_it_costs_time_and_no_transaction(says: list[str] | None) -> None:
    node = type("Secretive", (Secretive,), {"says": says})
    stage = Stage(node=node, fees={"stuck_after_secs": 300.0})
    stage.play()
    mined = stage.events(ev.TransactionMined)
    assert len(mined) > 3
    assert all(it.attempt == 1 for it in mined)
    assert [it.error_class for it in stage.events(ev.ErrorRecorded)] == []
