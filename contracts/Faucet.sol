// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Guarded, IERC20} from "./Guarded.sol";

/// Funds many wallets in one transaction. It is exempt from the tax of DATA, so what it gives arrives whole.
contract Faucet is Guarded {
    /// Every wallet gets an equal share of the value sent along, and `tokens` of what the faucet holds.
    function fund(IERC20 token, address payable[] calldata wallets, uint256 tokens) external payable onlyOwner {
        uint256 share = msg.value / wallets.length;
        for (uint256 i = 0; i < wallets.length; i++) {
            (bool sent, ) = wallets[i].call{value: share}("");
            if (!sent) revert InvalidAmount();
            _push(token, wallets[i], tokens);
        }
    }
}
