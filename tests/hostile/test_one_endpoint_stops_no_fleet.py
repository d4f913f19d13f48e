"""One endpoint of two says no to everything, for ever and in a friendly way: the other one does what is to be done."""

from collections.abc import Callable
from typing import Any

import pytest

from ghostfleet.chain.endpoints import LONGEST_LIMIT_SECS
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import SECOND_US
from tests.incidents.staged_fleet import ADDRESS, Stage, consecutive
from tests.simulation.chain import Tx
from tests.simulation.node import Node, RpcError

Refuse = Callable[[Any], None]


class Odd(Node):
    """Of two nodes the preferred one answers some methods with this error, and the other one does not."""

    error: tuple[int, str]
    methods: tuple[str, ...]

    def call(self, method: str, params: list[Any], answer: Refuse, refuse: Refuse) -> None:
        if self.peers and self.name == min(self.name, self.peers[0].name) and method.startswith(self.methods):
            refuse(RpcError(*self.error))
        else:
            super().call(method, params, answer, refuse)


@pytest.mark.parametrize("methods", [("eth_",), ("eth_send",), ("eth_getBlockByNumber", "eth_getTransactionReceipt")])
@pytest.mark.parametrize("error", [(-32603, "Internal error"), (-32000, "This app is inactive")])
def test_an_endpoint_that_refuses_in_unknown_words_holds_nothing_up(
    error: tuple[int, str], methods: tuple[str, ...]
) -> None:
    _acts_all_the_same(error, methods)


@pytest.mark.parametrize("words", ["txpool is full", "insufficient funds for transfer", "nonce too high"])
def test_bytes_that_one_endpoint_refuses_are_sent_to_another(words: str) -> None:
    _acts_all_the_same((-32000, words), ("eth_send",))


class Patient(Node):
    """Asks once to be left alone for a year."""

    asks = False

    def _take(self, tx: Tx) -> None:
        if tx.nonce == 1 and self.asks:
            self.asks = False
            raise RpcError(-32022, "over compute unit limit, retry in 31536000 seconds")
        super()._take(tx)


@pytest.mark.parametrize("endpoints", [1, 2])
def test_a_send_waits_no_longer_for_a_rate_limit_than_the_edge_does(endpoints: int) -> None:
    stage = Stage(node=Patient, endpoints=endpoints)
    first = stage.nodes[0]
    assert isinstance(first, Patient)
    first.asks = True
    stage.play()
    assert not first.asks, "it was said"
    signed, mined = stage.events(ev.TransactionSigned)[1], stage.events(ev.TransactionMined)[1]
    assert mined.hash == signed.hash
    times = {it.event: it.time_us for it in stage.recorded if it.event in (signed, mined)}
    assert times[mined] - times[signed] < (LONGEST_LIMIT_SECS + 60 if endpoints == 1 else 30) * SECOND_US


def _acts_all_the_same(error: tuple[int, str], methods: tuple[str, ...]) -> None:
    odd = type("OddToday", (Odd,), {"error": error, "methods": methods})
    stage = Stage(node=odd, endpoints=2)
    assert stage.nodes[0].name < stage.nodes[1].name, "the first is the preferred one"
    stage.play()
    nonces = [tx.nonce for tx in stage.mined(ADDRESS)]
    assert len(nonces) > 3
    assert consecutive(nonces)
