"""A wallet's own balance is asked once a turn, whoever wants to know it."""

import asyncio

import pytest

from ghostfleet.domain.values import Address, Octets
from ghostfleet.engine.view import TurnView

OWN, OTHER = Address(b"\1" * 20), Address(b"\2" * 20)


class Counting:
    """A view that counts."""

    def __init__(self) -> None:
        self.asked: list[Address] = []

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        return Octets(data)

    async def balance(self, address: Address) -> int:
        self.asked.append(address)
        return 7

    async def head_time_secs(self) -> int:
        return 1


async def _answer(wei: int) -> int:
    await asyncio.sleep(0)
    return wei


async def test_the_lane_and_the_plugin_get_the_one_answer() -> None:
    view = Counting()
    lanes = asyncio.ensure_future(_answer(5))
    turn = TurnView(view, OWN, lanes)
    assert await asyncio.gather(turn.balance(OWN), turn.balance(OWN), lanes) == [5, 5, 5]
    assert view.asked == []


async def test_other_questions_go_to_the_chain() -> None:
    view = Counting()
    turn = TurnView(view, OWN, asyncio.ensure_future(_answer(5)))
    assert await turn.balance(OTHER) == 7
    assert await turn.call(OTHER, b"x") == b"x"
    assert await turn.head_time_secs() == 1
    assert view.asked == [OTHER]


async def test_a_plugin_that_gives_up_leaves_the_lanes_question_alone() -> None:
    lanes = asyncio.ensure_future(asyncio.sleep(0.01, 5))
    turn = TurnView(Counting(), OWN, lanes)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await turn.balance(OWN)
    assert await lanes == 5
