"""The second endpoint is one of another chain, where the same key is in use. The first one is down for a while."""

from hashlib import sha256
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from tests.incidents.staged_fleet import ADDRESS, Stage, consecutive
from tests.simulation.node import Node, RpcError

OTHER_CHAIN = 4326


def _block_hash(number: int) -> str:
    return "0x" + sha256(b"another chain's block %d" % number).hexdigest()


class Elsewhere(Node):
    """Of two nodes the second one is another chain's: so many blocks ahead, with so many transactions of the wallet."""

    ahead = 0
    used = 0

    @property
    def _of_another_chain(self) -> bool:
        return bool(self.peers) and self.name > self.peers[0].name

    def _eth_chainId(self) -> str:
        return hex(OTHER_CHAIN) if self._of_another_chain else super()._eth_chainId()

    def _eth_getTransactionCount(self, address: str, tag: str) -> str:
        return hex(self.used) if self._of_another_chain else super()._eth_getTransactionCount(address, tag)

    def _eth_getBlockByNumber(self, tag: str, full: bool) -> dict[str, Any] | None:
        if not self._of_another_chain:
            return super()._eth_getBlockByNumber(tag, full)
        newest = self.head.number + self.ahead
        number = newest if tag == "latest" else int(tag, 16)
        if not 0 <= number <= newest:
            return None
        return {
            "number": hex(number),
            "hash": _block_hash(number),
            "parentHash": _block_hash(number - 1),
            "timestamp": hex(self.head.time_secs),
            "baseFeePerGas": hex(10**9),
            "gasLimit": hex(30_000_000),
            "transactions": [],
        }

    def _eth_getTransactionReceipt(self, tx: str) -> dict[str, Any] | None:
        return None if self._of_another_chain else super()._eth_getTransactionReceipt(tx)

    def _eth_getTransactionByHash(self, tx: str) -> dict[str, Any] | None:
        return None if self._of_another_chain else super()._eth_getTransactionByHash(tx)

    def _eth_sendRawTransaction(self, raw: str) -> str:
        if self._of_another_chain:
            raise RpcError(-32000, "invalid chain id for signer: have 31337 want 4326")
        return super()._eth_sendRawTransaction(raw)


@pytest.mark.parametrize("ahead", [-5, 0, 10**6])
@pytest.mark.parametrize("used", [0, 40])
def test_nothing_that_it_says_is_believed_and_it_is_left_alone(ahead: int, used: int) -> None:
    """It was: what had happened was taken back, given up to a stranger, and decided anew at the next nonce."""
    elsewhere = type("ElsewhereToday", (Elsewhere,), {"ahead": ahead, "used": used})
    stage = Stage(node=elsewhere, endpoints=2, secs=240)
    stage.at(30, lambda: setattr(stage.sites[0].weather, "down", True))
    stage.at(100, lambda: setattr(stage.sites[0].weather, "down", False))
    stage.play()
    for kind in (ev.ChainReorganised, ev.TransactionReorged, ev.TransactionSuperseded, ev.NonceResynced):
        assert stage.events(kind) == []
    tripped = {it.endpoint: it.reason for it in stage.events(ev.EndpointTripped)}
    assert tripped["site1"] == f"it serves chain {OTHER_CHAIN}, not 31337"
    nonces = [tx.nonce for tx in stage.mined(ADDRESS)]
    assert len(nonces) > 3
    assert consecutive(nonces)
