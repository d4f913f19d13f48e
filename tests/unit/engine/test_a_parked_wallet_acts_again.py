"""A wallet is parked for what one turn would have cost. Fees fall, the next action may cost less: no reason to wait for ever."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Call, Fees, Head
from ghostfleet.plugins.api import Action
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import COST_WEI, FEES, GAS, SAFE, FeeSource, Stage
from tests.unit.engine.lane_stage import Answering, acting

SPIKE = Fees(1000, 1)
DEAR = Action(kind="k", call=Call(to=SAFE, value_wei=10**18), gas=GAS)


class Market:
    fees = SPIKE


@pytest.fixture
def market() -> Iterator[Market]:
    found = Market()

    async def suggest(_self: FeeSource, _head: Head) -> Fees:
        return found.fees

    with patch.object(FeeSource, "suggest", suggest):
        yield found


def errors(on: Stage) -> list[ev.Event]:
    return [it for it in on.told if isinstance(it, ev.ErrorRecorded) and it.counts]


def test_it_acts_at_its_next_turn_once_fees_have_fallen(market: Market) -> None:
    async def story() -> None:
        async with acting(Answering()) as on:
            on.node.balance_wei = 2 * COST_WEI
            await on.blocks(210)
            needs = [it.need_wei for it in on.told if isinstance(it, ev.WalletParked)]
            assert needs == [GAS * SPIKE.max_fee_wei], "two turns later that is no news"
            market.fees = Fees(500, 1)
            await on.blocks(100)
            assert on.wallet.parked_until_wei == GAS * 500, "it says what would do by now"
            market.fees = FEES
            await on.blocks(100)
            assert on.wallet.parked_until_wei is None
            assert len(on.node.sent) == 1
            assert len(errors(on)) == 1, "it is one trouble, however often it is looked at"

    virtual_time.run(story())


def test_it_acts_when_its_next_action_is_one_that_it_can_pay_for(market: Market) -> None:
    market.fees = FEES

    async def story() -> None:
        plugin = Answering(decide=DEAR)
        async with acting(plugin) as on:
            on.node.balance_wei = 2 * COST_WEI
            await on.blocks(10)
            assert on.wallet.parked_until_wei == 10**18 + COST_WEI
            plugin.said = Answering().said
            await on.blocks(130)
            assert [it.call.value_wei for it in on.node.sent] == [0]

    virtual_time.run(story())


def test_it_still_acts_at_once_where_the_balance_comes(market: Market) -> None:
    async def story() -> None:
        async with acting(Answering()) as on:
            on.node.balance_wei = 2 * COST_WEI
            await on.blocks(10)
            on.node.balance_wei = 10**18
            await on.blocks(int(on.world.pace.park_secs) + 2)
            assert len(on.node.sent) == 1

    virtual_time.run(story())
