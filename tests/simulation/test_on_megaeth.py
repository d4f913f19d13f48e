"""On MegaETH a plain transfer takes 60,000 gas, and a node refuses any transaction with less: what gives a nonce away has to
have it, also where no node estimates it. Bytes go by the method that waits for the receipt where both settings say so."""

from typing import Any

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.engine.gaps import FILL_GAP
from tests.incidents.staged_fleet import ADDRESS, Stage, consecutive
from tests.simulation.chain import Tx
from tests.simulation.node import Answer, Node, RpcError

MEGAETH_GAS = 60_000
MEGAETH = {"megaeth": True}


class WillNotEstimate(Node):
    """Has no estimate for a transfer to oneself, and takes nothing of nonce 1 but what gives it away."""

    def _eth_estimateGas(self, request: dict[str, str]) -> str:
        if request["from"] == request["to"]:
            raise RpcError(-32000, "execution reverted")
        return super()._eth_estimateGas(request)

    def _take(self, tx: Tx) -> None:
        if tx.nonce == 1 and tx.effect is not None:
            raise RpcError(-32000, "oversized data")
        super()._take(tx)


def on_megaeth(node: type[Node] = WillNotEstimate, **chain: Any) -> Stage:
    stage = Stage(node=node, chain=MEGAETH | chain)
    stage.chain.transfer_gas = MEGAETH_GAS
    return stage


def test_a_cancel_lands() -> None:
    stage = on_megaeth()
    stage.play()
    cancels = [it for it in stage.attempts_at(1) if it.purpose == "cancel"]
    assert [it.gas for it in cancels] == [MEGAETH_GAS]
    assert stage.mined()[1].hash == cancels[0].hash
    assert consecutive([tx.nonce for tx in stage.mined()])


def test_a_gap_is_filled() -> None:
    stage = on_megaeth()

    def a_stranger() -> None:
        nonce = stage.chain.head.nonce(ADDRESS)
        stage.from_outside(nonce, max_fee_wei=1, tip_wei=1)
        stage.when(ev.TransactionSigned, lambda _: stage.drop(nonce))

    stage.when(ev.ActionSucceeded, lambda _: a_stranger(), where=lambda it: it.action_id.endswith("/3"))
    stage.play()
    (filled,) = [it.params["nonce"] for it in stage.events(ev.ActionDecided) if it.kind == FILL_GAP]
    (given_away,) = stage.attempts_at(filled)
    assert given_away.gas == MEGAETH_GAS
    assert given_away.hash in {tx.hash for tx in stage.mined()}
    assert consecutive([tx.nonce for tx in stage.mined()])


class Asked(Node):
    """Writes down by which methods bytes were sent to it."""

    by: set[str]

    def call(self, method: str, params: list[Any], answer: Answer, refuse: Any) -> None:
        if "send" in method:
            self.by.add(method)
        super().call(method, params, answer, refuse)


@pytest.mark.parametrize("megaeth", [True, False])
@pytest.mark.parametrize("realtime", [True, False])
def test_a_send_waits_for_its_receipt_where_the_settings_say_megaeth_and_realtime(
    megaeth: bool, realtime: bool
) -> None:
    Asked.by = set()
    stage = Stage(node=Asked, chain={"megaeth": megaeth, "use_realtime": realtime}, secs=30)
    stage.nodes[0].habits.sync = True
    stage.play()
    waits = megaeth and realtime
    assert Asked.by == {"eth_sendRawTransactionSync" if waits else "eth_sendRawTransaction"}
