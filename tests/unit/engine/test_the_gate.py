"""What the gate lets out and whom, and what a pause waits for before it answers. On virtual time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from ghostfleet.chain.passage import GateClosed
from ghostfleet.engine.gate import ANSWERS_SECS, Gate, Reason
from ghostfleet.engine.ports import InFlight
from tests.unit.chain import virtual_time

SLOW_SECS = 20 * ANSWERS_SECS


def test_a_pause_is_not_answered_before_the_last_byte_is_out_however_long_that_takes() -> None:
    async def story() -> None:
        gate, loop = Gate(), asyncio.get_running_loop()
        async with gate.sending(["w1"]) as passage:
            passage.leave()
            assert gate.in_flight == InFlight(1, 1)
            loop.call_later(SLOW_SECS, passage.left)
            began = loop.time()
            assert await gate.close() == InFlight(1, 1)
            assert loop.time() - began == pytest.approx(SLOW_SECS + ANSWERS_SECS)
        assert gate.in_flight == InFlight(0, 0)

    virtual_time.run(story())


def test_a_batch_that_broke_off_while_it_was_written_holds_no_pause_up() -> None:
    async def story() -> None:
        gate = Gate()

        async def broken_off() -> None:
            async with gate.sending(["w1"]) as passage:
                passage.leave()
                raise ConnectionError

        with pytest.raises(ConnectionError):
            await broken_off()
        async with asyncio.timeout(ANSWERS_SECS / 2):
            assert await gate.close() == InFlight(0, 0)

    virtual_time.run(story())


def test_what_was_let_in_before_a_pause_does_not_leave_after_it() -> None:
    async def story() -> None:
        gate = Gate()
        async with gate.sending(["w1", "w2", "w2"]) as passage:
            assert passage.transactions == 3
            assert await gate.close() == InFlight(0, 0)
            with pytest.raises(GateClosed):
                passage.leave()
            assert gate.in_flight == InFlight(0, 0)

    virtual_time.run(story())


def test_a_batch_with_one_that_may_not_leave_any_more_does_not_leave_at_all() -> None:
    async def story() -> None:
        gate = Gate()
        async with gate.sending(["w1", "w2"]) as passage:
            gate.shut()
            gate.permit(frozenset({"w1"}))
            with pytest.raises(GateClosed):
                passage.leave()
        async with gate.sending(["w1", "w2", "w1"]) as passage:
            assert (passage.senders, passage.transactions) == ({"w1"}, 2)
            passage.leave()

    virtual_time.run(story())


@pytest.mark.parametrize("worse", [Reason.STORE, Reason.STOP])
def test_trouble_with_the_log_and_a_stop_hold_back_also_those_that_a_pause_does_not(worse: Reason) -> None:
    async def story() -> None:
        gate = Gate()
        gate.permit(frozenset({"w1"}))
        for reasons in ([worse], [worse, Reason.PAUSE]):
            for reason in reasons:
                gate.shut(reason)
            assert not gate.lets("w1")
            with pytest.raises(GateClosed, match=worse.value):
                await AsyncExitStack().enter_async_context(gate.sending(["w1"]))
        gate.open(worse)
        assert gate.lets("w1")
        assert not gate.lets("w2")
        assert not gate.is_open
        gate.open()
        assert gate.lets("w2")

    virtual_time.run(story())


@pytest.mark.parametrize("lets", [Gate.open, lambda gate: gate.permit(frozenset({"w1"}))], ids=["opened", "permitted"])
def test_who_waits_for_the_gate_goes_on_at_the_moment_it_lets_him(lets: object) -> None:
    async def story() -> None:
        assert callable(lets)
        gate = Gate()
        gate.shut()
        waiting = asyncio.create_task(gate.passable("w1"))
        await asyncio.sleep(1)
        gate.permit(frozenset({"w2"}))
        await asyncio.sleep(1)
        assert not waiting.done()
        lets(gate)
        async with asyncio.timeout(1):
            await waiting

    virtual_time.run(story())
