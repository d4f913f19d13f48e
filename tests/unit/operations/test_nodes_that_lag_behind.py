"""What a node refuses that has not seen the newest block yet is not given up for good."""

import asyncio
import dataclasses

from ghostfleet.chain.answers import sort_error
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.values import Address, Call
from ghostfleet.engine.errands import run_errands
from ghostfleet.operations.extract import ExtractDuty
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import EXTRACT, GAS, SAFE
from tests.unit.operations.test_what_cannot_be_read import GOOD, Protocol, operation

BEHIND_SECS = 4.0


def test_a_token_that_came_in_the_newest_block_is_swept_before_the_last_gas() -> None:
    """Refused three times within a blink, it was left behind, and the coin for its gas was gone."""

    async def story() -> None:
        async with operation(Protocol("", [GOOD]), "extract", EXTRACT) as (on, _):
            since = asyncio.get_running_loop().time()

            async def estimate_gas(sender: Address, call: Call) -> int:
                if call.to == GOOD.address and asyncio.get_running_loop().time() < since + BEHIND_SECS:
                    raise RpcRefused(sort_error(3, "execution reverted: transfer amount exceeds balance"))
                return GAS

            on.node.estimate_gas = estimate_gas  # type: ignore[method-assign]
            on.world.in_force.now = dataclasses.replace(
                on.world.in_force.now, allowed=AllowList({GOOD.address: "a token"})
            )
            duty = ExtractDuty("extract-1", SAFE, on.world)
            for _ in range(4):
                outcome = await run_errands(on.world, "w", duty)
                if outcome.opened:
                    break
                await asyncio.sleep(outcome.wait_secs)
            decided = [it for it in on.told if isinstance(it, ev.ActionDecided)]
            assert [it.kind for it in decided] == ["sweep_token"] * len(decided)
            assert outcome.opened

    virtual_time.run(story())


def test_nobody_wakes_a_wallet_that_waits_before_it_is_asked_again() -> None:
    """Each look at the operation did, at every event of another wallet: three tries took no time at all."""

    async def story() -> None:
        nudged: list[str] = []
        async with operation(Protocol(), "extract", EXTRACT) as (on, runner):
            runner._nudge = nudged.append
            duty = on.world.duties["w"]
            runner.changed()
            await asyncio.sleep(1)
            assert nudged == ["w"], "it may have missed the first"
            duty.waiting = "sweep_token: execution reverted"
            runner.changed()
            await asyncio.sleep(10)
            assert nudged == ["w"]

    virtual_time.run(story())
