// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {GhostnetErrors} from "./GhostnetErrors.sol";

/// Stand-in for the DATA token: a transfer between ordinary addresses costs a tenth, 9 % burned and 1 % to the treasury.
contract DATA is GhostnetErrors {
    string public constant name = "DATA (development stand-in)";
    string public constant symbol = "DATA";
    uint8 public constant decimals = 18;
    uint256 public constant BURN_BPS = 900;
    uint256 public constant TREASURY_BPS = 100;

    address public immutable owner = msg.sender;
    address public immutable treasury;
    uint256 public totalSupply = 100_000_000 ether;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    mapping(address => bool) public isExempt;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(address treasury_) {
        treasury = treasury_;
        balanceOf[msg.sender] = totalSupply;
        emit Transfer(address(0), msg.sender, totalSupply);
    }

    function setExempt(address account, bool exempt) external {
        if (msg.sender != owner) revert NotAuthorized();
        isExempt[account] = exempt;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < value) revert ERC20InsufficientAllowance(msg.sender, allowed, value);
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - value;
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        uint256 held = balanceOf[from];
        if (held < value) revert ERC20InsufficientBalance(from, held, value);
        balanceOf[from] = held - value;
        if (!isExempt[from] && !isExempt[to]) {
            uint256 burned = (value * BURN_BPS) / 10_000;
            uint256 taxed = (value * TREASURY_BPS) / 10_000;
            totalSupply -= burned;
            balanceOf[treasury] += taxed;
            emit Transfer(from, address(0), burned);
            emit Transfer(from, treasury, taxed);
            value -= burned + taxed;
        }
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}
