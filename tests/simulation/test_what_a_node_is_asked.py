"""What a transaction costs in questions: endpoints count them, and public ones limit them."""

from itertools import pairwise
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


class Accountant(Node):
    """Remembers what balances it told, which may be less than there is."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.answered: list[int] = []
        self.dearest_wei = 0
        """What the dearest transaction may cost at most."""
        self.most_wei = 10**30
        """No balance is told to be more."""

    def _eth_sendRawTransaction(self, raw: str) -> str:
        self.dearest_wei = max(self.dearest_wei, self._chain.decode(bytes.fromhex(raw[2:])).worst_cost_wei)
        return super()._eth_sendRawTransaction(raw)

    def _eth_getBalance(self, address: str, tag: str) -> str:
        self.answered.append(min(int(super()._eth_getBalance(address, tag), 16), self.most_wei))
        return hex(self.answered[-1])


def decisions(stage: Stage) -> list[tuple[int, ev.ActionDecided]]:
    return [(it.time_us, it.event) for it in stage.recorded if isinstance(it.event, ev.ActionDecided)]


def test_a_wallet_that_acts_again_within_ten_seconds_is_not_asked_about_again() -> None:
    stage = Stage(node=Accountant, secs=900.0)
    stage.play()
    [node] = stage.nodes
    assert isinstance(node, Accountant)
    kept = [(time_us, it) for time_us, it in decisions(stage) if it.balance_read_us]
    asked = [it for _, it in decisions(stage) if not it.balance_read_us]
    assert len(kept) > 3
    assert len(asked) > 3
    assert all(0 < time_us - it.balance_read_us < 10_500_000 for time_us, it in kept)
    assert len(asked) <= len(node.answered) < len(asked) + 5, "a few came to nothing: a rest, a rejection"


def test_what_is_left_of_a_reading_parks_no_wallet() -> None:
    dearest_wei = 0
    for most_wei in (10**30, 0):
        stage = Stage(node=Accountant, secs=900.0)
        [node] = stage.nodes
        assert isinstance(node, Accountant)
        node.most_wei = most_wei or dearest_wei * 5 // 4
        stage.play()
        dearest_wei = node.dearest_wei
    assert stage.events(ev.WalletParked) == []
    times = [time_us for time_us, it in decisions(stage) if not it.balance_read_us]
    assert any(later - earlier < 10_000_000 for earlier, later in pairwise(times)), "asked again before its time"
