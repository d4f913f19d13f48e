"""A pause answers within 100 ms, whatever the endpoints do: on virtual time, where nothing but waiting takes time.

What is left of the 100 ms is for the commit and for HTTP; `make longrun` and `tests/longrun` measure all of it.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from ghostfleet.chain.passage import GateClosed, Passage
from ghostfleet.chain.transport import Response
from ghostfleet.domain import events as ev
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.ports import AdminCommand, InFlight
from ghostfleet.engine.service import FleetService
from tests.unit.chain import virtual_time
from tests.unit.chain.scripted_nodes import Nodes
from tests.unit.engine.live_stage import live_state

PROMISED_SECS = 0.1
WALLETS = 200
PAUSE = AdminCommand(command="pause", actor="ada", remote="", request_id="request-1", reason="now")


class Written(Nodes):
    """A transport that asks the passage before the first byte, tells it of the last one, and may have the answer only later."""

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        if passage is not None:
            passage.leave()
            passage.left()
        return await super().post(url, body, timeout_secs=timeout_secs, passage=passage)


async def never(_calls: Any) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


async def timed(work: Awaitable[Any]) -> tuple[Any, float]:
    """What it gave, and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await work, loop.time() - began


async def written(gate: Gate, stack: AsyncExitStack, wallet: str) -> Passage:
    """A transaction of this wallet that has left and has no answer, until the stack lets go."""
    passage = await stack.enter_async_context(gate.sending([wallet]))
    passage.leave()
    passage.left()
    return passage


def test_the_gate_closes_in_time_where_no_answer_ever_comes_and_says_how_many_are_open() -> None:
    async def story() -> None:
        gate = Gate()
        async with AsyncExitStack() as stack:
            for number in range(WALLETS):
                await written(gate, stack, f"w{number}")
            in_flight, secs = await timed(gate.close())
        assert 0 < secs <= PROMISED_SECS
        assert in_flight == InFlight(WALLETS, WALLETS)

    virtual_time.run(story())


def test_an_answer_every_few_milliseconds_does_not_make_it_wait_for_the_next_one() -> None:
    """Under full load there is always one more on its way."""

    async def one(gate: Gate, number: int) -> None:
        async with AsyncExitStack() as stack:
            await written(gate, stack, f"w{number}")
            await asyncio.sleep(0.005 * number)

    async def story() -> None:
        gate = Gate()
        async with asyncio.TaskGroup() as answers:
            for number in range(WALLETS):
                answers.create_task(one(gate, number))
            await asyncio.sleep(0.001)
            in_flight, secs = await timed(gate.close())
            assert 0 < secs <= PROMISED_SECS
            assert 0 < in_flight.transactions < WALLETS

    virtual_time.run(story())


def test_it_does_not_wait_longer_than_for_the_last_answer() -> None:
    async def story() -> None:
        gate = Gate()
        async with AsyncExitStack() as stack:
            await written(gate, stack, "w1")
            asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(stack.aclose()))
            assert await timed(gate.close()) == (InFlight(0, 0), pytest.approx(0.01))
        assert await timed(Gate().close()) == (InFlight(0, 0), 0)

    virtual_time.run(story())


def test_a_pause_of_the_service_is_durable_and_answered_in_time_with_all_sends_unanswered() -> None:
    """And what waits behind them for its turn does not leave."""

    async def story() -> None:
        gate, nodes = Gate(), Written(one=never, other=never)
        async with live_state(wallets=2) as it, nodes.edge(gate, rate=20) as edge:
            service = FleetService(
                live=it.live, gate=gate, heads=None, nudge=lambda _: None, endpoints=list, in_force=None, dry_run=False  # type: ignore[arg-type]
            )  # fmt: skip
            sends = [
                asyncio.create_task(edge.send("eth_sendRawTransaction", ["0x02"], sender=f"w{number}"))
                for number in range(20 * WALLETS)
            ]
            await asyncio.sleep(0.05)
            _, secs = await timed(service.pause(PAUSE))
            left = len(nodes.log)
            durable = [type(each.event) async for each in it.log.read()]
            assert 0 < secs <= PROMISED_SECS
            assert durable[-2:] == [ev.AdminCommandReceived, ev.FleetPaused]
            assert 0 < gate.in_flight.transactions < len(sends)
            await asyncio.sleep(600)
            assert len(nodes.log) == left
            held_back = [isinstance(each, GateClosed) for each in await asyncio.gather(*sends, return_exceptions=True)]
            assert any(held_back)
            assert not all(held_back)

    virtual_time.run(story())
