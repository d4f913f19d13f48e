"""A receipt is not looked for while every block since its bytes left is known and names others. Any uncertainty ends that."""

from collections.abc import Callable

import msgspec
import pytest

from ghostfleet.domain.events import ChainReorganised
from ghostfleet.domain.values import Hash, Head
from ghostfleet.engine import heads as heads_
from ghostfleet.engine.heads import Heads
from tests.unit.engine.test_heads_believe_nothing_at_one_look import Node, branch, look, watching

OURS, OTHER = Hash(b"o" * 32), Hash(b"x" * 32)


def holding(block: Head, *hashes: Hash) -> Head:
    return msgspec.structs.replace(block, transactions=tuple(map(str, hashes)))


def others(name: str, length: int, root: list[Head] | None = None) -> list[Head]:
    """Blocks that name their transactions, none of them ours."""
    return [holding(block, OTHER) for block in branch(name, length, root)]


@pytest.fixture
def node() -> Node:
    return Node(others("a", 5))


@pytest.fixture
async def heads(node: Node) -> Heads:
    seen: list[ChainReorganised] = []
    heads = watching(node, seen)
    await look(heads, node)
    heads.unseen.leaves(OURS)
    return heads


async def test_it_stays_unseen_while_blocks_hold_others(heads: Heads, node: Node):
    node.chain = others("a", 9, node.chain)
    await look(heads, node)
    assert OURS in heads.unseen
    assert OTHER not in heads.unseen


@pytest.mark.parametrize("number", [5, 6, 8])
async def test_the_block_that_names_it_may_be_any_of_the_new_ones(heads: Heads, node: Node, number: int):
    node.chain = others("a", 9, node.chain)
    node.chain[number] = holding(node.chain[number], OTHER, OURS)
    await look(heads, node)
    assert OURS not in heads.unseen


async def test_a_header_without_transactions_may_be_that_of_its_block(heads: Heads, node: Node):
    node.chain = others("a", 9, node.chain)
    node.chain[6] = msgspec.structs.replace(node.chain[6], transactions=None)
    await look(heads, node)
    assert OURS not in heads.unseen


async def test_it_may_be_in_any_block_of_another_branch(heads: Heads, node: Node):
    node.chain = others("b", 8, node.chain[:3])
    await look(heads, node)
    assert OURS in heads.unseen
    await look(heads, node)
    assert OURS not in heads.unseen


async def test_it_may_be_in_a_block_that_was_skipped(heads: Heads, node: Node, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(heads_, "MAX_GAP", 2)
    node.chain = others("a", 9, node.chain)
    await look(heads, node)
    assert OURS in heads.unseen, "so far ahead a head counts at the second look"
    await look(heads, node)
    assert OURS not in heads.unseen


@pytest.mark.parametrize(
    "forgotten", [lambda heads: heads.unseen.forget(OURS), lambda heads: heads.unseen.lost_track()]
)
async def test_what_nobody_waits_for_is_not_kept(heads: Heads, forgotten: Callable[[Heads], None]):
    forgotten(heads)
    assert OURS not in heads.unseen


async def test_headers_are_remembered_without_their_transactions(heads: Heads):
    assert heads.head is not None
    assert {header.transactions for header in [heads.head, *heads._known.values()]} == {None}
