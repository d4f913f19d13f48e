"""The stand-ins speak exactly the protocol's language, and their committed bytecode is what their source compiles to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ghostfleet.devnet.contracts import NAMES, artifact, selector, signature

ROOT = Path(__file__).resolve().parents[3]

FUNCTIONS = {
    "GhostCore": {
        "jackIn(uint256,uint8)": "440ad4e2",
        "addStake(uint256)": "eb4f16b5",
        "extract()": "1e83cdab",
        "claimRewards()": "372500ab",
        "getPosition(address)": "16c19739",
        "getPendingRewards(address)": "f6ed2017",
        "isInLockPeriod(address)": "92e2a750",
        "isAlive(address)": "1703e5f9",
        "getLevelConfig(uint8)": "d4255487",
        "getLevelState(uint8)": "4c7ccf1d",
    },
    "HashCrash": {"placeBet(uint256,uint256)": "4afe62b5"},
    "ArcadeCore": {"getPendingPayout(address)": "f901ff55", "withdrawPayout()": "06c0e841"},
}
OUTPUTS = {
    ("GhostCore", "extract"): ["uint256", "uint256"],
    ("GhostCore", "claimRewards"): ["uint256"],
    ("GhostCore", "getPosition"): ["uint256", "uint8", "uint64", "uint64", "uint256", "bool", "uint16"],
    ("GhostCore", "getLevelConfig"): ["uint16", "uint32", "uint256", "uint32", "uint16", "uint16"],
    ("GhostCore", "getLevelState"): ["uint256", "uint256", "uint256", "uint64"],
    ("HashCrash", "currentSessionId"): ["uint256"],
    ("HashCrash", "getRound"): ["uint8", "uint64", "uint256", "uint256", "uint256", "uint256"],
    ("HashCrash", "getPlayerBet"): ["uint128", "uint128", "uint128", "bool"],
    ("ArcadeCore", "getPendingPayout"): ["uint256"],
}
ERRORS = """
d1459f79 InvalidLevel · 2c5211c6 InvalidAmount · 6e8de458 PositionAlreadyExists · 338cffd2 NoPositionExists ·
48d4c00f PositionDead · c7d26d72 PositionLocked · 8ecf3d03 BelowMinimumStake · f1b93a74 LevelAtCapacity ·
ea8e4eb5 NotAuthorized · d93c0665 EnforcedPause · e450d38c ERC20InsufficientBalance(address,uint256,uint256) ·
fb8f41b2 ERC20InsufficientAllowance(address,uint256,uint256) · 5274afe7 SafeERC20FailedOperation(address) ·
3ee5aeb5 ReentrancyGuardReentrantCall · 61c54c4a BettingClosed · 028e52a1 NoBetPlaced · 560ff900 AlreadySettled ·
32e1428f RoundFull · 8c665a2c RoundInProgress · 3eb3aec0 RoundNotReady · bbdec0dd InvalidTargetMultiplier ·
0813eb43 ZeroBetAmount
"""
EVENTS = {
    "JackedIn": [("address", True), ("uint256", False), ("uint8", True), ("uint256", False)],
    "StakeAdded": [("address", True), ("uint256", False), ("uint256", False)],
    "Extracted": [("address", True), ("uint256", False), ("uint256", False)],
    "PositionCulled": [("address", True), ("uint256", False), ("uint256", False), ("address", True)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_the_protocols_selector(name: str) -> None:
    entries = [entry for entry in artifact(name).abi if entry["type"] == "function"]
    selectors = {signature(entry): selector(entry).hex() for entry in entries}
    assert {one: selectors.get(one) for one in FUNCTIONS[name]} == FUNCTIONS[name]


@pytest.mark.parametrize(("name", "function"), OUTPUTS)
def test_every_answer_has_the_protocols_shape(name: str, function: str) -> None:
    outputs = artifact(name).entry("function", function)["outputs"]
    flat = outputs[0]["components"] if outputs[0]["type"] == "tuple" else outputs
    assert [one["type"] for one in flat] == OUTPUTS[name, function]


@pytest.mark.parametrize("name", ["GhostCore", "HashCrash", "ArcadeCore", "DATA"])
def test_every_custom_error_has_the_protocols_selector(name: str) -> None:
    entries = [entry for entry in artifact(name).abi if entry["type"] == "error"]
    found = {selector(entry).hex(): signature(entry).removesuffix("()") for entry in entries}
    stated = dict(one.strip().split(" ", 1) for one in ERRORS.replace("\n", " ").split("·"))
    assert found == stated


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_the_protocols_fields(event: str) -> None:
    inputs = artifact("GhostCore").entry("event", event)["inputs"]
    assert [(one["type"], one["indexed"]) for one in inputs] == EVENTS[event]


def test_the_committed_artifacts_are_what_the_sources_compile_to(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (ROOT / "node_modules" / "solc").is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("node or npm's solc is missing: CI has to recompile the contracts")
        pytest.skip("node or npm's solc is missing")
    subprocess.run(["node", "scripts/compile-contracts.mjs", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.json" for name in NAMES]
    for path in tmp_path.iterdir():
        committed = ROOT / "ghostfleet" / "devnet" / "artifacts" / path.name
        assert path.read_bytes() == committed.read_bytes(), f"run `make contracts`: {path.name} is out of date"
