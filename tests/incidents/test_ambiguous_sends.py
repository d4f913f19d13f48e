"""Nobody knows whether the bytes arrived: then the same bytes go out again, and nothing else does."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.engine.follow import Follower
from tests.incidents.staged_fleet import Stage, broken_by, consecutive
from tests.simulation import planted
from tests.simulation.chain import Tx
from tests.simulation.node import Node, RpcError

Trouble = Callable[["Doubtful", Tx], None]


class Doubtful(Node):
    """Does with bytes what the test says, until its patience with the service comes back."""

    trouble: Trouble | None = None
    heard = 0

    def _take(self, tx: Tx) -> None:
        self.heard += 1
        if self.trouble is not None:
            self.trouble(self, tx)
            return
        super()._take(tx)

    def keep(self, tx: Tx) -> None:
        super()._take(tx)


def swallows_and_complains(node: Doubtful, tx: Tx) -> None:
    raise RpcError(-32000, "something went wrong")


def takes_and_complains(node: Doubtful, tx: Tx) -> None:
    node.keep(tx)
    raise RpcError(-32000, "internal error: upstream hung up")


def swallows_and_hangs_up(node: Doubtful, tx: Tx) -> None:
    return  # see the weather below


@pytest.mark.parametrize("trouble", [swallows_and_complains, takes_and_complains, swallows_and_hangs_up])
@broken_by(planted.sign_anew_after_a_timeout)
def test_an_ambiguous_send_is_retried_with_the_same_bytes_only(trouble: Trouble) -> None:
    """gear-tech/gear-bridges pull 842.

    A cached nonce moved on after submissions vanished from the pool; retries made duplicates at higher nonces.
    """
    stage = Stage(node=Doubtful, fees={"stuck_after_secs": 300.0})
    node = stage.nodes[0]
    assert isinstance(node, Doubtful)
    node.trouble = trouble
    stage.at(60, lambda: setattr(node, "trouble", None))
    stage.chain.stalled = trouble is takes_and_complains
    stage.at(60, lambda: setattr(stage.chain, "stalled", False))
    if trouble is swallows_and_hangs_up:
        stage.sites[0].weather.cut = 0.5
        stage.at(60, lambda: setattr(stage.sites[0].weather, "cut", 0.0))
    stage.play()
    first = [at for at, tx in stage.sent if tx.nonce == 0]
    assert len(first) > 1
    assert len({tx.hash for tx in stage.sends_of(0)}) == 1
    assert {tx.nonce for at, tx in stage.sent if at < first[-1]} == {0}
    assert consecutive([tx.nonce for tx in stage.mined()])
    assert all(len(stage.attempts_at(tx.nonce)) == 1 for tx in stage.mined())


def _what_was_lost_is_signed_anew() -> AbstractContextManager[Any]:
    write = Follower._write

    async def and_again(self: Follower, slot: Any, event: ev.Event) -> None:
        await write(self, slot, event)
        if isinstance(event, ev.TransactionDropped):
            await planted._send_anew(self, slot.nonce)

    return patch.object(Follower, "_write", and_again)


@broken_by(_what_was_lost_is_signed_anew)
def test_losing_and_regaining_a_node_changes_nothing() -> None:
    """omni/poa-bridge issue 27: after the node was restarted, the last transactions were sent twice."""
    stage = Stage(secs=150, fees={"stuck_after_secs": 300.0})
    site, node = stage.sites[0], stage.nodes[0]
    stage.chain.stalled = True

    def restarted(_: ev.BroadcastAccepted) -> None:
        site.weather.down = True
        stage.at(2, stage.drop)
        stage.at(45, back)

    def back() -> None:
        site.weather.down, stage.chain.stalled = False, False
        node.head = stage.chain.head

    stage.when(ev.BroadcastAccepted, restarted)
    stage.play()
    assert len(stage.sends_of(0)) > 1
    assert {tx.hash for tx in stage.sends_of(0)} == {stage.mined()[0].hash}
    assert consecutive([tx.nonce for tx in stage.mined()])
    assert [it.nonce for it in stage.events(ev.TransactionSigned)] == [tx.nonce for tx in stage.mined()]
