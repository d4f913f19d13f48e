"""A nonce is owned by a slot in the log, not by a counter: nothing is skipped, nothing drifts, nothing has to be recycled."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import AnswerClass
from ghostfleet.engine import follow, lane
from ghostfleet.engine.follow import Follower
from ghostfleet.engine.gaps import FILL_GAP
from ghostfleet.engine.lane import Lane
from ghostfleet.engine.pursuit import Pursuit
from tests.incidents.staged_fleet import ADDRESS, Stage, broken_by, consecutive, replace
from tests.simulation import planted
from tests.simulation.chain import Block, Tx
from tests.simulation.node import Node, RpcError
from tests.simulation.settings import ADDRESSES, NAMES


@broken_by(planted.count_the_nonce_at_preparation)
def test_whatever_fails_between_preparation_and_broadcast_burns_no_nonce() -> None:
    """OpenZeppelin/openzeppelin-relayer issues 683, 818, 843 and pull 844.

    The nonce counter moved when a transaction was prepared; a failure before the broadcast burned the nonce, the counter
    drifted up to 633 above the chain, and a restart did not help.
    """
    stage = Stage(secs=250)

    def disk_full(secs: float) -> None:
        stage.set_full("disk full")
        stage.at(secs, lambda: stage.set_full(""))

    def cut_off(secs: float) -> None:
        stage.sites[0].weather.down = True
        stage.at(secs, lambda: setattr(stage.sites[0].weather, "down", False))

    stage.when(ev.ActionSucceeded, lambda _: disk_full(40))
    stage.at(80, lambda: stage.ask("pause"))
    stage.at(100, lambda: stage.ask("resume"))
    stage.at(120, lambda: disk_full(30))
    stage.when(ev.TransactionSigned, lambda _: cut_off(20), where=lambda it: stage.universe.now > 160)
    stage.when(ev.TransactionSigned, lambda _: stage.kill(), where=lambda it: stage.universe.now > 200)
    stage.play()
    signed = [each.nonce for each in stage.events(ev.TransactionSigned) if each.attempt == 1]
    assert len(signed) > 8
    assert consecutive(signed)
    assert [tx.nonce for tx in stage.mined()] == signed
    assert stage.wallet().next_nonce == stage.chain.head.nonce(ADDRESS)


@broken_by(lambda: patch.object(follow, "TAKEN", frozenset(AnswerClass)))
def test_accepted_stands_in_the_log_only_of_what_a_node_has_taken() -> None:
    """OpenZeppelin/openzeppelin-relayer issue 843: "sent" did not mean that anything had left."""
    stage = Stage()
    stage.when(ev.TransactionSigned, lambda _: setattr(stage.sites[0].weather, "down", True))
    stage.at(40, lambda: setattr(stage.sites[0].weather, "down", False))

    def taken(event: ev.BroadcastAccepted) -> None:
        node = stage.nodes[0]
        assert node.pool.has(event.hash) or stage.block_with(event.hash), f"nobody has {event.hash}"

    stage.always(ev.BroadcastAccepted, taken)
    stage.play()
    first = stage.events(ev.TransactionSigned)[0].hash
    assert [it.error_class for it in stage.events(ev.BroadcastFailed)][:1] == [AnswerClass.ENDPOINT_FAULT]
    assert first in {it.hash for it in stage.events(ev.BroadcastAccepted)}


def _nothing_taken_back() -> AbstractContextManager[Any]:
    """Slots that were taken from outside stay open."""

    async def stay(self: Follower, pending: Any, pursuit: Any) -> None:
        return

    return patch.object(Follower, "_settle_by_nonce", stay)


@broken_by(_nothing_taken_back)
def test_a_nonce_taken_from_outside_while_killed_is_recognised_and_the_wallet_goes_on_behind_it() -> None:
    """joshstevens19/rrelayer issue 36.

    Killed with a transaction in its database; meanwhile something else used that nonce; after the restart "nonce too low"
    for ever.
    """
    stage = Stage()

    def killed(signed: ev.TransactionSigned) -> None:
        stage.kill(down_secs=30)
        stage.at(10, lambda: stage.from_outside(signed.nonce, mine=True))

    stage.when(ev.TransactionSigned, killed, where=lambda it: it.nonce == 1)
    stage.play()
    stranger = stage.strangers[0].hash
    assert [(it.nonce, it.by) for it in stage.events(ev.TransactionSuperseded)] == [(1, stranger)]
    assert [it.hash for it in stage.events(ev.OutsideTransactionSeen)] == [stranger]
    lost, anew = stage.attempts_at(1)[0], stage.attempts_at(2)[0]
    assert anew.action_id != lost.action_id
    assert [it.reason for it in stage.events(ev.ActionFailed)] == ["its nonce was taken from outside"]
    assert anew.hash in {tx.hash for tx in stage.mined()}


@broken_by(planted.a_new_nonce_after_nonce_too_low)
def test_nonce_too_low_is_got_over_without_a_restart() -> None:
    """ava-labs/avalanche-cli issue 2560: "nonce too low" until someone restarted it."""

    class Overtaken(Node):
        def _take(self, tx: Tx) -> None:
            if tx.nonce == 1 and not stage.strangers:
                stage.from_outside(1, mine=True)
                self.head = stage.chain.head
            super()._take(tx)

    stage = Stage(node=Overtaken)
    outcome = stage.play()
    assert AnswerClass.NONCE_TOO_LOW in {it.error_class for it in stage.events(ev.BroadcastFailed)}
    assert outcome.runs == 1
    assert [it.nonce for it in stage.events(ev.TransactionSuperseded)] == [1]
    assert [it.nonce for it in stage.events(ev.TransactionSigned) if it.attempt == 1] == list(range(len(stage.mined())))


@broken_by(lambda: patch.object(Pursuit, "back_off", lambda *_: None))
def test_a_node_that_says_nonce_too_low_for_ever_is_asked_at_a_bounded_pace() -> None:
    """ethpandaops/spamoor pull 122: an endless retry loop when the nonce was reset."""

    class Liar(Node):
        def _take(self, tx: Tx) -> None:
            if stage.quiet_since is None:
                raise RpcError(-32000, "nonce too low: next nonce 7, tx nonce 0")
            super()._take(tx)

    stage = Stage(node=Liar, secs=120)
    requests: list[int] = []
    stage.at(120, lambda: requests.append(stage.network.requests))
    stage.play()
    early = [at for at, _ in stage.sent if at < 120]
    assert 3 < len(early) <= 10  # 1, 2, 4 ... 60 seconds apart
    assert requests[0] < 120 * 4  # a look at the head each second, and few others
    assert {each.hash for each in stage.attempts_at(0)} == {tx.hash for _, tx in stage.sent if tx.nonce == 0}
    assert len(stage.attempts_at(0)) == 1


def _the_chain_is_asked_first() -> AbstractContextManager[Any]:
    @contextmanager
    def both() -> Iterator[None]:
        prepare = Lane._prepare

        async def by_the_chain(self: Lane, observed: Any, decision: Any) -> Any:
            prepared = await prepare(self, observed, decision)
            if prepared is None:
                return None
            return lane.Prepared(prepared.decided, replace(prepared.unsigned, nonce=observed.nonce))

        def unchecked(state: Any, now_us: int, *, name: str, decided: Any, signed: Any, rules: Any) -> Any:
            return decisions.for_wallet(name, decided.action_id, [decided, signed])

        with patch.object(Lane, "_prepare", by_the_chain), patch.object(decisions, "open_slot", unchecked):
            yield

    return both()


@broken_by(_the_chain_is_asked_first)
def test_after_a_restart_the_log_is_asked_before_the_chain() -> None:
    """LFDT-Paladin/paladin issue 312: the first transaction after a restart took the chain's nonce, the database was ahead."""

    class Behind(Node):
        frozen = False

        def _follow(self, block: Block) -> None:
            if not self.frozen:
                super()._follow(block)

    stage = Stage(node=Behind)

    def killed(_: ev.ActionSucceeded) -> None:
        stage.kill()
        node = stage.nodes[0]
        assert isinstance(node, Behind)
        node.frozen, node.head = True, stage.chain.blocks[max(stage.chain.head.number - 10, 0)]
        stage.at(40, lambda: setattr(node, "frozen", False))

    stage.when(ev.ActionSucceeded, killed, where=lambda it: it.action_id.endswith("/3"))
    outcome = stage.play()
    assert outcome.runs == 2
    signed = [each.nonce for each in stage.events(ev.TransactionSigned) if each.attempt == 1]
    assert consecutive(signed)
    assert not stage.events(ev.NonceResynced)


def _lost_bytes_are_given_up() -> AbstractContextManager[Any]:
    """As a worker would that recycles the nonces of what was lost: the slot's call is signed anew at the next one."""
    return planted.sign_anew_after_a_timeout()


@broken_by(_lost_bytes_are_given_up)
def test_nonces_lost_between_queue_and_chain_need_no_worker_that_recycles_them() -> None:
    """thirdweb-dev/engine pulls 355 and 597, thirdweb-dev/engine-core pull 27."""
    stage = Stage(wallets=4, secs=200)
    weather = stage.sites[0].weather
    weather.request_lost = weather.refused = weather.cut = 0.2
    stage.play()
    kinds = {each.kind for each in stage.events(ev.ActionDecided)}
    assert FILL_GAP not in kinds
    assert not stage.events(ev.NonceResynced)
    for name in NAMES:
        signed = [
            it.nonce for it in stage.events(ev.TransactionSigned) if it.attempt == 1 and it.action_id.startswith(name)
        ]
        assert signed
        assert consecutive(signed)
        assert [tx.nonce for tx in stage.mined(ADDRESSES[name])] == signed
    assert "cancel" not in {each.purpose for each in stage.events(ev.TransactionSigned)}
