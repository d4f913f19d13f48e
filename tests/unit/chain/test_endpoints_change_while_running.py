"""Endpoints are drained, added and removed under a running edge: nothing under way is lost, nothing waits for ever."""

import asyncio
from typing import Any

import pytest
import virtual_time
from scripted_nodes import Behaviour, Calls, Nodes, answer_each, well

from ghostfleet.chain.edge import EndpointsUnavailable, RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig, handle_of
from ghostfleet.chain.reads import PLAIN, Chain
from ghostfleet.chain.transport import Response, TransportFault
from ghostfleet.domain.values import Hash

RAW = "0x02"
TX = Hash(b"\x07" * 32)
TIMEOUT_SECS = 10.0


def config(name: str, **more: Any) -> EndpointConfig:
    return EndpointConfig(name=name, url=f"http://{name}/", **more)


def use(edge: RpcEdge, *names: str) -> None:
    edge.use([config(name) for name in names], request_timeout_secs=TIMEOUT_SECS)


def after(secs: float, how: Behaviour = well) -> Behaviour:
    async def behave(calls: Calls) -> Response:
        await asyncio.sleep(secs)
        answer = how(calls)
        return answer if isinstance(answer, Response) else await answer

    return behave


def unreachable(_calls: Calls) -> Response:
    raise TransportFault("cannot connect: Connection refused", sent=False)


def test_a_drained_endpoint_gets_nothing_new_and_what_is_under_way_there_is_finished() -> None:
    async def story() -> None:
        nodes = Nodes(first=after(2.0), second=well)
        async with nodes.edge() as edge:
            under_way = [
                asyncio.create_task(edge.request("eth_call", [])),
                asyncio.create_task(edge.send(PLAIN, [RAW])),
            ]
            await asyncio.sleep(1)
            edge.drain("first")
            assert edge.status()[0].in_flight == 2
            assert await edge.request("eth_chainId", []) == "eth_chainId"
            assert (await edge.send(PLAIN, [RAW])).endpoint == "second"
            assert [it.endpoint if hasattr(it, "endpoint") else it for it in await asyncio.gather(*under_way)] == [
                "eth_call",
                "first",
            ]
            assert edge.status()[0].in_flight == 0
            edge.drain("first", drained=False)
            await edge.request("eth_gasPrice", [])
        assert nodes.methods_at("first") == ["eth_call", PLAIN, "eth_gasPrice"]

    virtual_time.run(story())


def test_calls_that_wait_for_a_drained_endpoint_go_elsewhere_at_once() -> None:
    async def story() -> None:
        nodes = Nodes(first=well, second=well)
        async with nodes.edge(rate=0.1) as edge:
            await edge.request("eth_call", [])
            await edge.request("eth_call", [])  # at the second one: both may be asked again in 10 s only
            waiting = asyncio.create_task(edge.request("eth_chainId", []))
            await asyncio.sleep(1)
            edge.drain("first")
            edge.use([config("first"), config("second"), config("third")], request_timeout_secs=TIMEOUT_SECS)
            nodes.set("third", well)
            await waiting
            assert asyncio.get_running_loop().time() < 2
        assert nodes.methods_at("first") == ["eth_call"]

    virtual_time.run(story())


def test_when_every_endpoint_is_drained_a_call_hears_it_at_once_and_nothing_leaves() -> None:
    async def story() -> None:
        nodes = Nodes(only=well)
        async with nodes.edge() as edge:
            edge.drain("only")
            with pytest.raises(EndpointsUnavailable, match="eth_call: only is drained"):
                await edge.request("eth_call", [])
            with pytest.raises(EndpointsUnavailable, match="only is drained"):
                await edge.send(PLAIN, [RAW])
            assert asyncio.get_running_loop().time() < 0.1
        assert nodes.log == []

    virtual_time.run(story())


def test_a_tripped_endpoint_that_is_drained_is_not_even_probed() -> None:
    async def story() -> None:
        nodes = Nodes(first=unreachable, second=well)
        async with nodes.edge() as edge:
            for _ in range(3):
                await edge.request("eth_call", [])
            edge.drain("first")
            asked = len(nodes.methods_at("first"))
            for _ in range(100):
                await edge.request("eth_call", [])
                await asyncio.sleep(1)
            assert len(nodes.methods_at("first")) == asked

    virtual_time.run(story())


def test_a_question_to_one_endpoint_that_is_removed_while_it_waits_fails_clearly() -> None:
    async def story() -> None:
        nodes = Nodes(first=after(5.0), second=well)
        async with nodes.edge(rate=1.5) as edge:
            under_way = asyncio.create_task(edge.request("eth_call", [1], endpoint="first"))
            await asyncio.sleep(0.1)
            waiting = asyncio.create_task(edge.request("eth_call", [2], endpoint="first"))
            await asyncio.sleep(0.1)
            use(edge, "second")
            with pytest.raises(EndpointsUnavailable, match="first is not among the configured ones"):
                await waiting
            assert asyncio.get_running_loop().time() < 1
            assert await under_way == "eth_call"
            assert [it.name for it in edge.status()] == ["second"]

    virtual_time.run(story())


def test_an_added_endpoint_is_asked_and_one_that_stays_keeps_what_is_known_of_it() -> None:
    async def story() -> None:
        news: list[tuple[str, bool]] = []
        nodes = Nodes(first=unreachable, second=well)
        async with nodes.edge(on_change=lambda name, tripped, _why: news.append((name, tripped))) as edge:
            for _ in range(3):
                await edge.request("eth_call", [])
            assert news == [("first", True)]
            edge.drain("second")
            nodes.set("third", well)
            edge.use(
                [config("third", max_requests_per_second=5), config("first"), config("second")],
                request_timeout_secs=TIMEOUT_SECS,
            )
            await edge.request("eth_call", [])
            assert nodes.methods_at("third") == ["eth_call"]
            third, first, second = edge.status()
            assert (first.tripped, first.faults > 0, second.drained) == (True, True, True)
            use(edge, "third")
            assert edge.status() == (third,)

    virtual_time.run(story())


def test_trouble_of_an_endpoint_that_is_gone_is_no_news() -> None:
    async def story() -> None:
        news: list[tuple[str, bool]] = []
        nodes = Nodes(first=after(1.0, unreachable), second=well)
        async with nodes.edge(on_change=lambda name, tripped, _why: news.append((name, tripped))) as edge:
            calls = [asyncio.create_task(edge.request("eth_call", [n], timeout_secs=9 - n)) for n in range(4)]
            await asyncio.sleep(0.5)
            use(edge, "second")
            assert await asyncio.gather(*calls) == ["eth_call"] * 4
        assert news == []

    virtual_time.run(story())


def test_another_url_under_the_same_name_is_another_endpoint() -> None:
    async def story() -> None:
        nodes = Nodes(first=unreachable, moved=well)
        async with nodes.edge() as edge:
            edge.use([EndpointConfig(name="first", url="http://moved/")], request_timeout_secs=TIMEOUT_SECS)
            assert await edge.request("eth_call", []) == "eth_call"
            assert edge.status()[0].faults == 0

    virtual_time.run(story())


def test_whether_a_transaction_is_known_is_asked_of_the_others_when_the_one_that_took_it_is_drained_or_gone() -> None:
    async def story() -> None:
        nodes = Nodes(first=answer_each(lambda _call: {"result": None}), second=well)
        nodes.set("second", answer_each(lambda _call: {"result": {"hash": str(TX)}}))
        async with nodes.edge() as edge:
            chain = Chain(edge)
            assert await chain.known(TX, "first") is False
            edge.drain("first")
            assert await chain.known(TX, "first") is True
            use(edge, "second")
            assert await chain.known(TX, "first") is True

    virtual_time.run(story())


def test_the_status_tells_latency_height_and_how_often_it_asked_to_be_left_alone() -> None:
    head = {
        "number": "0x10",
        "hash": "0x" + "11" * 32,
        "parentHash": "0x" + "22" * 32,
        "timestamp": "0x1",
        "gasLimit": "0x1",
    }
    limited = answer_each(lambda _call: {"error": {"code": 429, "message": "rate limit exceeded"}})

    async def story() -> None:
        nodes = Nodes(only=after(0.25, answer_each(lambda _call: {"result": head})))
        async with nodes.edge() as edge:
            await Chain(edge).head()
            only = edge.status()[0]
            assert (only.height, only.latency_secs, only.limits_seen) == (16, pytest.approx(0.25), 0)
            nodes.set("only", limited)
            with pytest.raises(EndpointsUnavailable):
                await Chain(edge).head()
            assert only.limits_seen > 0
            assert only.height == 16

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("http://127.0.0.1:8545", "127.0.0.1:8545"),
        ("https://rpc.example.org/…", "rpc.example.org"),
        ("https://rpc.example.org/…#2", "rpc.example.org~2"),
        ("http://[::1]:8545#3", "[::1]:8545~3"),
    ],
)
def test_an_endpoints_name_fits_into_a_path(name: str, handle: str) -> None:
    assert handle_of(name) == handle
