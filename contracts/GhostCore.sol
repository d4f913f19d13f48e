// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Guarded, IERC20} from "./Guarded.sol";

/// Stand-in for GhostCore, scaled in time. No keeper: a scan that is due shows in every view at once and is carried
/// out by the first transaction that comes by.
///
/// Whether a position is traced in a scan is keccak(address, level, scan) against the level's death rate. The first fatal
/// scan is looked up when the position is made, at most HORIZON scans ahead, so that a view costs the same after any
/// idle time; who outlives the horizon is left in peace.
contract GhostCore is Guarded {
    uint256 private constant LEVELS = 5;
    uint256 private constant HORIZON = 64;
    uint256 private constant CULL_SAMPLE = 32;
    uint256 private constant SURVIVORS_BPS = 6_000;
    uint256 private constant ONE = 1e18;

    struct LevelConfig {
        uint16 baseDeathRateBps;
        uint32 scanInterval;
        uint256 minStake;
        uint32 maxPositions;
        uint16 cullingBottomPct;
        uint16 cullingPenaltyBps;
    }

    struct LevelState {
        uint256 totalStaked;
        uint256 aliveCount;
        uint256 accRewardsPerShare;
        uint64 nextScanTime;
    }

    struct Position {
        uint256 amount;
        uint8 level;
        uint64 entryTimestamp;
        uint64 lastAddTimestamp;
        uint256 rewardDebt;
        bool alive;
        uint16 ghostStreak;
    }

    /// What is kept of a level, as of `accruedAt`; `scan` is the last scan carried out.
    struct Ledger {
        uint256 totalStaked;
        uint256 aliveCount;
        uint256 accRewardsPerShare;
        uint64 scan;
        uint64 accruedAt;
    }

    /// `fatalScan` 0 = none within the horizon.
    struct Fate {
        uint64 entryScan;
        uint64 fatalScan;
        uint64 index;
    }

    struct Toll {
        uint128 stake;
        uint128 count;
    }

    IERC20 public immutable token;
    uint64 public immutable startTime = uint64(block.timestamp);
    uint64 public immutable lockPeriod;
    /// Rewards a level pays out per second, shared by stake, from the tokens this contract was given.
    uint256 public immutable emissionPerSecond;

    mapping(uint8 => LevelConfig) private configs;
    mapping(uint8 => Ledger) private ledgers;
    mapping(address => Position) private positions;
    mapping(address => Fate) private fates;
    mapping(uint8 => address[]) private members;
    mapping(uint8 => mapping(uint64 => address[])) private doomed;
    mapping(uint8 => mapping(uint64 => Toll)) private tolls;

    event JackedIn(address indexed user, uint256 amount, uint8 indexed level, uint256 newTotal);
    event StakeAdded(address indexed user, uint256 amount, uint256 newTotal);
    event Extracted(address indexed user, uint256 amount, uint256 rewards);
    event PositionCulled(
        address indexed victim, uint256 penaltyAmount, uint256 returnedAmount, address indexed newEntrant
    );
    /// The stand-in's own: who died in a scan, written when the scan is carried out.
    event Traced(address indexed user, uint8 indexed level, uint64 scan, uint256 amount);

    constructor(
        IERC20 token_,
        uint32[5] memory scanIntervals,
        uint16[5] memory deathRatesBps,
        uint32[5] memory maxPositions,
        uint64 lockPeriod_,
        uint256 emissionPerSecond_
    ) {
        token = token_;
        lockPeriod = lockPeriod_;
        emissionPerSecond = emissionPerSecond_;
        uint256[5] memory minStakes = [uint256(10 ether), 25 ether, 50 ether, 100 ether, 250 ether];
        for (uint8 i = 0; i < LEVELS; i++) {
            configs[i + 1] =
                LevelConfig(deathRatesBps[i], scanIntervals[i], minStakes[i], maxPositions[i], 50, 8_000);
            ledgers[i + 1].accruedAt = startTime;
        }
    }

    // --- what anyone may do

    function jackIn(uint256 amount, uint8 level) external guarded {
        if (level == 0 || level > LEVELS) revert InvalidLevel();
        Position storage position = positions[msg.sender];
        if (position.level != 0) {
            _carryOut(position.level);
            if (position.alive) revert PositionAlreadyExists();
            revert PositionDead();
        }
        if (amount == 0) revert InvalidAmount();
        if (amount < configs[level].minStake) revert BelowMinimumStake();
        _carryOut(level);
        Ledger storage ledger = ledgers[level];
        if (ledger.aliveCount >= configs[level].maxPositions) _cull(level, amount);

        _pull(token, msg.sender, amount);
        uint64 now_ = uint64(block.timestamp);
        positions[msg.sender] = Position(amount, level, now_, now_, _earned(amount, ledger), true, 0);
        uint64 fatal = _fatalScan(msg.sender, level, ledger.scan);
        fates[msg.sender] = Fate(ledger.scan, fatal, uint64(members[level].length));
        members[level].push(msg.sender);
        if (fatal != 0) {
            doomed[level][fatal].push(msg.sender);
            tolls[level][fatal].stake += uint128(amount);
            tolls[level][fatal].count += 1;
        }
        ledger.totalStaked += amount;
        ledger.aliveCount += 1;
        emit JackedIn(msg.sender, amount, level, amount);
    }

    function addStake(uint256 amount) external guarded {
        Position storage position = _living();
        if (amount == 0) revert InvalidAmount();
        Ledger storage ledger = ledgers[position.level];
        uint256 rewards = _earned(position.amount, ledger) - position.rewardDebt;
        _pull(token, msg.sender, amount);
        position.amount += amount;
        position.lastAddTimestamp = uint64(block.timestamp);
        position.rewardDebt = _earned(position.amount, ledger) - rewards;
        uint64 fatal = fates[msg.sender].fatalScan;
        if (fatal != 0) tolls[position.level][fatal].stake += uint128(amount);
        ledger.totalStaked += amount;
        emit StakeAdded(msg.sender, amount, position.amount);
    }

    function extract() external guarded returns (uint256 amount, uint256 rewards) {
        Position storage position = _living();
        if (_locked(position.level)) revert PositionLocked();
        amount = position.amount;
        rewards = _earned(amount, ledgers[position.level]) - position.rewardDebt;
        _remove(msg.sender);
        _push(token, msg.sender, amount + rewards);
        emit Extracted(msg.sender, amount, rewards);
    }

    function claimRewards() external guarded returns (uint256 rewards) {
        Position storage position = _living();
        uint256 earned = _earned(position.amount, ledgers[position.level]);
        rewards = earned - position.rewardDebt;
        position.rewardDebt = earned;
        _push(token, msg.sender, rewards);
    }

    // --- what anyone may ask; all as of block.timestamp

    function getPosition(address user) external view returns (Position memory position) {
        position = positions[user];
        if (position.level == 0) return position;
        Fate memory fate = fates[user];
        uint64 scan = _scanNow(position.level);
        if (!position.alive || _fatal(fate, scan)) {
            position.ghostStreak = position.alive ? _streak(fate.fatalScan - 1 - fate.entryScan) : position.ghostStreak;
            position.alive = false;
            position.amount = 0;
            position.rewardDebt = 0;
        } else {
            position.ghostStreak = _streak(scan - fate.entryScan);
        }
    }

    function getPendingRewards(address user) external view returns (uint256) {
        Position memory position = positions[user];
        if (!isAlive(user)) return 0;
        Ledger memory ledger = _asOfNow(position.level);
        return (position.amount * ledger.accRewardsPerShare) / ONE - position.rewardDebt;
    }

    function isInLockPeriod(address user) external view returns (bool) {
        return isAlive(user) && _locked(positions[user].level);
    }

    function isAlive(address user) public view returns (bool) {
        Position storage position = positions[user];
        return position.alive && !_fatal(fates[user], _scanNow(position.level));
    }

    function getLevelConfig(uint8 level) external view returns (LevelConfig memory) {
        if (level == 0 || level > LEVELS) revert InvalidLevel();
        return configs[level];
    }

    function getLevelState(uint8 level) external view returns (LevelState memory) {
        if (level == 0 || level > LEVELS) revert InvalidLevel();
        Ledger memory ledger = _asOfNow(level);
        return LevelState(ledger.totalStaked, ledger.aliveCount, ledger.accRewardsPerShare, _nextScanTime(level));
    }

    // --- time

    function _scanNow(uint8 level) private view returns (uint64) {
        return (uint64(block.timestamp) - startTime) / configs[level].scanInterval;
    }

    function _nextScanTime(uint8 level) private view returns (uint64) {
        return startTime + (_scanNow(level) + 1) * configs[level].scanInterval;
    }

    function _locked(uint8 level) private view returns (bool) {
        return _nextScanTime(level) - block.timestamp <= lockPeriod;
    }

    function _fatal(Fate memory fate, uint64 scan) private pure returns (bool) {
        return fate.fatalScan != 0 && fate.fatalScan <= scan;
    }

    function _streak(uint64 scans) private pure returns (uint16) {
        return scans > type(uint16).max ? type(uint16).max : uint16(scans);
    }

    function _fatalScan(address user, uint8 level, uint64 scan) private view returns (uint64) {
        uint256 rate = configs[level].baseDeathRateBps;
        for (uint64 next = scan + 1; next <= scan + HORIZON; next++) {
            if (uint256(keccak256(abi.encode(user, level, next))) % 10_000 < rate) return next;
        }
        return 0;
    }

    /// The level's ledger with every due scan in it. Nobody is doomed later than HORIZON scans after the last one carried out.
    function _asOfNow(uint8 level) private view returns (Ledger memory ledger) {
        ledger = ledgers[level];
        uint64 scan = _scanNow(level);
        uint64 interval = configs[level].scanInterval;
        for (uint64 next = ledger.scan + 1; next <= scan && next <= ledger.scan + HORIZON; next++) {
            Toll memory toll = tolls[level][next];
            if (toll.count == 0) continue;
            _accrue(ledger, startTime + next * interval);
            ledger.totalStaked -= toll.stake;
            ledger.aliveCount -= toll.count;
            if (ledger.totalStaked > 0) {
                ledger.accRewardsPerShare += (((toll.stake * SURVIVORS_BPS) / 10_000) * ONE) / ledger.totalStaked;
            }
        }
        _accrue(ledger, uint64(block.timestamp));
        ledger.scan = scan;
    }

    function _accrue(Ledger memory ledger, uint64 until) private view {
        if (ledger.totalStaked > 0) {
            ledger.accRewardsPerShare += ((until - ledger.accruedAt) * emissionPerSecond * ONE) / ledger.totalStaked;
        }
        ledger.accruedAt = until;
    }

    function _carryOut(uint8 level) private {
        Ledger memory ledger = _asOfNow(level);
        uint64 done = ledgers[level].scan;
        ledgers[level] = ledger;
        for (uint64 next = done + 1; next <= ledger.scan && next <= done + HORIZON; next++) {
            if (tolls[level][next].count == 0) continue;
            address[] storage victims = doomed[level][next];
            for (uint256 i = 0; i < victims.length; i++) {
                Position storage position = positions[victims[i]];
                Fate storage fate = fates[victims[i]];
                // Who left, or left and came back, may stand here still, or twice.
                if (!position.alive || position.level != level || fate.fatalScan != next) continue;
                emit Traced(victims[i], level, next, position.amount);
                _leave(victims[i], level);
                position.ghostStreak = _streak(next - 1 - fate.entryScan);
                position.alive = false;
                position.amount = 0;
                position.rewardDebt = 0;
            }
            delete doomed[level][next];
            delete tolls[level][next];
        }
    }

    // --- positions

    /// The sender's position, after the due scans. Reverts unless it is there and alive.
    function _living() private returns (Position storage position) {
        position = positions[msg.sender];
        if (position.level == 0) revert NoPositionExists();
        _carryOut(position.level);
        if (!position.alive) revert PositionDead();
    }

    function _earned(uint256 amount, Ledger storage ledger) private view returns (uint256) {
        return (amount * ledger.accRewardsPerShare) / ONE;
    }

    function _leave(address user, uint8 level) private {
        address[] storage list = members[level];
        uint64 index = fates[user].index;
        address last = list[list.length - 1];
        list[index] = last;
        fates[last].index = index;
        list.pop();
    }

    function _remove(address user) private {
        Position memory position = positions[user];
        uint64 fatal = fates[user].fatalScan;
        if (fatal != 0) {
            tolls[position.level][fatal].stake -= uint128(position.amount);
            tolls[position.level][fatal].count -= 1;
        }
        ledgers[position.level].totalStaked -= position.amount;
        ledgers[position.level].aliveCount -= 1;
        _leave(user, position.level);
        delete positions[user];
        delete fates[user];
    }

    /// The smallest stake of a bounded sample gives way to a larger one and loses most of it to the others.
    function _cull(uint8 level, uint256 amount) private {
        address[] storage list = members[level];
        if (list.length == 0) revert LevelAtCapacity();
        uint256 first = uint256(keccak256(abi.encode(msg.sender, block.number))) % list.length;
        address victim = list[first];
        for (uint256 i = 1; i < list.length && i < CULL_SAMPLE; i++) {
            address other = list[(first + i) % list.length];
            if (positions[other].amount < positions[victim].amount) victim = other;
        }
        uint256 held = positions[victim].amount;
        if (amount <= held) revert LevelAtCapacity();
        uint256 penalty = (held * configs[level].cullingPenaltyBps) / 10_000;
        _remove(victim);
        Ledger storage ledger = ledgers[level];
        if (ledger.totalStaked > 0) ledger.accRewardsPerShare += (penalty * ONE) / ledger.totalStaked;
        _push(token, victim, held - penalty);
        emit PositionCulled(victim, penalty, held - penalty, msg.sender);
    }
}
