// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Guarded} from "./Guarded.sol";
import {ArcadeCore} from "./ArcadeCore.sol";

/// Stand-in for HashCrash. No keeper: rounds follow one another by the clock (betting, locked, active, settled), and
/// what a finished round owes a player is counted by the views and credited by whoever comes by next.
contract HashCrash is Guarded {
    uint256 public constant MAX_PLAYERS = 50;
    uint256 public constant HOUSE_EDGE_BPS = 400;
    uint256 private constant MIN_MULTIPLIER = 101;
    uint256 private constant MAX_MULTIPLIER = 10_000;

    uint8 private constant IDLE = 0;
    uint8 private constant BETTING = 1;
    uint8 private constant LOCKED = 2;
    uint8 private constant ACTIVE = 3;
    uint8 private constant SETTLED = 4;

    struct Round {
        uint8 state;
        uint64 bettingEndTime;
        uint256 prizePool;
        uint256 crashMultiplier;
        uint256 totalPaidOut;
        uint256 playerCount;
    }

    struct Bet {
        uint128 amount;
        uint128 grossAmount;
        uint128 targetMultiplier;
        bool settled;
    }

    ArcadeCore public immutable arcade;
    uint64 public immutable bettingSecs;
    uint64 public immutable lockedSecs;
    uint64 public immutable activeSecs;
    uint64 public immutable settledSecs;

    /// The latest round begun by a transaction, and when it began; later ones follow from the clock.
    uint256 private anchorSession;
    uint64 private anchorStart;
    mapping(uint256 => Round) private rounds;
    mapping(uint256 => address[]) private players;
    mapping(uint256 => mapping(address => Bet)) private bets;
    mapping(address => uint256) private latestSession;

    /// `firstRoundDelay` seconds of IDLE come before the first round.
    constructor(ArcadeCore arcade_, uint64[4] memory phaseSecs, uint64 firstRoundDelay) {
        arcade = arcade_;
        (bettingSecs, lockedSecs, activeSecs, settledSecs) = (phaseSecs[0], phaseSecs[1], phaseSecs[2], phaseSecs[3]);
        anchorSession = 1;
        anchorStart = uint64(block.timestamp) + firstRoundDelay;
    }

    // --- playing

    function placeBet(uint256 amount, uint256 targetMultiplier) external guarded {
        (uint256 session, uint64 start) = _anchor();
        if (_phase(start) != BETTING) revert BettingClosed();
        if (amount == 0) revert ZeroBetAmount();
        if (targetMultiplier < MIN_MULTIPLIER || targetMultiplier > MAX_MULTIPLIER) revert InvalidTargetMultiplier();
        if (amount > type(uint128).max) revert InvalidAmount();
        if (bets[session][msg.sender].grossAmount != 0) revert RoundInProgress();
        Round storage round = rounds[session];
        if (round.playerCount >= MAX_PLAYERS) revert RoundFull();

        _credit(msg.sender);
        arcade.takeBet(msg.sender, amount);
        uint256 net = amount - (amount * HOUSE_EDGE_BPS) / 10_000;
        bets[session][msg.sender] = Bet(uint128(net), uint128(amount), uint128(targetMultiplier), false);
        latestSession[msg.sender] = session;
        players[session].push(msg.sender);
        round.prizePool += net;
        round.playerCount += 1;
        round.bettingEndTime = start + bettingSecs;
    }

    /// Begins the next round early, once the present one is settled, or the first one before its time.
    function startRound() external guarded {
        (uint256 session, uint64 start) = _anchor();
        uint8 phase = _phase(start);
        if (phase != IDLE && phase != SETTLED) revert RoundInProgress();
        if (phase == SETTLED) anchorSession = session + 1;
        anchorStart = uint64(block.timestamp);
    }

    function lockRound() external guarded {
        (, uint64 start) = _anchor();
        if (_phase(start) != LOCKED) revert RoundNotReady();
    }

    function revealCrash() external guarded {
        (, uint64 start) = _anchor();
        if (_phase(start) != ACTIVE) revert RoundNotReady();
    }

    /// Credits the player's latest bet, once its round is revealed.
    function settle(address player) external guarded {
        _anchor();
        uint256 session = latestSession[player];
        if (session == 0) revert NoBetPlaced();
        if (bets[session][player].settled) revert AlreadySettled();
        if (_stateOf(session) < ACTIVE) revert RoundNotReady();
        _settle(session, player);
    }

    /// Credits every bet of the present round, once it is revealed.
    function settleAll() external guarded {
        (uint256 session, uint64 start) = _anchor();
        if (_phase(start) < ACTIVE) revert RoundNotReady();
        address[] storage list = players[session];
        for (uint256 i = 0; i < list.length; i++) {
            if (!bets[session][list[i]].settled) _settle(session, list[i]);
        }
    }

    function credit(address player) external {
        if (msg.sender != address(arcade)) revert NotAuthorized();
        _credit(player);
    }

    // --- asking; all as of block.timestamp

    function currentSessionId() external view returns (uint256 session) {
        (session,) = _current();
    }

    function getRound(uint256 session) external view returns (Round memory round) {
        round = rounds[session];
        round.state = _stateOf(session);
        (uint256 present, uint64 start) = _current();
        if (session == present) round.bettingEndTime = start + bettingSecs;
        if (round.state < ACTIVE) return round;
        round.crashMultiplier = _crash(session);
        if (round.state != SETTLED) return round;
        address[] storage list = players[session];
        for (uint256 i = 0; i < list.length; i++) {
            Bet memory bet = bets[session][list[i]];
            if (!bet.settled) round.totalPaidOut += _payout(session, bet);
        }
    }

    function getPlayerBet(uint256 session, address player) external view returns (Bet memory bet) {
        bet = bets[session][player];
        if (bet.grossAmount != 0 && _stateOf(session) == SETTLED) bet.settled = true;
    }

    function uncredited(address player) external view returns (uint256) {
        uint256 session = latestSession[player];
        if (session == 0 || _stateOf(session) != SETTLED) return 0;
        Bet memory bet = bets[session][player];
        return bet.settled ? 0 : _payout(session, bet);
    }

    // --- time

    function _current() private view returns (uint256 session, uint64 start) {
        (session, start) = (anchorSession, anchorStart);
        if (block.timestamp >= start) {
            uint64 period = bettingSecs + lockedSecs + activeSecs + settledSecs;
            uint64 passed = (uint64(block.timestamp) - start) / period;
            (session, start) = (session + passed, start + passed * period);
        }
    }

    function _anchor() private returns (uint256 session, uint64 start) {
        (session, start) = _current();
        if (session != anchorSession) (anchorSession, anchorStart) = (session, start);
    }

    function _phase(uint64 start) private view returns (uint8) {
        if (block.timestamp < start) return IDLE;
        uint64 elapsed = uint64(block.timestamp) - start;
        if (elapsed < bettingSecs) return BETTING;
        if (elapsed < bettingSecs + lockedSecs) return LOCKED;
        return elapsed < bettingSecs + lockedSecs + activeSecs ? ACTIVE : SETTLED;
    }

    function _stateOf(uint256 session) private view returns (uint8) {
        (uint256 present, uint64 start) = _current();
        if (session == 0 || session > present) return IDLE;
        return session < present ? SETTLED : _phase(start);
    }

    // --- money

    /// In hundredths: at least m in 100 of m rounds, capped.
    function _crash(uint256 session) private view returns (uint256) {
        uint256 draw = uint256(keccak256(abi.encode(address(this), session))) % 10_000;
        uint256 multiplier = 1_000_000 / (draw + 1);
        return multiplier > MAX_MULTIPLIER ? MAX_MULTIPLIER : multiplier;
    }

    function _payout(uint256 session, Bet memory bet) private view returns (uint256) {
        return bet.targetMultiplier <= _crash(session) ? (uint256(bet.amount) * bet.targetMultiplier) / 100 : 0;
    }

    function _settle(uint256 session, address player) private {
        Bet storage bet = bets[session][player];
        bet.settled = true;
        uint256 payout = _payout(session, bet);
        rounds[session].totalPaidOut += payout;
        if (payout > 0) arcade.creditPayout(player, payout);
    }

    function _credit(address player) private {
        uint256 session = latestSession[player];
        if (session != 0 && _stateOf(session) == SETTLED && !bets[session][player].settled) _settle(session, player);
    }
}
