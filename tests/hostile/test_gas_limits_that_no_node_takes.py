"""A gas limit that is nonsense, by an estimate or by the settings: what is signed with it can never land, and its slot ends."""

from typing import Any

import pytest

from ghostfleet.domain import events as ev
from tests.incidents.staged_fleet import ADDRESS, Stage, consecutive
from tests.simulation.chain import BLOCK_GAS, Tx
from tests.simulation.node import Node, RpcError


class Node30M(Node):
    """As full as a block, and no fuller."""

    estimates: str | None = None
    serves_estimates = True

    def _eth_estimateGas(self, request: dict[str, str]) -> str:
        if not self.serves_estimates:
            raise RpcError(-32601, "the method eth_estimateGas does not exist/is not available")
        return self.estimates or super()._eth_estimateGas(request)

    def _take(self, tx: Tx) -> None:
        if tx.body.gas > BLOCK_GAS:
            raise RpcError(-32000, "exceeds block gas limit")
        super()._take(tx)


def _ends_its_slots(stage: Stage) -> None:
    stage.play()
    refused = [it.nonce for it in stage.events(ev.BroadcastFailed) if it.error_class == "malformed"]
    assert refused, "what was signed could not land"
    nonces = [tx.nonce for tx in stage.mined(ADDRESS)]
    assert len(nonces) > refused[0] + 1
    assert consecutive(nonces)


@pytest.mark.parametrize("serves_estimates", [True, False])
@pytest.mark.parametrize("override", [20_000, BLOCK_GAS + 1])
def test_a_configured_gas_limit_that_no_node_takes_keeps_no_slot_open(override: int, serves_estimates: bool) -> None:
    stage = Stage(node=Node30M, chain={"gas_limit_override": override})
    node: Any = stage.nodes[0]
    node.serves_estimates = serves_estimates
    _ends_its_slots(stage)


def test_what_no_node_takes_trips_the_breaker_and_is_not_paid_for_again_and_again() -> None:
    stage = Stage(node=Node30M, chain={"gas_limit_override": 20_000}, secs=300)
    _ends_its_slots(stage)
    errors = [it for it in stage.events(ev.ErrorRecorded) if it.error_class == "malformed"]
    cancelled = [it for it in stage.events(ev.ActionFailed) if it.reason == "cancelled"]
    trips = stage.events(ev.BreakerTripped)
    assert len(errors) == len(cancelled) + len(stage.wallet().pending)
    assert len(errors) > trips[0].errors == 5
    assert len(trips) == len(errors) - 4, "five in a row, and then each probe"


@pytest.mark.parametrize("estimate", ["0x0", "0x64", hex(BLOCK_GAS)])
def test_an_estimate_that_was_nonsense_for_a_while_keeps_no_slot_open(estimate: str) -> None:
    """All cancels that a slot may have are signed within seconds: with the same estimate none of them could land, ever."""
    stage = Stage(node=Node30M)
    node: Any = stage.nodes[0]
    stage.at(20, lambda: setattr(node, "estimates", estimate))
    stage.at(60, lambda: setattr(node, "estimates", None))
    _ends_its_slots(stage)
