"""The story of a transaction, in the order in which it happened, and how things stand now."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address, AnswerClass, BlockRef, Call, Fees, Hash, Octets
from ghostfleet.operations.tale import tell

T0_US = 1_767_268_800_000_000
"""2026-01-01T12:00:00Z"""
ADDRESS = Address(b"\x01" * 20)
TX, OTHER = Hash(b"\x02" * 32), Hash(b"\x03" * 32)
BLOCK = BlockRef(70, TX)
ACTION = "wallet-001/7"


def told(*events: ev.Event, tx: Hash = TX, now_us: int = T0_US + 90_000_000) -> tuple[str, ...]:
    found = [
        ev.Recorded(n, "wallet/wallet-001", n, T0_US + n * 1_000_000, ACTION, event) for n, event in enumerate(events)
    ]
    return tell(tx, found, now_us)


DECIDED = ev.ActionDecided(
    action_id=ACTION, plugin="ghostnet", kind="jack_in", params={"level": 3}, seed=1, observation={}, profile="degen",
    config_digest="", call=Call(to=ADDRESS), spend_wei=0, balance_wei=5 * 10**15, next_turn_us=0,
)  # fmt: skip


def signed(attempt: int = 1, tx: Hash = TX, purpose: ev.Purpose = "action") -> ev.Event:
    return ev.TransactionSigned(
        action_id=ACTION, nonce=6, attempt=attempt, purpose=purpose, hash=tx, raw=Octets(b""), to=ADDRESS, value_wei=10**18,
        gas=21_000, fees=Fees(2_500_000_000, 1),
    )  # fmt: skip


def mined(tx: Hash = TX, *, success: bool = True) -> ev.Event:
    return ev.TransactionMined(
        action_id=ACTION, nonce=6, attempt=1, hash=tx, block=BLOCK, success=success, gas_used=21_000,
        gas_price_wei=10**9, revert_reason="" if success else "PositionLocked()",
    )  # fmt: skip


FINAL = ev.TransactionFinal(action_id=ACTION, nonce=6, hash=TX)
REFUSED = ev.BroadcastFailed(
    action_id=ACTION, nonce=6, hash=TX, endpoint="node-b", error_class=AnswerClass.RATE_LIMITED, message="429"
)


def test_the_whole_way_from_the_decision_to_finality():
    assert told(
        DECIDED, signed(), REFUSED, ev.BroadcastAccepted(action_id=ACTION, nonce=6, hash=TX, endpoint="node-a"),
        mined(), ev.ActionSucceeded(action_id=ACTION), FINAL,
    ) == (
        "2026-01-01 12:00:00 UTC: wallet-001, a degen holding 0.005 ETH, decided to jack_in on ghostnet (wallet-001/7):"
        ' {"level":3}.',
        f"2026-01-01 12:00:01 UTC: It was signed for nonce 6 to {ADDRESS}, 1 ETH, at most 2.5 gwei a unit of gas: {TX}.",
        f"2026-01-01 12:00:02 UTC: node-b did not take {TX}: rate_limited, 429.",
        f"2026-01-01 12:00:03 UTC: node-a took it: {TX}.",
        f"2026-01-01 12:00:04 UTC: It was mined in block 70 for 0.000021 ETH: {TX}.",
        "2026-01-01 12:00:05 UTC: wallet-001/7 counts as succeeded.",
        "2026-01-01 12:00:06 UTC: Its block is final.",
        "Now: It succeeded in block 70, which is final.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "last"),
    [
        ((DECIDED, signed()), "Now: the chain has not settled it for 1 min; ghost-fleet explain wallet-001 says"),
        ((DECIDED, signed(), mined(success=False)), "Now: It reverted in block 70, not final yet."),
        ((DECIDED, signed(), signed(2, OTHER), mined(OTHER)), f"Now: Another attempt at the same nonce, {OTHER},"),
        (
            (
                DECIDED,
                signed(),
                mined(),
                ev.TransactionReorged(action_id=ACTION, nonce=6, hash=TX, block=BLOCK),
            ),
            "Now: the chain has not settled it",
        ),
        (
            (
                DECIDED,
                signed(),
                ev.TransactionSuperseded(action_id=ACTION, nonce=6, hash=TX, by=OTHER),
            ),
            f"Now: it never takes effect: nonce 6 was used by {OTHER}.",
        ),
        (
            (DECIDED, ev.ActionRejected(action_id=ACTION, error_class="limit", reason="limit reached")),
            "Now: nothing was sent, no nonce was spent.",
        ),
        (
            (ev.OutsideTransactionSeen(nonce=6, hash=TX, block=BLOCK),),
            "Now: signed elsewhere with this wallet's key.",
        ),
    ],
)
def test_the_last_word_says_how_things_stand(events: tuple[ev.Event, ...], last: str):
    assert told(*events)[-1].startswith(last)


def test_attempts_after_the_first_say_what_they_are_for():
    sentences = told(DECIDED, signed(), signed(2, OTHER, "cancel"))
    assert "It was signed anew (attempt 2, to give the nonce away) for nonce 6" in sentences[2]


def test_what_others_said_is_cut_to_one_line():
    hostile = ev.BroadcastFailed(
        action_id=ACTION, nonce=6, hash=TX, endpoint="node-b", error_class=AnswerClass.MALFORMED,
        message="a\nb\x1b" + "x" * 5000,
    )  # fmt: skip
    sentence = told(DECIDED, signed(), hostile)[2]
    assert not {"\n", "\x1b"} & set(sentence)
    assert len(sentence) < 400
