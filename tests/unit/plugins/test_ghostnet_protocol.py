"""Selectors, errors and events are those of the protocol, and every error has a verdict."""

import pytest

from ghostfleet.domain.values import Address, Hash, LogEntry, Octets
from ghostfleet.plugins.ghostnet import protocol

CORE, TOKEN, USER, OTHER = (Address(bytes([byte]) * 20) for byte in (0xC0, 0xDA, 0x11, 0x22))

SELECTORS = {
    protocol.JACK_IN: "440ad4e2",
    protocol.ADD_STAKE: "eb4f16b5",
    protocol.EXTRACT: "1e83cdab",
    protocol.CLAIM_REWARDS: "372500ab",
    protocol.GET_POSITION: "16c19739",
    protocol.GET_PENDING_REWARDS: "f6ed2017",
    protocol.IS_IN_LOCK_PERIOD: "92e2a750",
    protocol.GET_LEVEL_CONFIG: "d4255487",
    protocol.GET_LEVEL_STATE: "4c7ccf1d",
    protocol.PLACE_BET: "4afe62b5",
    protocol.GET_PENDING_PAYOUT: "f901ff55",
    protocol.WITHDRAW_PAYOUT: "06c0e841",
}
ERRORS = """d1459f79 InvalidLevel · 2c5211c6 InvalidAmount · 6e8de458 PositionAlreadyExists · 338cffd2 NoPositionExists ·
48d4c00f PositionDead · c7d26d72 PositionLocked · 8ecf3d03 BelowMinimumStake · f1b93a74 LevelAtCapacity ·
ea8e4eb5 NotAuthorized · d93c0665 EnforcedPause · e450d38c ERC20InsufficientBalance ·
fb8f41b2 ERC20InsufficientAllowance · 5274afe7 SafeERC20FailedOperation ·
3ee5aeb5 ReentrancyGuardReentrantCall · 61c54c4a BettingClosed · 028e52a1 NoBetPlaced · 560ff900 AlreadySettled ·
32e1428f RoundFull · 8c665a2c RoundInProgress · 3eb3aec0 RoundNotReady · bbdec0dd InvalidTargetMultiplier ·
0813eb43 ZeroBetAmount"""
KNOWN = dict(reversed(pair.split()) for pair in ERRORS.split("·"))
NOT_THE_WALLETS_FAULT = {
    "EnforcedPause", "PositionLocked", "PositionDead", "NoPositionExists", "PositionAlreadyExists", "LevelAtCapacity",
    "BettingClosed", "RoundFull", "RoundInProgress", "RoundNotReady", "NoBetPlaced", "AlreadySettled",
}  # fmt: skip


def test_the_functions_have_the_protocols_selectors():
    assert {called.signature: called.selector.hex() for called in SELECTORS} == {
        called.signature: selector for called, selector in SELECTORS.items()
    }


def test_every_custom_error_is_known_by_its_selector():
    assert {name: selector.hex() for selector, (name, _types) in protocol.ERRORS.items()} == KNOWN


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_custom_error_has_a_verdict_however_a_node_words_it(name):
    counts = name not in NOT_THE_WALLETS_FAULT
    wordings = [
        name,
        f"{name}()",
        f"{name}(0x1111111111111111111111111111111111111111, 5, 7)",
        f"execution reverted: custom error 0x{KNOWN[name]}",
        f"execution reverted: {name}()",
    ]
    assert [protocol.judge(reason).counts for reason in wordings] == [counts] * len(wordings)


def test_an_unknown_reason_counts():
    assert protocol.judge("").counts
    assert protocol.judge("out of gas").counts


def test_a_pause_and_a_lock_are_waited_out():
    assert protocol.judge("EnforcedPause()").rest_secs
    assert protocol.judge("PositionLocked()").rest_secs


def log(contract, signature_topic, indexed, values):
    topics = (signature_topic, *(Hash(item.rjust(32, b"\0")) for item in indexed))
    return LogEntry(address=contract, topics=topics, data=Octets(b"".join(value.to_bytes(32) for value in values)))


TOPICS = {event.name: topic for topic, event in (protocol._EVENTS | protocol._TRANSFER).items()}


@pytest.mark.parametrize(
    ("entry", "decoded"),
    [
        (
            log(CORE, TOPICS["JackedIn"], [USER, b"\x03"], [10, 10]),
            {"event": "JackedIn", "user": str(USER), "level": 3, "amount_wei": 10, "new_total_wei": 10},
        ),
        (
            log(CORE, TOPICS["StakeAdded"], [USER], [5, 15]),
            {"event": "StakeAdded", "user": str(USER), "amount_wei": 5, "new_total_wei": 15},
        ),
        (
            log(CORE, TOPICS["Extracted"], [USER], [15, 2]),
            {"event": "Extracted", "user": str(USER), "amount_wei": 15, "rewards_wei": 2},
        ),
        (
            log(CORE, TOPICS["PositionCulled"], [USER, OTHER], [8, 2]),
            {
                "event": "PositionCulled", "victim": str(USER), "new_entrant": str(OTHER),
                "penalty_wei": 8, "returned_wei": 2,
            },
        ),
        (
            log(TOKEN, TOPICS["Transfer"], [USER, OTHER], [10**30]),
            {"event": "Transfer", "from": str(USER), "to": str(OTHER), "amount_wei": 10**30},
        ),
    ],
)  # fmt: skip
def test_the_protocols_events_are_readable(entry, decoded):
    assert protocol.decode_log(entry, CORE, TOKEN) == decoded


@pytest.mark.parametrize(
    "entry",
    [
        log(OTHER, TOPICS["JackedIn"], [USER, b"\x03"], [10, 10]),
        log(TOKEN, TOPICS["JackedIn"], [USER, b"\x03"], [10, 10]),
        log(CORE, TOPICS["JackedIn"], [USER], [10, 10]),
        log(CORE, TOPICS["JackedIn"], [USER, b"\x03"], [10]),
        LogEntry(address=CORE, topics=(), data=Octets(b"")),
    ],
)
def test_a_log_of_another_contract_or_shape_is_not_believed(entry):
    assert protocol.decode_log(entry, CORE, TOKEN) is None
