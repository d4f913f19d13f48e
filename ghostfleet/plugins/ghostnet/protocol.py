"""What can be asked of GHOSTNET's contracts, how they refuse, and what they announce."""

from collections.abc import Mapping

import msgspec

from ghostfleet.domain.values import Address, JsonObject, LogEntry
from ghostfleet.plugins.abi import event_topic, function, words
from ghostfleet.plugins.api import Verdict

LEVELS = {1: "VAULT", 2: "MAINFRAME", 3: "SUBNET", 4: "DARKNET", 5: "BLACK_ICE"}
BETTING = 1
"""The state of a round that takes bets."""
MAX_PLAYERS = 50
MIN_MULTIPLIER, MAX_MULTIPLIER = 101, 10_000
"""Targets of a bet, in hundredths."""
MAX_BET_WEI = 2**128 - 1

JACK_IN = function("jackIn(uint256,uint8)")
ADD_STAKE = function("addStake(uint256)")
EXTRACT = function("extract()")
CLAIM_REWARDS = function("claimRewards()")
PLACE_BET = function("placeBet(uint256,uint256)")
WITHDRAW_PAYOUT = function("withdrawPayout()")
APPROVE = function("approve(address,uint256)")

GET_POSITION = function("getPosition(address)", "(uint256,uint8,uint64,uint64,uint256,bool,uint16)")
GET_PENDING_REWARDS = function("getPendingRewards(address)", "uint256")
IS_IN_LOCK_PERIOD = function("isInLockPeriod(address)", "bool")
GET_LEVEL_CONFIG = function("getLevelConfig(uint8)", "(uint16,uint32,uint256,uint32,uint16,uint16)")
GET_LEVEL_STATE = function("getLevelState(uint8)", "(uint256,uint256,uint256,uint64)")
PAUSED = function("paused()", "bool")
CURRENT_SESSION = function("currentSessionId()", "uint256")
GET_ROUND = function("getRound(uint256)", "(uint8,uint64,uint256,uint256,uint256,uint256)")
GET_PLAYER_BET = function("getPlayerBet(uint256,address)", "(uint128,uint128,uint128,bool)")
GET_PENDING_PAYOUT = function("getPendingPayout(address)", "uint256")
BALANCE_OF = function("balanceOf(address)", "uint256")
ALLOWANCE = function("allowance(address,address)", "uint256")

DATA_SYMBOL, DATA_DECIMALS = "DATA", 18
DATA_TAX_BPS = 1_000
"""Between two ordinary addresses 9 % are burned and 1 % go to the treasury; GHOSTNET's own contracts pay nothing."""
LATER_SECS = 60.0
"""How long to leave a paused protocol alone."""

_THE_WORLD_MOVED = Verdict(counts=False)
_NOT_NOW = Verdict(counts=False, rest_secs=LATER_SECS)
_OURS = Verdict()

_VERDICTS = {
    # The protocol's state, or somebody faster: nothing the wallet did wrong.
    "EnforcedPause()": _NOT_NOW,
    "PositionLocked()": _NOT_NOW,
    "PositionDead()": _THE_WORLD_MOVED,
    "NoPositionExists()": _THE_WORLD_MOVED,
    "PositionAlreadyExists()": _THE_WORLD_MOVED,
    "LevelAtCapacity()": _THE_WORLD_MOVED,
    "BettingClosed()": _THE_WORLD_MOVED,
    "RoundFull()": _THE_WORLD_MOVED,
    "RoundInProgress()": _THE_WORLD_MOVED,
    "RoundNotReady()": _THE_WORLD_MOVED,
    "NoBetPlaced()": _THE_WORLD_MOVED,
    "AlreadySettled()": _THE_WORLD_MOVED,
    # A wrong amount, a missing right, a token that fails: it would go on failing, so the breaker has to see it.
    "InvalidLevel()": _OURS,
    "InvalidAmount()": _OURS,
    "BelowMinimumStake()": _OURS,
    "NotAuthorized()": _OURS,
    "ERC20InsufficientBalance(address,uint256,uint256)": _OURS,
    "ERC20InsufficientAllowance(address,uint256,uint256)": _OURS,
    "SafeERC20FailedOperation(address)": _OURS,
    "ReentrancyGuardReentrantCall()": _OURS,
    "InvalidTargetMultiplier()": _OURS,
    "ZeroBetAmount()": _OURS,
}
"""Every custom error, and whose fault it is."""

ERRORS: Mapping[bytes, tuple[str, tuple[str, ...]]] = {
    error.selector: (error.signature.partition("(")[0], error.inputs) for error in map(function, _VERDICTS)
}
_VERDICT_BY_NAME = {signature.partition("(")[0]: verdict for signature, verdict in _VERDICTS.items()}


def judge(reason: str) -> Verdict:
    """Whose fault a revert with this reason is: by the error's name, or its selector where the node decoded nothing."""
    name = reason.partition("(")[0].strip()
    if name in _VERDICT_BY_NAME:
        return _VERDICT_BY_NAME[name]
    for selector, (error, _types) in ERRORS.items():
        if error in reason or "0x" + selector.hex() in reason:
            return _VERDICT_BY_NAME[error]
    return _OURS


class _Event(msgspec.Struct, frozen=True):
    name: str
    indexed: tuple[str, ...]
    fields: tuple[str, ...]


_EVENTS = {
    event_topic("JackedIn(address,uint256,uint8,uint256)"): _Event(
        "JackedIn", ("user", "level"), ("amount_wei", "new_total_wei")
    ),
    event_topic("StakeAdded(address,uint256,uint256)"): _Event(
        "StakeAdded", ("user",), ("amount_wei", "new_total_wei")
    ),
    event_topic("Extracted(address,uint256,uint256)"): _Event("Extracted", ("user",), ("amount_wei", "rewards_wei")),
    event_topic("PositionCulled(address,uint256,uint256,address)"): _Event(
        "PositionCulled", ("victim", "new_entrant"), ("penalty_wei", "returned_wei")
    ),
}
_TRANSFER = {
    event_topic("Transfer(address,address,uint256)"): _Event("Transfer", ("from", "to"), ("amount_wei",)),
}
_NUMBERS = frozenset({"level"})
"""Indexed fields that are no address."""


def decode_log(entry: LogEntry, ghost_core: Address, data_token: Address) -> JsonObject | None:
    """The event by name and field, or None when it is none of GhostCore's or DATA's. Only their own logs are believed."""
    known = {ghost_core: _EVENTS, data_token: _TRANSFER}.get(entry.address)
    event = known.get(entry.topics[0]) if known is not None and entry.topics else None
    if event is None:
        return None
    values = words(entry.data)
    if len(entry.topics) != 1 + len(event.indexed) or len(values) != len(event.fields):
        return None
    decoded: JsonObject = {"event": event.name}
    for name, topic in zip(event.indexed, entry.topics[1:], strict=True):
        decoded[name] = int.from_bytes(topic) if name in _NUMBERS else str(Address(topic[-20:]))
    return decoded | dict(zip(event.fields, values, strict=True))
