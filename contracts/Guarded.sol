// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {GhostnetErrors} from "./GhostnetErrors.sol";

interface IERC20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// An owner, a pause and a lock against re-entry: what every stand-in that moves tokens has in common.
abstract contract Guarded is GhostnetErrors {
    address public immutable owner = msg.sender;
    bool public paused;
    bool private entered;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotAuthorized();
        _;
    }

    modifier guarded() {
        if (paused) revert EnforcedPause();
        if (entered) revert ReentrancyGuardReentrantCall();
        entered = true;
        _;
        entered = false;
    }

    function pause() external onlyOwner {
        paused = true;
    }

    function unpause() external onlyOwner {
        paused = false;
    }

    function _pull(IERC20 token, address from, uint256 amount) internal {
        if (!token.transferFrom(from, address(this), amount)) revert SafeERC20FailedOperation(address(token));
    }

    function _push(IERC20 token, address to, uint256 amount) internal {
        if (amount > 0 && !token.transfer(to, amount)) revert SafeERC20FailedOperation(address(token));
    }
}
