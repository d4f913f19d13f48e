"""Every claim of "0 differences" rests on this: one forged difference of each kind is told, and nothing where there is none."""

from collections.abc import AsyncIterator, Callable

import pytest
from reconciled_chain import Told, told_as_it_is

from ghostfleet.domain.values import Hash
from ghostfleet.operations import reconcile as reconciling

NOWHERE = Hash(b"\x77" * 32)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    async with told_as_it_is() as told:
        yield told


async def test_a_log_that_tells_the_chain_as_it_is_has_no_difference(told: Told) -> None:
    assert await told.differences() == []


FORGED: dict[str, tuple[Callable[[Told], object], list[str]]] = {
    "a transaction is missing in the log": (
        lambda told: told.rows.pop("w1/4 1"),
        ["w1: nonce 4, <w1/4 1>: on chain, not in the log", "w1: nonces [4] used on chain only, [] in the log only"],
    ),
    "a use of the key elsewhere is not in the log": (
        lambda told: setattr(told, "outside", frozenset()),
        ["w1: nonce 3, <outside>: on chain, not in the log", "w1: nonces [3] used on chain only, [] in the log only"],
    ),
    "another hash": (
        lambda told: told.forge("w1/1 1", hash=NOWHERE),
        [f"w1: nonce 0, {NOWHERE}: final in the log, not on chain", "w1: nonce 0, <w1/1 1>: on chain, not in the log"],
    ),
    "mined in the log only": (
        lambda told: told.forge("w2/2 1", status="mined", block_number=5),
        [
            "w2: nonce 1, <w2/2 1>: mined in the log, not on chain",
            "w2: nonces [] used on chain only, [1] in the log only",
        ],
    ),
    "open in the log, on chain": (
        lambda told: told.forge("w1/4 1", status="open", block_number=None),
        [
            "w1: nonce 4, <w1/4 1>: open in the log, in block 6 on chain",
            "w1: nonces [4] used on chain only, [] in the log only",
        ],
    ),
    "superseded in the log, on chain": (
        lambda told: told.forge("w2/1 1", status="superseded"),
        ["w2: nonce 0, <w2/1 1>: superseded in the log, in block 7 on chain"],
    ),
    "another block": (
        lambda told: told.forge("w1/4 1", block_number=5),
        ["w1: nonce 4, <w1/4 1>: in block 5 <block 6> in the log, 6 <block 6> on chain"],
    ),
    "a success that is told as reverted": (
        lambda told: told.forge("w1/1 1", status="reverted"),
        ["w1: nonce 0, <w1/1 1>: reverted in the log, status 1 on chain"],
    ),
    "a revert that is told as success": (
        lambda told: told.forge("w1/2 1", status="final"),
        ["w1: nonce 1, <w1/2 1>: final in the log, status 0 on chain"],
    ),
    "an action with two nonces": (
        lambda told: told.forge("w2/2 1", action_id="w2/1"),
        ["w2: w2/1 has nonces [0, 1], and 1 on chain"],
    ),
    "an action with two transactions on chain": (
        lambda told: told.forge("w1/4 1", action_id="w1/1"),
        ["w1: w1/1 has nonces [0, 4], and 2 on chain"],
    ),
    "two attempts of a nonce on chain": (
        lambda told: told.forge("w1/3 1", status="cancelled", block_number=4),
        [
            "w1: nonce 2, <w1/3 1>: cancelled in the log, not on chain",
            "w1: w1/3 has nonces [2], and 2 on chain",
        ],
    ),
    "another nonce": (
        lambda told: told.forge("w1/4 1", nonce=9),
        [
            "w1: nonce 4, <w1/4 1>: nonce 9 of w1 in the log",
            "w1: nonces [4] used on chain only, [9] in the log only",
        ],
    ),
    "two nonces that have changed places": (
        lambda told: (told.forge("w1/1 1", nonce=1), told.forge("w1/2 1", nonce=0)),
        ["w1: nonce 0, <w1/1 1>: nonce 1 of w1 in the log", "w1: nonce 1, <w1/2 1>: nonce 0 of w1 in the log"],
    ),
    "another wallet": (
        lambda told: told.forge("w2/1 1", wallet="w1"),
        ["w2: nonce 0, <w2/1 1>: nonce 0 of w1 in the log"],
    ),
    "another block of the same number": (
        lambda told: told.forge("w1/4 1", block_hash=NOWHERE),
        [f"w1: nonce 4, <w1/4 1>: in block 6 {NOWHERE} in the log, 6 <block 6> on chain"],
    ),
}


@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_difference_is_told(told: Told, kind: str) -> None:
    forge, expected = FORGED[kind]
    forge(told)
    assert await told.differences() == expected


@pytest.mark.parametrize("at_once", [1, 2, 6, 7])
async def test_every_block_and_every_attempt_is_looked_at_however_many_at_once(
    told: Told, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Seven blocks, six attempts: a difference of the last of each is told, and of the first attempt."""
    monkeypatch.setattr(reconciling, "BLOCKS_AT_ONCE", at_once)
    monkeypatch.setattr(reconciling, "RECEIPTS_AT_ONCE", at_once)
    told.rows.pop("w2/1 1")
    told.forge("w1/1 1", status="reverted")
    told.forge("w2/2 1", status="mined")
    assert await told.differences() == [
        "w1: nonce 0, <w1/1 1>: reverted in the log, status 1 on chain",
        "w2: nonce 1, <w2/2 1>: mined in the log, not on chain",
        "w2: nonce 0, <w2/1 1>: on chain, not in the log",
        "w2: nonces [] used on chain only, [1] in the log only",
    ]
