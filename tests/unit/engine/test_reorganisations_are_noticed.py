"""What is in the chain may be taken out of it, in more ways than one."""

import asyncio

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import AnswerClass
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import following, stage


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_chain_that_is_shorter_for_a_while_hides_no_reorganisation(gone: int) -> None:
    """Blocks are taken back first, as a rollback does, and grow again on another branch: none contradicts the head before it."""

    async def story() -> int:
        async with stage() as on:
            await on.included(await on.signed())
            async with following(on):
                on.node.take_back(gone)
                await on.blocks(0)
                for _ in range(30):
                    await on.heads.changed(1.0)
                await on.blocks(gone + 4, branch="b")
            assert "TransactionReorged" in on.kinds
            return on.node.blocks[-1].number

    assert virtual_time.run(story()) < 20


def test_what_is_stuck_on_a_chain_that_became_shorter_does_not_wait_for_the_blocks_that_are_gone() -> None:
    async def story() -> None:
        async with stage() as on:
            on.node.grow(90)
            await asyncio.sleep(1)
            async with following(on):
                on.node.answer = AnswerClass.ALREADY_KNOWN  # it says so, and no block takes it
                await on.signed()
                await on.blocks(2)
                assert on.node.sent
                on.node.take_back(60)
                await asyncio.sleep(30)
                await on.blocks(20)
            attempts = [it for it in on.told if isinstance(it, ev.TransactionSigned)]
            assert [it.attempt for it in attempts][:2] == [1, 2]

    virtual_time.run(story())
