"""What is in the chain may be taken out of it, in more ways than one."""

import pytest

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
