"""Nodes lag and disagree: a reorganisation is believed at the second look, a lower head only after many."""

import asyncio
import contextlib

import pytest

from ghostfleet.domain.events import ChainReorganised
from ghostfleet.domain.values import BlockRef, Hash, Head
from ghostfleet.engine import heads as heads_
from ghostfleet.engine.heads import Heads
from ghostfleet.errors import TryAgain


def block(number: int, branch: str, parent: Head | None) -> Head:
    return Head(
        number=number,
        hash=Hash(f"{branch}{number}".encode().ljust(32, b"\0")),
        parent=parent.hash if parent is not None else Hash(32),
        time_secs=number,
        base_fee_wei=1,
        gas_limit=30_000_000,
    )


def branch(name: str, length: int, root: list[Head] | None = None) -> list[Head]:
    """A chain of headers, growing from the end of `root`."""
    chain = list(root or [])
    while len(chain) < length:
        chain.append(block(len(chain), name, chain[-1] if chain else None))
    return chain


class Node:
    """A node that shows one chain, up to a height."""

    def __init__(self, chain: list[Head]) -> None:
        self.chain = chain
        self.asked: list[int] = []

    async def head(self) -> Head:
        return self.chain[-1]

    async def head_at(self, number: int) -> Head | None:
        self.asked.append(number)
        return self.chain[number] if number < len(self.chain) else None


@pytest.fixture
def seen() -> list[ChainReorganised]:
    return []


def watching(node: Node, seen: list[ChainReorganised], depth: int = 32) -> Heads:
    async def note(event: ChainReorganised) -> None:
        seen.append(event)

    return Heads(node, poll_secs=1, depth=depth, on_reorganisation=note)  # type: ignore[arg-type]


async def look(heads: Heads, node: Node) -> None:
    await heads._look(await node.head())


async def test_new_blocks_are_walked_through_and_linked(seen: list[ChainReorganised]):
    node = Node(branch("a", 5))
    heads = watching(node, seen)
    await look(heads, node)
    node.chain = branch("a", 9)
    await look(heads, node)
    assert heads.head == node.chain[8]
    assert sorted(node.asked) == [5, 6, 7]
    assert await heads.canonical(BlockRef(6, node.chain[6].hash)) is True
    assert await heads.canonical(BlockRef(6, Hash(b"x" * 32))) is False
    assert await heads.canonical(BlockRef(9, Hash(b"x" * 32))) is None


async def test_a_reorganisation_is_believed_at_the_second_look_only(seen: list[ChainReorganised]):
    node = Node(branch("a", 8))
    heads = watching(node, seen)
    await look(heads, node)
    old = [await heads.canonical(BlockRef(n, node.chain[n].hash)) for n in range(8)]
    assert all(old)
    fork = branch("b", 10, node.chain[:5])
    before, node.chain = node.chain, fork
    await look(heads, node)
    assert (seen, heads.head) == ([], before[-1])
    generation = heads.generation
    node.chain = branch("b", 11, fork)
    await look(heads, node)
    assert [(it.depth, it.ancestor) for it in seen] == [(3, 4)]
    assert heads.generation > generation
    assert await heads.canonical(BlockRef(6, before[6].hash)) is False
    assert await heads.canonical(BlockRef(6, fork[6].hash)) is True
    assert await heads.canonical(BlockRef(4, before[4].hash)) is True


async def test_a_reorganisation_below_all_that_was_seen_is_told_of_what_was_seen(seen: list[ChainReorganised]):
    """Found with anvil_reorg soon after a start: it was told as one down to the genesis block."""
    node = Node(branch("a", 8))
    heads = watching(node, seen)
    await look(heads, node)
    before, node.chain = node.chain, branch("b", 9, node.chain[:3])
    for _ in range(2):
        await look(heads, node)
    assert [(it.depth, it.ancestor) for it in seen] == [(1, 6)]
    assert await heads.canonical(BlockRef(5, before[5].hash)) is False
    assert await heads.canonical(BlockRef(2, before[2].hash)) is True


async def test_one_disagreeing_node_among_others_reorganises_nothing(seen: list[ChainReorganised]):
    good = Node(branch("a", 8))
    odd = Node(branch("b", 9, good.chain[:7]))
    heads = watching(good, seen)
    await look(heads, good)
    for _ in range(5):
        heads._chain = odd  # type: ignore[assignment]
        await look(heads, odd)
        heads._chain = good  # type: ignore[assignment]
        await look(heads, good)
    assert seen == []
    assert heads.head == good.chain[-1]


async def test_headers_of_two_nodes_that_do_not_hang_together_tell_no_story(seen: list[ChainReorganised]):
    good = Node(branch("a", 8))
    heads = watching(good, seen)
    await look(heads, good)
    stranger = branch("c", 10, good.chain[:3])
    for _ in range(3):
        with contextlib.suppress(TryAgain):  # a missing header in the middle: the next poll asks again
            await heads._look(stranger[-1])  # the head of one node, the headers of another
    assert seen == []


async def test_a_lagging_node_changes_nothing(seen: list[ChainReorganised]):
    node = Node(branch("a", 8))
    heads = watching(node, seen)
    await look(heads, node)
    node.chain = node.chain[:6]
    for _ in range(heads_.LOOKS_AT_A_LOWER_HEAD - 1):
        await look(heads, node)
    assert seen == []
    assert heads.head is not None
    assert heads.head.number == 7


async def test_blocks_that_were_taken_back_are_noticed_after_many_looks(seen: list[ChainReorganised]):
    node = Node(branch("a", 8))
    heads = watching(node, seen)
    await look(heads, node)
    taken = node.chain[7]
    node.chain = node.chain[:6]
    for _ in range(heads_.LOOKS_AT_A_LOWER_HEAD):
        await look(heads, node)
    assert [(it.depth, it.ancestor) for it in seen] == [(2, 5)]
    assert await heads.canonical(BlockRef(7, taken.hash)) is None
    assert heads.head == node.chain[5]


async def test_after_a_long_silence_older_blocks_are_asked_for_again(seen: list[ChainReorganised]):
    node = Node(branch("a", 3))
    heads = watching(node, seen)
    await look(heads, node)
    node.chain = branch("a", 3 + heads_.MAX_GAP + 10)
    await look(heads, node)
    node.chain = branch("a", len(node.chain) + 1, node.chain)
    await look(heads, node)
    assert heads.head == node.chain[-1]
    assert await heads.canonical(BlockRef(2, node.chain[2].hash)) is True
    assert 2 in node.asked


async def test_a_head_far_ahead_that_one_answer_names_is_none(seen: list[ChainReorganised]):
    """It would make everything final that is in the chain, and each slot that is opened at it young for ever."""
    node, other = Node(branch("a", 8)), Node(branch("b", 300))
    heads = watching(node, seen)
    await look(heads, node)
    for odd in (other, other, Node(branch("c", 400))):
        await look(heads, odd)
        assert heads.head == node.chain[7]
        await look(heads, node)
    node.chain = branch("a", 200, node.chain)
    await look(heads, other)
    await look(heads, node)
    assert heads.head == branch("a", 8)[7], "lower than what was seen first, and another chain's"
    await look(heads, node)
    assert heads.head == node.chain[199]
    assert seen == []


class SlowNode(Node):
    """One that answers later, and counts how many of its callers wait at a time."""

    waiting = most = 0

    async def head_at(self, number: int) -> Head | None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        return await super().head_at(number)


async def after_a_long_stop(seen: list[ChainReorganised], blocks: int) -> tuple[SlowNode, Heads]:
    node = SlowNode(branch("a", blocks))
    heads = watching(node, seen)
    await look(heads, node)
    node.asked.clear()
    return node, heads


async def test_after_a_long_stop_a_thousand_lanes_share_one_walk_down(seen: list[ChainReorganised]):
    node, heads = await after_a_long_stop(seen, 800)
    deep = [BlockRef(n, node.chain[n].hash) for n in range(90, 100) for _ in range(100)]
    assert all(await asyncio.gather(*(heads.canonical(block) for block in deep)))
    assert sorted(node.asked) == list(range(90, 799)), "each header once, whoever wants to know"
    assert node.most <= heads_.WALK_BLOCKS


async def test_a_walk_that_meets_another_branch_says_nothing_and_the_next_one_may(seen: list[ChainReorganised]):
    node, heads = await after_a_long_stop(seen, 100)
    whole = node.chain
    node.chain = branch("b", 60) + whole[60:]
    assert await asyncio.gather(*(heads.canonical(BlockRef(50, whole[50].hash)) for _ in range(3))) == [None] * 3
    assert await heads.canonical(BlockRef(70, whole[70].hash)) is True
    node.chain = whole
    assert await heads.canonical(BlockRef(50, whole[50].hash)) is True
    assert await heads.canonical(BlockRef(49, whole[48].hash)) is False


async def test_a_reorganisation_during_a_walk_ends_it(seen: list[ChainReorganised]):
    node, heads = await after_a_long_stop(seen, 100)
    walk = asyncio.ensure_future(heads.canonical(BlockRef(10, node.chain[10].hash)))
    await asyncio.sleep(0)
    heads._lose_track()
    assert await walk is None


async def test_one_that_gives_up_waiting_leaves_the_walk_to_the_others(seen: list[ChainReorganised]):
    node, heads = await after_a_long_stop(seen, 100)
    walks = [asyncio.ensure_future(heads.canonical(BlockRef(10, node.chain[10].hash))) for _ in range(3)]
    await asyncio.sleep(0)
    walks[0].cancel()
    assert await asyncio.gather(*walks[1:]) == [True, True]


async def test_headers_below_a_full_memory_are_known_and_not_kept(seen: list[ChainReorganised]):
    node, heads = await after_a_long_stop(seen, heads_.MAX_REMEMBERED + 300)
    assert await heads.canonical(BlockRef(310, node.chain[310].hash)) is True
    assert await heads.canonical(BlockRef(250, node.chain[250].hash)) is True
    assert len(heads._known) == heads_.MAX_REMEMBERED
    assert sorted(heads._known) == list(range(min(heads._known), len(node.chain)))


async def test_a_change_during_a_look_is_not_missed(seen: list[ChainReorganised]):
    node = Node(branch("a", 3))
    heads = watching(node, seen)
    await look(heads, node)
    change = heads.next_change()
    node.chain = branch("a", 4)
    await look(heads, node)
    async with asyncio.timeout(1):
        await heads.changed(30, change)


async def test_the_headers_kept_are_bounded(seen: list[ChainReorganised]):
    node = Node(branch("a", heads_.MAX_REMEMBERED + 200))
    whole, heads = node.chain, watching(node, seen)
    for length in range(1, len(whole), 50):
        node.chain = whole[:length]
        await look(heads, node)
    assert len(heads._known) <= heads_.MAX_REMEMBERED
