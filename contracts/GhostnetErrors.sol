// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// What the protocol's contracts can answer instead of acting. Inherited, so that every ABI names them all.
interface GhostnetErrors {
    error InvalidLevel();
    error InvalidAmount();
    error PositionAlreadyExists();
    error NoPositionExists();
    error PositionDead();
    error PositionLocked();
    error BelowMinimumStake();
    error LevelAtCapacity();
    error NotAuthorized();
    error EnforcedPause();
    error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
    error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    error SafeERC20FailedOperation(address token);
    error ReentrancyGuardReentrantCall();
    error BettingClosed();
    error NoBetPlaced();
    error AlreadySettled();
    error RoundFull();
    error RoundInProgress();
    error RoundNotReady();
    error InvalidTargetMultiplier();
    error ZeroBetAmount();
}
