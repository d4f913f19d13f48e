"""What the edge promises about waiting, failing over and giving up, on a clock that jumps: exact and the same every time."""

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_nodes import Calls, Gate, Nodes, answer_each, error, respond, well

from ghostfleet.chain import edge as edge_module
from ghostfleet.chain import exchange
from ghostfleet.chain.edge import EndpointsUnavailable, GateClosed, NotServed, RpcEdge, RpcRefused, SendOutcome, Unfit
from ghostfleet.chain.endpoints import (
    BATCH_AGAIN_SECS,
    FAULTS_TO_TRIP,
    FIRST_REST_SECS,
    LONGEST_REST_SECS,
    EndpointConfig,
)
from ghostfleet.chain.reads import PLAIN, REALTIME, SYNC, Chain
from ghostfleet.chain.transport import Response, TransportFault
from ghostfleet.domain.values import AnswerClass, Hash, Octets
from ghostfleet.errors import BadInput

RAW = "0x02"


def unreachable(_calls: Calls) -> Response:
    raise TransportFault("cannot connect: Connection refused", sent=False)


def lost(_calls: Calls) -> Response:
    raise TransportFault("connection lost: ServerDisconnectedError", sent=True)


async def never(_calls: Calls) -> Response:
    await asyncio.sleep(10**6)
    raise AssertionError


def singles_only(calls: Calls) -> Response:
    return well(calls) if len(calls) == 1 else respond({"id": None, "error": {"code": -32600, "message": "no batches"}})


def at_most(size: int) -> Any:
    def behave(calls: Calls) -> Response:
        if len(calls) > size:
            return respond({"id": None, "error": {"code": -32000, "message": "batch size limit exceeded"}})
        return well(calls)

    return behave


def test_reads_go_to_the_preferred_endpoint_while_it_is_well() -> None:
    async def story() -> None:
        nodes = Nodes(first=well, second=well)
        async with nodes.edge() as edge:
            for _ in range(5):
                await edge.request("eth_call", [])
        assert {node for _, node, _ in nodes.log} == {"first"}

    virtual_time.run(story())


def test_requests_keep_the_rate_however_many_wait() -> None:
    async def story() -> None:
        nodes = Nodes(only=singles_only)
        async with nodes.edge(rate=10) as edge:
            await asyncio.gather(*(edge.request("eth_call", [n]) for n in range(40)))
        times = [at for at, _, _ in nodes.log]
        assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(times))
        assert times[-1] <= 0.1 * len(times)

    virtual_time.run(story())


def test_a_send_is_not_starved_by_reads_under_a_rate_limit() -> None:
    async def story() -> None:
        nodes = Nodes(only=singles_only)
        async with nodes.edge(rate=10) as edge:
            reads = [asyncio.create_task(edge.request("eth_call", [n])) for n in range(200)]
            await asyncio.sleep(1)
            before = len(nodes.log)
            await edge.send(PLAIN, [RAW])
            assert len(nodes.log) - before <= 3
            await asyncio.gather(*reads)

    virtual_time.run(story())


def test_reads_are_not_starved_by_sends_either() -> None:
    async def story() -> None:
        nodes = Nodes(only=singles_only)
        async with nodes.edge(rate=10) as edge:
            sends = [asyncio.create_task(edge.send(PLAIN, [RAW])) for _ in range(200)]
            await asyncio.sleep(1)
            before = len(nodes.log)
            await edge.request("eth_call", [])
            assert len(nodes.log) - before <= 3
            for send in sends:
                send.cancel()

    virtual_time.run(story())


def test_when_no_endpoint_answers_the_error_says_which_and_why_within_bounded_time() -> None:
    async def story() -> None:
        nodes = Nodes(first=unreachable, second=lambda _calls: Response(502, {}, b"<html>"))
        async with nodes.edge() as edge:
            for _ in range(3):
                with pytest.raises(EndpointsUnavailable):
                    await edge.request("eth_call", [])
            with pytest.raises(EndpointsUnavailable, match=r"eth_call: (first|second): .+"):
                await edge.request("eth_call", [])
            assert asyncio.get_running_loop().time() < 60

    virtual_time.run(story())


def test_a_tripped_endpoint_gets_one_call_as_a_probe_and_rests_longer_each_time() -> None:
    changes: list[tuple[str, bool, str]] = []

    async def story() -> None:
        nodes = Nodes(only=unreachable)
        async with nodes.edge(on_change=lambda *change: changes.append(change)) as edge:
            waiting = [asyncio.create_task(edge.request("eth_call", [n])) for n in range(300)]
            await asyncio.gather(*waiting, return_exceptions=True)
            first_probe = next(i for i, (_, _, methods) in enumerate(nodes.log) if len(methods) == 1)
            probes = nodes.log[first_probe:]
            assert all(len(methods) == 1 for _, _, methods in probes)
            gaps = [b - a for (a, *_), (b, *_) in pairwise(probes)]
            assert gaps == sorted(gaps)
            assert max(gaps, default=0) <= LONGEST_REST_SECS
            nodes.set("only", well)
            await asyncio.sleep(LONGEST_REST_SECS)
            assert await asyncio.gather(*(edge.request("eth_call", []) for _ in range(50))) == ["eth_call"] * 50
        assert [(name, tripped) for name, tripped, _ in changes] == [("only", True), ("only", False)]
        assert "refused" in changes[0][2]

    virtual_time.run(story())


def test_an_endpoint_that_nobody_needs_is_asked_all_the_same_if_it_is_well_again() -> None:
    """Found by the simulator (seed 1553): behind one that answers all and passes nothing on, it stayed tripped for ever."""

    async def story() -> None:
        nodes = Nodes(first=unreachable, second=unreachable)
        async with nodes.edge() as edge:
            while any(it.healthy for it in edge.status()):
                with pytest.raises(EndpointsUnavailable):
                    await edge.request("eth_call", [])
            nodes.set("first", well)
            await edge.request("eth_call", [])
            nodes.set("second", never)  # it hangs: whoever asks it waits for the whole of a time-out
            asked_at = asyncio.get_running_loop().time()
            for _ in range(100):
                await edge.request("eth_call", [])
                await asyncio.sleep(1)
            assert asyncio.get_running_loop().time() - asked_at < 101, "no caller's read was spent on finding out"
            assert not edge.status()[1].healthy
            nodes.set("second", well)
            await asyncio.sleep(2 * LONGEST_REST_SECS)
            assert edge.status()[1].healthy
            assert (await edge.send(PLAIN, [RAW], rather_not="first")).endpoint == "second"

    virtual_time.run(story())


def test_faults_of_requests_that_were_out_before_the_trip_do_not_lengthen_the_rest() -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def fail_together(_calls: Calls) -> Response:
            await release.wait()
            raise TransportFault("lost", sent=True)

        nodes = Nodes(bad=fail_together, good=well)
        async with nodes.edge() as edge:
            reads = [asyncio.create_task(edge.request("eth_call", [n], timeout_secs=5 + n)) for n in range(4)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            release.set()
            await asyncio.gather(*reads)
            nodes.set("bad", well)
            assert not edge.status()[0].healthy
            await asyncio.sleep(1.01)
            await edge.request("eth_call", [])
            assert edge.status()[0].healthy

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("headers", "secs"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:09 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 9),
    ],
)
def test_retry_after_is_honoured_to_the_second(headers: dict[str, str], secs: float) -> None:
    async def story() -> None:
        nodes = Nodes(only=lambda _calls: respond({"message": "slow down"}, 429, **headers))
        async with nodes.edge() as edge:
            read = asyncio.create_task(edge.request("eth_call", []))
            await asyncio.sleep(0.001)
            nodes.set("only", well)
            assert await read == "eth_call"
            assert edge.status()[0].healthy
        assert [at for at, _, _ in nodes.log] == [0, secs]

    virtual_time.run(story())


@pytest.mark.parametrize(
    "limited",
    [
        error(-32005, "limit exceeded"),
        lambda _calls: respond({"message": "limit exceeded"}, 429, retry_after="0"),
        lambda _calls: respond(
            {}, 429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT", date="Wed, 21 Oct 2026 07:28:09 GMT"
        ),
        lambda _calls: respond({}, 429, retry_after="soon"),
    ],
    ids=["no time", "no seconds", "a time that is over", "no number"],
)
def test_rate_limits_without_a_time_are_waited_out_longer_each_time(limited: Any) -> None:
    async def story() -> None:
        nodes = Nodes(only=limited)
        async with nodes.edge() as edge:
            with pytest.raises(EndpointsUnavailable, match=r"limit exceeded|HTTP 429"):
                await edge.request("eth_call", [])
        assert [at for at, _, _ in nodes.log] == [0, 0.5, 1.5]

    virtual_time.run(story())


def test_a_question_for_one_endpoint_is_asked_there_or_nowhere() -> None:
    async def story() -> None:
        nodes = Nodes(first=well, second=lost)
        async with nodes.edge() as edge:
            for _ in range(FAULTS_TO_TRIP):
                with pytest.raises(EndpointsUnavailable, match="second"):
                    await edge.request("eth_call", [], endpoint="second")
            with pytest.raises(EndpointsUnavailable, match="gone is not among"):
                await edge.request("eth_call", [], endpoint="gone")
            assert await Chain(edge).known(Hash(b"\1" * 32), "second") is None
        assert nodes.methods_at("first") == []

    virtual_time.run(story())


def test_a_method_that_nobody_serves_is_said_at_once_and_trips_nothing() -> None:
    async def story() -> None:
        nodes = Nodes(first=error(-32601, "the method eth_x does not exist/is not available"), second=error(-32601, ""))
        async with nodes.edge() as edge:
            for _ in range(FAULTS_TO_TRIP + 1):
                with pytest.raises(NotServed):
                    await edge.request("eth_x", [])
            assert all(endpoint.healthy for endpoint in edge.status())
        assert asyncio.get_running_loop().time() == 0

    virtual_time.run(story())


def test_history_that_one_endpoint_lacks_is_asked_of_another() -> None:
    async def story() -> None:
        nodes = Nodes(pruned=error(-32000, "missing trie node abc"), archive=well)
        async with nodes.edge() as edge:
            assert await edge.request("eth_call", []) == "eth_call"
            assert edge.status()[0].healthy

    virtual_time.run(story())


@pytest.mark.parametrize("words", ["Internal error", "upstream request timed out", "node is syncing", ""])
def test_a_refusal_in_unknown_words_is_asked_of_the_others_and_is_the_calls_own_where_all_refuse(words: str) -> None:
    """Otherwise one endpoint that says `Internal error` to everything stops a fleet that has a second one."""

    async def story() -> None:
        refuses = error(-32603, words)
        nodes = Nodes(odd=refuses, well=well, down=unreachable)
        async with nodes.edge() as edge:
            for _ in range(FAULTS_TO_TRIP):
                assert await edge.request("eth_call", []) == "eth_call"
            assert len(nodes.methods_at("odd")) == FAULTS_TO_TRIP
            nodes.set("well", refuses)
            for _ in range(FAULTS_TO_TRIP + 1):
                with contextlib.suppress(EndpointsUnavailable, RpcRefused):  # until the one that is down has tripped
                    await edge.request("eth_call", [])
            before = len(nodes.log)
            with pytest.raises(RpcRefused, match=f"maybe_sent: {words}"):
                await edge.request("eth_call", [])
            assert [node for _, node, _ in nodes.log[before:]] == ["odd", "well"]
            with pytest.raises(RpcRefused):
                await edge.request("eth_call", [], endpoint="odd")
            assert [endpoint.healthy for endpoint in edge.status()] == [True, True, False]

    virtual_time.run(story())


def test_unknown_words_are_not_held_back_for_an_endpoint_that_rests() -> None:
    async def story() -> None:
        limited = Response(429, {"retry-after": "60"}, b"")
        nodes = Nodes(odd=error(-32603, "invalid opcode"), limited=lambda _calls: limited)
        async with nodes.edge() as edge:
            with contextlib.suppress(EndpointsUnavailable, RpcRefused):
                await edge.request("eth_call", [])
            with pytest.raises(RpcRefused, match="invalid opcode"):
                await edge.request("eth_call", [])
        assert nodes.methods_at("limited") == ["eth_call"]

    virtual_time.run(story())


@pytest.mark.parametrize("status", [401, 402, 403])
def test_an_endpoint_that_refuses_its_credential_in_json_trips_like_any_other_that_is_down(status: int) -> None:
    def refuses(calls: Calls) -> Response:
        no = {"code": -32600, "message": "Must be authenticated!"}
        return respond({"jsonrpc": "2.0", "id": calls[0]["id"] if len(calls) == 1 else None, "error": no}, status)

    async def story() -> None:
        nodes = Nodes(revoked=refuses, second=well)
        async with nodes.edge() as edge:
            for _ in range(FAULTS_TO_TRIP):
                assert await asyncio.gather(*(edge.request("eth_call", []) for _ in range(3))) == ["eth_call"] * 3
            assert not edge.status()[0].healthy
            assert (await edge.send(PLAIN, [RAW])).endpoint == "second"

    virtual_time.run(story())


def serving(chain_id: int) -> Any:
    return answer_each(lambda call: {"result": hex(chain_id) if call["method"] == "eth_chainId" else call["method"]})


def test_an_endpoint_is_asked_and_sent_nothing_before_it_has_said_that_it_serves_the_chain() -> None:
    async def story() -> None:
        nodes = Nodes(other=serving(4326), ours=serving(6343))
        async with nodes.edge() as edge:
            edge.keep_to(6343)
            for _ in range(FAULTS_TO_TRIP):
                assert await edge.request("eth_call", []) == "eth_call"
                assert (await edge.send(PLAIN, [RAW])).endpoint == "ours"
            assert edge.status()[0].reason == "it serves chain 4326, not 6343"
            await asyncio.sleep(LONGEST_REST_SECS)
            assert set(nodes.methods_at("other")) == {"eth_chainId"}
            assert not edge.status()[0].healthy
            assert nodes.methods_at("ours").count("eth_chainId") == 1
            nodes.set("other", serving(6343))
            await asyncio.sleep(2 * LONGEST_REST_SECS)
            before = len(nodes.log)
            assert await edge.request("eth_call", []) == "eth_call"
            assert [(node, methods) for _, node, methods in nodes.log[before:]] == [("other", ["eth_call"])]

    virtual_time.run(story())


@pytest.mark.parametrize("meanwhile", ["a trip", "a long time"])
def test_an_endpoint_that_has_come_to_serve_another_chain_is_found_out(meanwhile: str) -> None:
    async def story() -> None:
        nodes = Nodes(first=serving(6343), second=serving(6343))
        async with nodes.edge() as edge:
            edge.keep_to(6343)
            await edge.request("eth_call", [])
            if meanwhile == "a trip":
                nodes.set("first", unreachable)
                for _ in range(FAULTS_TO_TRIP):
                    await edge.request("eth_call", [])
                await asyncio.sleep(FIRST_REST_SECS / 2)
            else:
                await asyncio.sleep(exchange.PROOF_SECS)
            nodes.set("first", serving(4326))
            before = len(nodes.log)
            assert await edge.request("eth_call", []) == "eth_call"
            await asyncio.sleep(FIRST_REST_SECS)
            asked = [methods for _, node, methods in nodes.log[before:] if node == "first"]
            assert asked == [["eth_chainId"]]
            assert edge.status()[0].last_fault == "it serves chain 4326, not 6343"

    virtual_time.run(story())


def test_the_rate_holds_for_proofs_too() -> None:
    async def story() -> None:
        nodes = Nodes(only=serving(6343))
        async with nodes.edge(rate=10) as edge:
            edge.keep_to(6343)
            for n in range(3):
                await edge.request("eth_call", [n])
            assert asyncio.get_running_loop().time() >= 0.3
        assert edge.status()[0].requests == len(nodes.log) == 4

    virtual_time.run(story())


def test_a_result_of_the_wrong_shape_is_that_endpoints_fault_and_another_is_asked() -> None:
    def small(value: Any) -> str:
        if value != "right":
            raise Unfit("not right")
        return str(value)

    async def story() -> None:
        nodes = Nodes(bad=well, good=answer_each(lambda _call: {"result": "right"}))
        async with nodes.edge() as edge:
            assert await edge.request("eth_call", [], parse=small) == "right"
            assert edge.status()[0].faults == 1

    virtual_time.run(story())


def test_a_batch_that_is_too_large_is_halved_and_that_is_remembered_for_a_while() -> None:
    async def story() -> None:
        nodes = Nodes(only=at_most(10))
        async with nodes.edge() as edge:
            for _ in range(2):
                answers = await asyncio.gather(*(edge.request(f"m{n}", []) for n in range(100)))
                assert answers == [f"m{n}" for n in range(100)]
            refused = [len(methods) for _, _, methods in nodes.log if len(methods) > 10]
            assert refused == sorted(refused, reverse=True)
            assert set(refused) == {100, 50, 25, 12}
            assert refused.count(100) == 1, "what was refused is not offered again soon"
            nodes.set("only", well)
            await asyncio.sleep(BATCH_AGAIN_SECS)
            nodes.log.clear()
            await asyncio.gather(*(edge.request(f"m{n}", []) for n in range(100)))
            assert len(nodes.log[0][2]) == 100

    virtual_time.run(story())


@pytest.mark.parametrize("status", [400, 405, 413, 501])
def test_a_server_that_answers_batches_with_a_page_is_asked_one_by_one(status: int) -> None:
    async def story() -> None:
        def behave(calls: Calls) -> Response:
            return well(calls) if len(calls) == 1 else Response(status, {}, b"<html>no</html>")

        async with Nodes(only=behave).edge() as edge:
            assert await asyncio.gather(*(edge.send(PLAIN, [n]) for n in range(3))) == [SendOutcome("only", PLAIN)] * 3

    virtual_time.run(story())


def test_a_server_that_answers_only_one_call_of_a_batch_and_no_list_is_asked_one_by_one() -> None:
    async def story() -> None:
        nodes = Nodes(
            only=lambda calls: respond({"jsonrpc": "2.0", "id": calls[0]["id"], "result": calls[0]["method"]})
        )
        async with nodes.edge() as edge:
            for _ in range(2):
                assert await asyncio.gather(*(edge.request("eth_call", [n]) for n in range(20))) == ["eth_call"] * 20
            assert edge.status()[0].faults == 0
        assert sum(len(methods) > 1 for _, _, methods in nodes.log) == 1, "and that is remembered"

    virtual_time.run(story())


def test_a_sync_send_falls_back_where_an_endpoint_does_not_know_it_and_that_is_remembered() -> None:
    tx = Hash(b"\7" * 32)

    def only_plain(call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == PLAIN:
            return {"result": str(tx)}
        return {"error": {"code": -32601, "message": "rpc method is not whitelisted"}}

    async def story() -> None:
        nodes = Nodes(only=answer_each(only_plain))
        async with nodes.edge() as edge:
            for _ in range(2):
                sent = await Chain(edge).broadcast(Octets(b"\2"), tx, sync=True)
                assert (sent.cls, sent.endpoint) == (AnswerClass.ACCEPTED, "only")
            assert nodes.methods_at("only") == [SYNC, REALTIME, PLAIN, PLAIN]
            assert edge.status()[0].healthy

    virtual_time.run(story())


def test_a_sync_send_that_waits_for_a_block_in_vain_is_maybe_sent_and_trips_nothing() -> None:
    async def story() -> None:
        async def no_block(_calls: Calls) -> Response:
            await asyncio.sleep(15)
            raise TransportFault("no answer within 15 s", sent=True)

        async with Nodes(only=no_block).edge() as edge:
            chain = Chain(edge)
            for _ in range(FAULTS_TO_TRIP + 1):
                sent = await chain.broadcast(Octets(b"\2"), Hash(b"\7" * 32), sync=True)
                assert sent.cls is AnswerClass.ENDPOINT_FAULT
            assert edge.status()[0].healthy

    virtual_time.run(story())


def test_broadcast_raises_nothing_when_no_endpoint_is_there_and_nothing_has_left() -> None:
    async def story() -> None:
        async with Nodes(only=unreachable).edge() as edge:
            sent = await Chain(edge).broadcast(Octets(b"\2"), Hash(b"\7" * 32))
        assert (sent.cls, sent.endpoint) == (AnswerClass.ENDPOINT_FAULT, "")
        assert "refused" in sent.message

    virtual_time.run(story())


@pytest.mark.parametrize("behaviour", [lost, lambda _calls: Response(200, {}, b"{"), error(-32000, "who knows")])
def test_a_send_that_may_have_left_goes_nowhere_else(behaviour: Any) -> None:
    async def story() -> None:
        nodes = Nodes(first=behaviour, second=well)
        async with nodes.edge() as edge:
            outcome = await edge.send(PLAIN, [RAW])
        assert outcome.endpoint == "first"
        assert outcome.answer is not None
        assert outcome.answer.cls in (AnswerClass.ENDPOINT_FAULT, AnswerClass.MAYBE_SENT)
        assert nodes.methods_at("second") == []

    virtual_time.run(story())


def test_a_send_avoids_an_endpoint_that_is_known_to_be_down_or_limited() -> None:
    async def story() -> None:
        for bad in (lost, error(-32005, "limit exceeded, retry in 20 seconds")):
            nodes = Nodes(first=bad, second=well)
            async with nodes.edge() as edge:
                for _ in range(FAULTS_TO_TRIP):
                    await edge.request("eth_call", [])
                outcome = await edge.send(PLAIN, [RAW])
                assert outcome == SendOutcome("second", PLAIN)
                await asyncio.sleep(2)
                assert PLAIN not in nodes.methods_at("first"), "a send is no probe while another endpoint is well"

    virtual_time.run(story())


def test_a_send_goes_to_another_endpoint_than_the_one_it_would_rather_not_and_to_that_one_when_alone() -> None:
    async def story() -> None:
        nodes = Nodes(first=well, second=well)
        async with nodes.edge() as edge:
            outcome = await edge.send("eth_sendRawTransaction", [RAW], rather_not="first")
            assert outcome.endpoint == "second"
        alone = Nodes(first=well)
        async with alone.edge() as edge:
            outcome = await edge.send("eth_sendRawTransaction", [RAW], rather_not="first")
            assert outcome.endpoint == "first"

    virtual_time.run(story())


def test_a_send_that_waits_for_one_endpoint_holds_up_none_that_may_go_elsewhere() -> None:
    async def story() -> None:
        nodes = Nodes(first=well, second=lambda _calls: respond({}, 429, Retry_After="8"))
        async with nodes.edge() as edge:
            await edge.send("eth_sendRawTransaction", [RAW], rather_not="first")  # second is limited from now on
            loop = asyncio.get_running_loop()
            started = loop.time()
            waiting = asyncio.ensure_future(edge.send("eth_sendRawTransaction", [RAW], rather_not="first"))
            await asyncio.sleep(0)
            outcome = await edge.send("eth_sendRawTransaction", [RAW])
            assert (outcome.endpoint, loop.time() - started) == ("first", 0.0)
            waiting.cancel()

    virtual_time.run(story())


def test_a_transport_that_does_not_keep_its_time_limit_is_cut_off_and_the_gate_let_go() -> None:
    async def story() -> None:
        gate = Gate()
        async with Nodes(only=never).edge(gate) as edge:
            sending = asyncio.create_task(edge.send(PLAIN, [RAW], timeout_secs=3))
            await asyncio.sleep(1)
            assert gate.holding == 1
            outcome = await sending
            assert outcome.answer is not None
            assert gate.holding == 0
            assert asyncio.get_running_loop().time() == 3 + exchange.GRACE_SECS

    virtual_time.run(story())


def test_a_closed_gate_fails_every_send_and_nothing_is_written() -> None:
    async def story() -> None:
        gate, nodes = Gate(), Nodes(only=well)
        gate.open = False
        async with nodes.edge(gate) as edge:
            sends = await asyncio.gather(*(edge.send(PLAIN, [RAW]) for _ in range(250)), return_exceptions=True)
            assert {type(it) for it in sends} == {GateClosed}
            assert nodes.log == []
            gate.open = True
            assert (await edge.send(PLAIN, [RAW])).result == PLAIN

    virtual_time.run(story())


def test_a_gate_that_closes_while_a_send_waits_for_its_endpoint_holds_it_back() -> None:
    async def story() -> None:
        gate, nodes = Gate(), Nodes(only=error(-32005, "limit exceeded, retry in 20 seconds"))
        async with nodes.edge(gate) as edge:
            await edge.send(PLAIN, [RAW])
            nodes.set("only", well)
            waiting = asyncio.create_task(edge.send(PLAIN, [RAW]))
            await asyncio.sleep(10)
            gate.open = False
            with pytest.raises(GateClosed):
                await waiting
        assert len(nodes.log) == 1

    virtual_time.run(story())


def test_a_send_whose_caller_is_gone_does_not_leave() -> None:
    async def story() -> None:
        nodes = Nodes(only=error(-32005, "limit exceeded, retry in 20 seconds"))
        async with nodes.edge() as edge:
            await edge.send(PLAIN, [RAW])
            nodes.set("only", well)
            waiting = asyncio.create_task(edge.send(PLAIN, [RAW]))
            await asyncio.sleep(10)
            waiting.cancel()
            await asyncio.sleep(20)
        assert len(nodes.log) == 1

    virtual_time.run(story())


def test_a_send_whose_caller_is_gone_while_the_gate_makes_it_wait_does_not_leave() -> None:
    class SlowGate(Gate):
        @asynccontextmanager
        async def sending(self, senders: Any) -> Any:
            await asyncio.sleep(5)
            async with super().sending(senders) as passage:
                yield passage

    async def story() -> None:
        nodes = Nodes(only=well)
        async with nodes.edge(SlowGate()) as edge:
            gone, stays = (asyncio.create_task(edge.send(PLAIN, [RAW])) for _ in range(2))
            await asyncio.sleep(1)
            gone.cancel()
            await stays
        assert nodes.methods_at("only") == [PLAIN]

    virtual_time.run(story())


def test_closing_leaves_nobody_waiting_and_a_send_under_way_is_maybe_sent() -> None:
    async def story() -> None:
        edge = Nodes(only=never).edge()
        async with edge:
            read = asyncio.create_task(edge.request("eth_call", []))
            sends = [asyncio.create_task(edge.send(PLAIN, [RAW], timeout_secs=5 + n)) for n in range(10)]
            await asyncio.sleep(1)
        with pytest.raises(EndpointsUnavailable):
            await read
        ends = await asyncio.gather(*sends, return_exceptions=True)
        assert {type(it) for it in ends} == {SendOutcome, EndpointsUnavailable}
        assert {it.answer.cls for it in ends if isinstance(it, SendOutcome)} == {AnswerClass.MAYBE_SENT}
        with pytest.raises(EndpointsUnavailable, match="closed"):
            await edge.request("eth_call", [])

    virtual_time.run(story())


def test_parameters_that_cannot_be_written_spoil_nobody_elses_call() -> None:
    async def story() -> None:
        async with Nodes(only=well).edge() as edge:
            bad, good = await asyncio.gather(
                edge.request("eth_call", [object()]), edge.request("eth_call", []), return_exceptions=True
            )
        assert isinstance(bad, BadInput)
        assert good == "eth_call"

    virtual_time.run(story())


def test_more_calls_than_may_wait_are_let_in_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "MAX_WAITING", 5)

    async def story() -> None:
        nodes = Nodes(only=well)
        async with nodes.edge() as edge:
            assert await asyncio.gather(*(edge.request(f"m{n}", []) for n in range(50))) == [f"m{n}" for n in range(50)]
            nodes.set("only", never)
            stuck = [asyncio.create_task(edge.request("m", [], timeout_secs=9 + n)) for n in range(9)]
            await asyncio.sleep(1)
            with pytest.raises(EndpointsUnavailable, match=r"\d calls wait already"):
                await edge.request("m", [])
            await asyncio.gather(*stuck, return_exceptions=True)

    virtual_time.run(story())


def test_who_waits_outside_is_let_in_in_order_and_woken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "MAX_WAITING", 5)
    woken: list[int] = []

    async def story() -> None:
        async with Nodes(only=well).edge() as edge:
            let_in = edge._let_in

            async def counted() -> None:
                await let_in()
                woken.append(edge._waiting)

            edge._let_in = counted  # type: ignore[method-assign]
            order: list[int] = []

            async def ask(n: int) -> None:
                await edge.request(f"m{n}", [])
                order.append(n)

            await asyncio.gather(*(ask(n) for n in range(200)))
            assert order == sorted(order)
            assert len(woken) == 195
            assert max(woken) <= 5, "never more places than there are"
            assert (edge._waiting, len(edge._outside)) == (0, 0)

    virtual_time.run(story())


def test_who_gives_up_outside_takes_no_place_with_him(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "MAX_WAITING", 2)

    async def story() -> None:
        nodes = Nodes(only=never)
        async with nodes.edge() as edge:
            stuck = [asyncio.create_task(edge.request("m", [], timeout_secs=20 + n)) for n in range(12)]
            await asyncio.sleep(1)
            outside = [asyncio.create_task(edge.request("m", [])) for _ in range(4)]
            await asyncio.sleep(1)
            assert len(edge._outside) >= 4
            outside[0].cancel()
            edge._outside[-1].set_result(None)  # let in ...
            edge._waiting += 1
            outside[-1].cancel()  # ... and gone in the same moment
            await asyncio.gather(*stuck, *outside, return_exceptions=True)
            nodes.set("only", well)
            assert await asyncio.gather(*(edge.request(f"m{n}", []) for n in range(9))) == [f"m{n}" for n in range(9)]
            assert (edge._waiting, len(edge._outside)) == (0, 0)

    virtual_time.run(story())


def test_who_waits_outside_a_closing_edge_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_module, "MAX_WAITING", 2)

    async def story() -> None:
        async with Nodes(only=never).edge() as edge:
            asked = [asyncio.create_task(edge.request("m", [], timeout_secs=20 + n)) for n in range(12)]
            await asyncio.sleep(1)
            assert edge._outside
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(it) for it in ends} == {EndpointsUnavailable}

    virtual_time.run(story())


def test_a_call_has_ended_after_its_longest_wait_and_its_own_time_limit() -> None:
    async def story() -> None:
        nodes = Nodes(only=never)
        async with nodes.edge(request_timeout_secs=100) as edge:
            reads = [edge.request("eth_call", [], timeout_secs=20 + n) for n in range(30)]
            ends = await asyncio.gather(*reads, return_exceptions=True)
            assert {type(it) for it in ends} == {EndpointsUnavailable}
            assert asyncio.get_running_loop().time() <= edge_module.LONGEST_WAIT_SECS + 20 + 29

    virtual_time.run(story())


def test_credentials_in_the_url_are_shown_nowhere_even_when_the_node_repeats_them() -> None:
    key, url = "a1b2c3d4e5f6a7b8", "http://user:hunter2@only/v3/a1b2c3d4e5f6a7b8?apikey=zyxwvutsrq"
    seen: list[str] = []

    async def story() -> None:
        says = f"key {key} of {url}: hunter2 zyxwvutsrq is wrong"
        nodes = Nodes()
        nodes.behave[url] = error(-32000, f"context deadline exceeded {says}")
        config = EndpointConfig(name="only", url=url)
        async with RpcEdge([config], nodes, gate=Gate(), on_change=lambda *it: seen.append(str(it))) as edge:
            for _ in range(2):
                with pytest.raises(EndpointsUnavailable) as unavailable:
                    await edge.request("eth_call", [])
                seen.append(repr(unavailable.value))
            nodes.behave[url] = error(3, f"execution reverted {says}")
            await asyncio.sleep(2)
            with pytest.raises(RpcRefused) as refused:
                await edge.request("eth_call", [])
            seen.append(repr(refused.value) + repr(refused.value.answer))
            seen.append(repr(await edge.send(PLAIN, [RAW])))
            seen.append(repr(config) + "".join(it.reason for it in edge.status()))

    virtual_time.run(story())
    for secret in (key, "hunter2", "zyxwvutsrq"):
        assert secret not in "".join(seen)
    assert len(seen) == 7


def test_on_exchange_hears_of_every_call_what_became_of_it_and_where() -> None:
    heard: list[tuple[str, list[tuple[str, str]]]] = []

    def mixed(call: dict[str, Any]) -> dict[str, Any]:
        return {"error": {"code": 3, "message": "execution reverted"}} if call["method"] == "bad" else {"result": 1}

    async def story() -> None:
        nodes = Nodes(down=unreachable, up=answer_each(mixed))
        async with nodes.edge(on_exchange=lambda name, calls, secs: heard.append((name, list(calls)))) as edge:
            await asyncio.gather(edge.request("good", []), edge.request("bad", []), return_exceptions=True)

    virtual_time.run(story())
    assert heard == [
        ("down", [("good", "fault"), ("bad", "fault")]),
        ("up", [("good", "answered"), ("bad", "refused")]),
    ]


def test_on_exchange_hears_of_a_batch_that_is_refused_too() -> None:
    heard: list[list[tuple[str, str]]] = []

    async def story() -> None:
        async with Nodes(node=singles_only).edge(on_exchange=lambda _name, calls, _secs: heard.append(calls)) as edge:
            await asyncio.gather(edge.request("one", []), edge.request("two", []))

    virtual_time.run(story())
    assert heard == [[("one", "fault"), ("two", "fault")], [("one", "answered")], [("two", "answered")]]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
messages = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 5) | scalars,
        "result": scalars,
        "error": scalars | st.fixed_dictionaries({}, optional={"code": scalars, "message": scalars, "data": scalars}),
        "jsonrpc": scalars,
    },
)
documents = st.lists(messages | scalars, max_size=5) | messages | scalars


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    body=documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=40),
    status=st.sampled_from([200, 200, 400, 403, 404, 413, 429, 500, 502]),
    calls=st.integers(1, 4),
)
def test_whatever_an_endpoint_answers_every_call_ends_in_one_of_the_ways_that_are_promised(
    body: bytes, status: int, calls: int
) -> None:
    async def story() -> None:
        async with Nodes(only=lambda _calls: Response(status, {"retry-after": "x"}, body)).edge() as edge:
            reads = [edge.request("eth_call", [n]) for n in range(calls)]
            sends = [edge.send(PLAIN, [n]) for n in range(calls)]
            read_ends = await asyncio.gather(*reads, return_exceptions=True)
            send_ends = await asyncio.gather(*sends, return_exceptions=True)
        for end in read_ends:
            assert not isinstance(end, BaseException) or isinstance(end, EndpointsUnavailable | RpcRefused)
        for end in send_ends:
            assert isinstance(end, SendOutcome | EndpointsUnavailable)

    virtual_time.run(story())


faults = st.sampled_from(["well", "unreachable", "lost", "html", "limited", "missing", "shuffled", "slow"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(plans=st.lists(st.lists(faults, min_size=1, max_size=12), min_size=1, max_size=3), calls=st.integers(1, 30))
def test_under_any_run_of_faults_a_call_gets_its_own_answer_or_an_error_and_no_send_is_written_twice(
    plans: list[list[str]], calls: int
) -> None:
    async def story() -> None:
        written: dict[str, int] = {}

        def node(plan: list[str]) -> Any:
            left = list(plan)

            async def behave(asked: Calls) -> Response:
                fault = left.pop(0) if left else "well"
                if fault == "unreachable":
                    return unreachable(asked)
                for call in asked:
                    if call["method"] == PLAIN:
                        written[call["params"][0]] = written.get(call["params"][0], 0) + 1
                if fault == "slow":
                    await asyncio.sleep(3)
                if fault == "lost":
                    return lost(asked)
                if fault == "html":
                    return Response(503, {}, b"<html>")
                if fault == "limited":
                    return respond({}, 429)
                answers = [{"id": it["id"], "result": it["params"][0]} for it in asked]
                if fault == "missing":
                    answers = answers[1:]
                if fault == "shuffled":
                    answers = [*answers[::-1], *answers, {"id": 0, "result": "stranger"}]
                return respond(answers)

            return behave

        nodes = Nodes(**{f"node{index}": node(plan) for index, plan in enumerate(plans)})
        async with nodes.edge() as edge:
            reads = [edge.request("echo", [f"r{n}"]) for n in range(calls)]
            sends = [edge.send(PLAIN, [f"s{n}"]) for n in range(calls)]
            ends = await asyncio.gather(*reads, *sends, return_exceptions=True)
        for n, end in enumerate(ends[:calls]):
            assert end == f"r{n}" or isinstance(end, EndpointsUnavailable)
        for n, end in enumerate(ends[calls:]):
            assert isinstance(end, SendOutcome | EndpointsUnavailable)
            if isinstance(end, SendOutcome) and end.answer is None:
                assert end.result == f"s{n}"
            if isinstance(end, EndpointsUnavailable):
                assert f"s{n}" not in written
        assert set(written.values()) <= {1}

    virtual_time.run(story())


def test_the_same_faults_give_the_same_requests_at_the_same_times() -> None:
    def story() -> list[tuple[float, str, list[str]]]:
        nodes = Nodes(first=error(-32005, "limit exceeded"), second=at_most(7), third=lost)

        async def run() -> None:
            async with nodes.edge(rate=20) as edge:
                await asyncio.gather(
                    *(edge.request(f"m{n}", []) for n in range(60)),
                    *(edge.send(PLAIN, [RAW]) for _ in range(20)),
                    return_exceptions=True,
                )

        virtual_time.run(run())
        return nodes.log

    assert story() == story()
