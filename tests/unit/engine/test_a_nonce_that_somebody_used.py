"""A nonce is used and no receipt of ours is to be had: its slot is given up once nothing of ours can land, and not before."""

from collections.abc import Sequence

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, AnswerClass, Hash, Receipt
from ghostfleet.engine.follow import FINALITIES_WITHOUT_A_TRACE
from tests.unit.chain import virtual_time
from tests.unit.engine.follow_stage import FINALITY_BLOCKS, KEY, Node, Stage, following, stage

STRANGER = Hash(b"\x99" * 32)
UNTRACED_BLOCKS = FINALITIES_WITHOUT_A_TRACE * FINALITY_BLOCKS
LOOKS_TAKE = 40
"""More blocks than it takes to look so often that a nonce counts as used."""


class Used(Node):
    """The wallet's nonce 0 was used in the block `used_in`, by `shown` where the node can show that."""

    used_in: int | None = None
    shown: Hash | None = None

    async def nonce(self, address: Address, tag: str | int = "latest") -> int:
        at = len(self.blocks) - 1 if isinstance(tag, str) else tag
        return 1 if self.used_in is not None and at >= self.used_in else 0

    async def transactions_in(self, number: int) -> Sequence[tuple[Hash, Address, int]]:
        return [(self.shown, KEY.address, 0)] if self.shown is not None and number == self.used_in else []

    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None:
        return None


async def used(on: Stage, node: Used, *, shown: Hash | None) -> ev.TransactionSigned:
    """Our bytes are signed, no node takes them, and the nonce goes to what is in the newest block."""
    node.answer = AnswerClass.NONCE_TOO_LOW
    signed = await on.signed()
    node.used_in, node.shown = len(node.blocks) - 1, shown
    return signed


def test_what_no_node_can_show_is_given_up_after_twice_the_finality_and_said_once() -> None:
    async def story() -> None:
        node = Used()
        async with stage(node=node) as on, following(on):
            await used(on, node, shown=None)
            await on.blocks(UNTRACED_BLOCKS)
            assert "TransactionSuperseded" not in on.kinds
            said = [it.message for it in on.told if isinstance(it, ev.ErrorRecorded)]
            assert said == ["nonce 0 is used, and no node shows by which transaction"]
            await on.blocks(LOOKS_TAKE)
            (ended,) = [it for it in on.told if isinstance(it, ev.TransactionSuperseded)]
            assert ended.by is None
            assert on.wallet.slots == ()

    virtual_time.run(story())


def test_blocks_that_came_while_nobody_looked_give_nothing_up() -> None:
    """The endpoints were away for an hour; the first that answers again may lag."""

    async def story() -> None:
        node = Used()
        async with stage(node=node) as on, following(on):
            await used(on, node, shown=None)
            while "ErrorRecorded" not in on.kinds:
                await on.blocks(1)
            node.grow(2 * UNTRACED_BLOCKS)
            await on.blocks(2)
            assert "TransactionSuperseded" not in on.kinds
            await on.blocks(LOOKS_TAKE)
            assert "TransactionSuperseded" in on.kinds

    virtual_time.run(story())


def test_what_is_shown_takes_the_slot_once_it_is_as_deep_as_finality() -> None:
    async def story() -> None:
        node = Used()
        async with stage(node=node) as on, following(on):
            await used(on, node, shown=STRANGER)
            await on.blocks(FINALITY_BLOCKS - 1)
            assert "TransactionSuperseded" not in on.kinds
            await on.blocks(LOOKS_TAKE)
            (seen,) = [it for it in on.told if isinstance(it, ev.OutsideTransactionSeen)]
            (ended,) = [it for it in on.told if isinstance(it, ev.TransactionSuperseded)]
            assert (seen.hash, ended.by, seen.block.number) == (STRANGER, STRANGER, node.used_in)
            assert on.wallet.slots == ()

    virtual_time.run(story())


def test_what_turns_out_to_be_ours_is_never_given_up() -> None:
    """Its receipt is late, for as long as it may be."""

    async def story() -> None:
        node = Used()
        async with stage(node=node) as on, following(on):
            signed = await used(on, node, shown=None)
            node.shown = signed.hash
            await on.blocks(2 * UNTRACED_BLOCKS)
            assert "TransactionSuperseded" not in on.kinds
            (said,) = [it for it in on.told if isinstance(it, ev.ErrorRecorded)]
            assert said.error_class == "receipt_missing"

    virtual_time.run(story())


@pytest.mark.parametrize("shown", [None, STRANGER], ids=["untraced", "shown"])
def test_one_node_that_is_wrong_about_the_nonce_for_a_moment_gives_up_nothing(shown: Hash | None) -> None:
    async def story() -> None:
        node = Used()
        async with stage(node=node) as on, following(on):
            await used(on, node, shown=shown)
            for _ in range(8):
                await on.blocks(FINALITY_BLOCKS // 2)
                node.used_in = None
                await on.blocks(10)
                node.used_in = len(node.blocks) - 1
            assert "TransactionSuperseded" not in on.kinds

    virtual_time.run(story())
