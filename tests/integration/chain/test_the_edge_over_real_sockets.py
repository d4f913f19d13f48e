"""The RPC edge against a node that misbehaves on command, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ghostfleet.chain import endpoints
from ghostfleet.chain.edge import EndpointsUnavailable, GateClosed, RpcEdge, RpcRefused
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.domain.values import AnswerClass
from ghostfleet.engine.gate import Gate, Reason

from .faulty_node import FaultyNode, error_of, errors, faulty_node, raw, result_of


@asynccontextmanager
async def edge_over(*nodes: FaultyNode, gate: Gate | None = None, **options: Any) -> AsyncIterator[RpcEdge]:
    configs = [EndpointConfig(name=f"node-{index}", url=node.url) for index, node in enumerate(nodes)]
    async with RpcEdge(configs, AiohttpTransport(), gate=gate or Gate(), **options) as edge:
        yield edge


async def test_concurrent_calls_share_requests_and_get_their_own_answers():
    async with faulty_node() as node, edge_over(node) as edge:
        answers = await asyncio.gather(*(edge.request(f"call_{n}", [n]) for n in range(250)))
    assert answers == [f"call_{n}" for n in range(250)]
    assert len(node.requests) <= 6
    assert max(len(request) for request in node.requests) <= endpoints.MAX_BATCH


async def test_answers_out_of_order_twice_and_unasked_find_their_calls():
    async def shuffled(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        answers = [result_of(call) for call in reversed(calls)]
        stranger = {"jsonrpc": "2.0", "id": 10**9, "result": "stranger"}
        late = {**answers[0], "result": "a second answer"}
        return web.json_response([stranger, *answers, late, "noise", None])

    async with faulty_node() as node, edge_over(node) as edge:
        node.behave = shuffled
        answers = await asyncio.gather(*(edge.request(f"call_{n}", []) for n in range(20)))
    assert answers == [f"call_{n}" for n in range(20)]


async def test_an_endpoint_that_refuses_batches_is_asked_one_by_one_and_that_is_remembered():
    async def no_batches(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        if batch:
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}})
        return web.json_response(result_of(calls[0]))

    async with faulty_node() as node, edge_over(node) as edge:
        node.behave = no_batches
        for _ in range(2):
            answers = await asyncio.gather(*(edge.request(f"call_{n}", []) for n in range(5)))
            assert answers == [f"call_{n}" for n in range(5)]
        assert sum(len(request) > 1 for request in node.requests) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "<html>502 Bad Gateway</html>",
        "null",
        "42",
        '"text"',
        "[]",
        "[1,2]",
        "{}",
        '{"id":1}',
        b"\xff\xfe",
        "[" * 5000,
    ],
)
@pytest.mark.parametrize("calls", [1, 3])
async def test_garbage_is_the_endpoints_fault_and_another_one_answers(garbage: str | bytes, calls: int):
    async with faulty_node() as bad, faulty_node() as good, edge_over(bad, good) as edge:
        bad.behave = raw(garbage)
        answers = await asyncio.gather(*(edge.request("eth_call", []) for _ in range(calls)))
        assert answers == ["eth_call"] * calls


async def test_garbage_everywhere_is_said_and_nothing_else_is_raised():
    async with faulty_node() as node, edge_over(node) as edge:
        node.behave = raw("<html>", status=502)
        with pytest.raises(EndpointsUnavailable, match=r"node-0.*502"):
            await edge.request("eth_call", [])


async def test_an_endpoint_that_fails_trips_is_left_alone_and_recovers():
    changes: list[tuple[str, bool]] = []
    async with (
        faulty_node() as bad,
        faulty_node() as good,
        edge_over(bad, good, on_change=lambda name, tripped, _reason: changes.append((name, tripped))) as edge,
    ):
        bad.behave = raw("", status=500)
        for _ in range(6):
            await edge.request("eth_call", [])
        assert changes == [("node-0", True)]
        reached = len(bad.requests)
        await edge.request("eth_call", [])
        assert len(bad.requests) == reached, "a tripped endpoint is asked again only as a probe, after its rest"
        bad.behave = type(bad)().behave
        await asyncio.sleep(1.1)
        await edge.request("eth_call", [])
        assert changes == [("node-0", True), ("node-0", False)]


async def test_a_rate_limit_is_honoured_and_is_no_fault():
    async with faulty_node() as limited, faulty_node() as other, edge_over(limited, other) as edge:
        limited.behave = raw("slow down", status=429, headers={"Retry-After": "60"})
        assert await edge.request("eth_call", []) == "eth_call"
        before = len(limited.requests)
        for _ in range(5):
            await edge.request("eth_call", [])
        assert len(limited.requests) == before
        assert edge.status()[0].healthy


async def test_retry_in_seconds_in_the_message_is_honoured():
    async with faulty_node() as node, edge_over(node) as edge:
        node.behave = errors(-32022, "over compute unit limit, retry in 0.4 seconds")
        loop = asyncio.get_running_loop()
        asked = loop.time()

        async def recover() -> None:
            await asyncio.sleep(0.2)
            node.behave = type(node)().behave

        healing = asyncio.create_task(recover())
        assert await edge.request("eth_call", []) == "eth_call"
        assert loop.time() - asked >= 0.4
        await healing


async def test_an_error_object_of_the_call_is_its_own_and_its_neighbours_succeed():
    async def one_reverts(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        return web.json_response(
            [error_of(c, 3, "execution reverted") if c["method"] == "bad" else result_of(c) for c in calls]
        )

    async with faulty_node() as node, edge_over(node) as edge:
        node.behave = one_reverts
        good, bad, also = await asyncio.gather(
            edge.request("good", []), edge.request("bad", []), edge.request("also", []), return_exceptions=True
        )
    assert (good, also) == ("good", "also")
    assert isinstance(bad, RpcRefused)
    assert bad.answer.cls is AnswerClass.REVERTED


async def test_a_closed_gate_lets_not_one_byte_of_a_send_out_and_reads_go_on():
    gate = Gate()
    async with faulty_node() as node, edge_over(node, gate=gate) as edge:
        gate.shut(Reason.PAUSE)
        results = await asyncio.gather(
            *(edge.send("eth_sendRawTransaction", ["0x"]) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, GateClosed) for result in results)
        assert await edge.request("eth_call", []) == "eth_call"
        assert node.calls == ["eth_call"]


async def test_what_waits_in_the_queue_when_the_gate_closes_does_not_leave():
    """The gate sits where the batch is written: a check ahead of the queue would let these out."""
    gate = Gate()
    release = asyncio.Event()

    async def slow(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        await release.wait()
        answers = [result_of(call) for call in calls]
        return web.json_response(answers if batch else answers[0])

    async with faulty_node() as node, edge_over(node, gate=gate) as edge:
        node.behave = slow
        sends = [asyncio.create_task(edge.send("eth_sendRawTransaction", [str(n)])) for n in range(1000)]
        await node.reached.wait()
        in_flight = await gate.close(answers_secs=0)
        out_before = len(node.calls)
        assert in_flight.transactions >= out_before > 0, "it answers at once, with what has no answer yet"
        release.set()
        await asyncio.gather(*sends, return_exceptions=True)
        at_answer = len(node.calls)
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert len(node.calls) == at_answer == out_before < 1000
        assert sum(isinstance(result, GateClosed) for result in results) == 1000 - at_answer


async def test_a_send_whose_answer_is_lost_is_not_repeated_elsewhere():
    async with faulty_node() as bad, faulty_node() as other, edge_over(bad, other) as edge:
        bad.behave = raw("", status=502)
        outcome = await edge.send("eth_sendRawTransaction", ["0x"])
        assert outcome.answer is not None
        assert outcome.answer.cls is AnswerClass.ENDPOINT_FAULT
        assert other.calls == []


async def test_a_send_that_times_out_is_maybe_sent_and_not_repeated():
    async def never(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    async with faulty_node() as slow, faulty_node() as other, edge_over(slow, other) as edge:
        slow.behave = never
        outcome = await edge.send("eth_sendRawTransaction", ["0x"], timeout_secs=0.2)
        assert outcome.answer is not None
        assert other.calls == []


async def test_a_send_goes_to_another_endpoint_only_when_nothing_can_have_left():
    async with faulty_node() as gone, faulty_node() as other:
        url = gone.url
        dead = FaultyNode()
        dead.url = url.replace(url.rsplit(":", 1)[1].rstrip("/"), "1")  # nothing listens on port 1
        async with edge_over(dead, other) as edge:
            outcome = await edge.send("eth_sendRawTransaction", ["0x"])
        assert outcome.result == "eth_sendRawTransaction"
        assert other.calls == ["eth_sendRawTransaction"]


async def test_reads_and_sends_never_share_a_batch():
    async with faulty_node() as node, edge_over(node) as edge:
        await asyncio.gather(
            *(edge.request("eth_call", []) for _ in range(30)),
            *(edge.send("eth_sendRawTransaction", ["0x"]) for _ in range(30)),
        )
        for request in node.requests:
            assert len({call["method"] for call in request}) == 1


async def test_realtime_sends_travel_alone_so_that_none_holds_up_another():
    async with faulty_node() as node, edge_over(node) as edge:
        await asyncio.gather(*(edge.send("eth_sendRawTransactionSync", ["0x"], alone=True) for _ in range(10)))
        assert [len(request) for request in node.requests] == [1] * 10


async def test_the_name_of_an_endpoint_is_all_that_is_shown_of_it():
    secret = "canary-api-key"
    config = EndpointConfig(name="rpc-1", url=f"http://127.0.0.1:1/{secret}")
    async with RpcEdge([config], AiohttpTransport(), gate=Gate()) as edge:
        with pytest.raises(EndpointsUnavailable) as caught:
            await edge.request("eth_call", [])
        shown = f"{caught.value} {caught.value!r} {config!r} {json.dumps([it.reason for it in edge.status()])}"
    assert secret not in shown
    assert "rpc-1" in shown


async def test_requests_per_second_are_kept_to():
    async with faulty_node() as node:
        config = EndpointConfig(name="slow", url=node.url, max_requests_per_second=20)
        async with RpcEdge([config], AiohttpTransport(), gate=Gate()) as edge:
            started = asyncio.get_running_loop().time()
            for _ in range(9):
                await edge.request("eth_call", [])
            assert asyncio.get_running_loop().time() - started >= 8 / 20
