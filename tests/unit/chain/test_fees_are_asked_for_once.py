"""A thousand lanes, one head, one question; and a question that fails or is given up strands nobody."""

import asyncio

import pytest
import virtual_time

from ghostfleet.chain.edge import EndpointsUnavailable
from ghostfleet.chain.fees import FeeOracle, FeeRules
from ghostfleet.chain.shapes import FeeHistory
from ghostfleet.domain.values import Fees, Hash, Head


class Source:
    """Fee histories after a second; fails while `down`."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    async def fee_history(self, blocks: int) -> FeeHistory:
        self.asked += 1
        await asyncio.sleep(1)
        if self.down:
            raise EndpointsUnavailable("all are down")
        return FeeHistory(base_fees_wei=(1, 10 * self.asked), tips_wei=(1,))


def head(number: int, fork: int = 0) -> Head:
    return Head(
        number=number,
        hash=Hash(bytes([number, fork]) * 16),
        parent=Hash(bytes(32)),
        time_secs=1,
        base_fee_wei=1,
        gas_limit=1,
    )


def test_lanes_with_one_head_share_one_question_and_an_older_head_asks_none() -> None:
    async def story() -> None:
        source = Source()
        oracle = FeeOracle(source, lambda: FeeRules(cap_wei=1000))
        assert set(await asyncio.gather(*(oracle.suggest(head(5)) for _ in range(100)))) == {Fees(21, 1)}
        assert await oracle.suggest(head(4)) == Fees(21, 1)
        assert source.asked == 1
        assert await oracle.suggest(head(6)) == Fees(41, 1)
        assert await oracle.suggest(head(6, fork=1)) == Fees(61, 1)

    virtual_time.run(story())


def test_a_head_far_ahead_that_was_none_does_not_keep_its_fees_in_force() -> None:
    """One endpoint's word is enough for a head far ahead (heads.py); the next look takes it back."""

    async def story() -> None:
        oracle = FeeOracle(Source(), lambda: FeeRules(cap_wei=1000))
        assert await oracle.suggest(head(200)) == Fees(21, 1)
        assert await oracle.suggest(head(5)) == Fees(41, 1)

    virtual_time.run(story())


def test_a_failure_is_heard_by_all_at_once_and_the_next_question_is_asked_anew() -> None:
    async def story() -> None:
        source = Source()
        source.down = True
        oracle = FeeOracle(source, lambda: FeeRules(cap_wei=1000))
        ends = await asyncio.gather(*(oracle.suggest(head(5)) for _ in range(100)), return_exceptions=True)
        assert {type(end) for end in ends} == {EndpointsUnavailable}
        assert asyncio.get_running_loop().time() == 1
        source.down = False
        assert await oracle.suggest(head(5)) == Fees(41, 1)

    virtual_time.run(story())


def test_when_the_asker_is_cancelled_another_asks() -> None:
    async def story() -> None:
        source = Source()
        oracle = FeeOracle(source, lambda: FeeRules(cap_wei=1000))
        first, second = (asyncio.create_task(oracle.suggest(head(5))) for _ in range(2))
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == Fees(41, 1)
        with pytest.raises(asyncio.CancelledError):
            await first

    virtual_time.run(story())
