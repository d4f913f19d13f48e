// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Guarded, IERC20} from "./Guarded.sol";

interface IGame {
    /// Winnings of a finished round that have not been credited yet.
    function uncredited(address player) external view returns (uint256);
    /// Credits them.
    function credit(address player) external;
}

/// Stand-in for ArcadeCore: the till of the games. Players approve it, bets come in here, winnings wait here.
contract ArcadeCore is Guarded {
    IERC20 public immutable token;
    IGame public game;
    mapping(address => uint256) private payouts;

    constructor(IERC20 token_) {
        token = token_;
    }

    modifier onlyGame() {
        if (msg.sender != address(game)) revert NotAuthorized();
        _;
    }

    function setGame(IGame game_) external onlyOwner {
        game = game_;
    }

    function takeBet(address player, uint256 amount) external onlyGame {
        if (paused) revert EnforcedPause();
        _pull(token, player, amount);
    }

    function creditPayout(address player, uint256 amount) external onlyGame {
        payouts[player] += amount;
    }

    function getPendingPayout(address player) external view returns (uint256) {
        return payouts[player] + game.uncredited(player);
    }

    /// 0, and no revert, when there is nothing.
    function withdrawPayout() external guarded returns (uint256 amount) {
        game.credit(msg.sender);
        amount = payouts[msg.sender];
        payouts[msg.sender] = 0;
        _push(token, msg.sender, amount);
    }
}
