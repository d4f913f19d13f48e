"""The stand-in for GhostCore keeps the protocol's promises on a real EVM, by the chain's clock and without a keeper."""

import pytest
from ghostnet_stage import QUIET, TOKEN, Reverted, Stage

from ghostfleet.devnet.deploy import Scale

VAULT, SUBNET, BLACK_ICE = 1, 3, 5
DEADLY = Scale(scan_interval_secs=(60,) * 5, death_rates_bps=(10_000,) * 5, lock_secs=10)
TINY = Scale(scan_interval_secs=(100,) * 5, death_rates_bps=(0,) * 5, max_positions=(2,) * 5, lock_secs=10)
LEVEL, ALIVE, AMOUNT, STREAK = 1, 5, 0, 6


async def refuses(stage: Stage, player: int, function: str, *arguments: int) -> str:
    with pytest.raises(Reverted) as error:
        await stage.send(player, "core", function, *arguments)
    return str(error.value)


async def test_a_stay_from_entry_to_extraction(any_stage: Stage) -> None:
    stage = any_stage
    await stage.equip(1)
    before = await stage.call("data", "balanceOf", stage.address(1))
    await stage.send(1, "core", "jackIn", 100 * TOKEN, VAULT)
    await stage.send(1, "core", "addStake", 50 * TOKEN)
    position = await stage.call("core", "getPosition", stage.address(1))
    assert (position[AMOUNT], position[LEVEL], position[ALIVE], position[STREAK]) == (150 * TOKEN, VAULT, True, 0)
    assert await stage.call("data", "balanceOf", stage.address(1)) == before - 150 * TOKEN, "the protocol is exempt"
    await stage.pass_time(30)
    pending = await stage.call("core", "getPendingRewards", stage.address(1))
    assert 29 * TOKEN <= pending <= 33 * TOKEN, "one DATA a second for the only position of its level"
    await stage.send(1, "core", "claimRewards")
    held = await stage.call("data", "balanceOf", stage.address(1))
    assert held >= before - 150 * TOKEN + pending
    await stage.send(1, "core", "extract")
    assert (await stage.call("core", "getPosition", stage.address(1)))[LEVEL] == 0
    assert await stage.call("data", "balanceOf", stage.address(1)) >= held + 150 * TOKEN
    assert (await stage.call("core", "getLevelState", VAULT))[:2] == (0, 0)


async def test_every_refusal_has_its_error(stage: Stage) -> None:
    assert await refuses(stage, 1, "jackIn", 10 * TOKEN, VAULT) == "ERC20InsufficientAllowance"
    await stage.equip(1)
    assert await refuses(stage, 1, "jackIn", 10 * TOKEN, 0) == "InvalidLevel"
    assert await refuses(stage, 1, "jackIn", 10 * TOKEN, 6) == "InvalidLevel"
    assert await refuses(stage, 1, "jackIn", 0, VAULT) == "InvalidAmount"
    assert await refuses(stage, 1, "jackIn", 249 * TOKEN, BLACK_ICE) == "BelowMinimumStake"
    assert await refuses(stage, 1, "jackIn", 10**9 * TOKEN, VAULT) == "ERC20InsufficientBalance"
    for function, arguments in (("addStake", (TOKEN,)), ("extract", ()), ("claimRewards", ())):
        assert await refuses(stage, 1, function, *arguments) == "NoPositionExists"
    await stage.send(1, "core", "jackIn", 10 * TOKEN, VAULT)
    assert await refuses(stage, 1, "jackIn", 10 * TOKEN, VAULT) == "PositionAlreadyExists"
    assert await refuses(stage, 1, "addStake", 0) == "InvalidAmount"
    assert await refuses(stage, 1, "pause") == "NotAuthorized"
    await stage.send(0, "core", "pause")
    for function, arguments in (("jackIn", (10 * TOKEN, VAULT)), ("addStake", (TOKEN,)), ("extract", ())):
        assert await refuses(stage, 1, function, *arguments) == "EnforcedPause"
    await stage.send(0, "core", "unpause")
    await stage.send(1, "core", "extract")


async def test_nobody_leaves_in_the_lock_before_a_scan(any_stage: Stage) -> None:
    stage = any_stage
    await stage.equip(1)
    await stage.send(1, "core", "jackIn", 10 * TOKEN, VAULT)
    assert await stage.call("core", "isInLockPeriod", stage.address(1)) is False
    scan = (await stage.call("core", "getLevelState", VAULT))[3]
    now = int((await stage.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
    await stage.pass_time(scan - now - QUIET.lock_secs + 2)
    assert await stage.call("core", "isInLockPeriod", stage.address(1)) is True
    assert await refuses(stage, 1, "extract") == "PositionLocked"
    await stage.send(1, "core", "claimRewards")
    await stage.pass_time(QUIET.lock_secs)
    assert await stage.call("core", "isInLockPeriod", stage.address(1)) is False
    assert (await stage.call("core", "getPosition", stage.address(1)))[STREAK] == 1
    await stage.send(1, "core", "extract")


@pytest.mark.parametrize("stage", [DEADLY], indirect=True)
async def test_a_traced_position_stays_for_ever_and_refuses_everything(stage: Stage) -> None:
    for player in (1, 2):
        await stage.equip(player)
    await stage.send(1, "core", "jackIn", 100 * TOKEN, VAULT)
    assert await stage.call("core", "isAlive", stage.address(1)) is True
    await stage.pass_time(60)
    # The views say so at once; nobody has carried the scan out yet.
    assert await stage.call("core", "isAlive", stage.address(1)) is False
    position = await stage.call("core", "getPosition", stage.address(1))
    assert (position[AMOUNT], position[LEVEL], position[ALIVE]) == (0, VAULT, False)
    assert (await stage.call("core", "getLevelState", VAULT))[:2] == (0, 0)
    assert await stage.call("core", "getPendingRewards", stage.address(1)) == 0
    assert await refuses(stage, 1, "jackIn", 10 * TOKEN, VAULT) == "PositionDead"
    receipt = await stage.send(2, "core", "jackIn", 10 * TOKEN, VAULT)
    assert len(receipt["logs"]) == 3, "the next one to come by carries the scan out: Traced, Transfer, JackedIn"
    assert (await stage.call("core", "getLevelState", VAULT))[:2] == (10 * TOKEN, 1)
    assert await stage.call("core", "getPosition", stage.address(1)) == position
    for function, arguments in (("addStake", (TOKEN,)), ("extract", ()), ("claimRewards", ())):
        assert await refuses(stage, 1, function, *arguments) == "PositionDead"


@pytest.mark.parametrize(
    "stage", [Scale(scan_interval_secs=(60,) * 5, death_rates_bps=(5_000,) * 5, lock_secs=5)], indirect=True
)
async def test_views_and_scans_agree_on_who_died_and_what_is_left(stage: Stage) -> None:
    players = range(1, 9)
    for player in players:
        await stage.equip(player)
        await stage.send(player, "core", "jackIn", (100 + player) * TOKEN, SUBNET)
    await stage.send(3, "core", "extract")
    await stage.send(4, "core", "addStake", 7 * TOKEN)
    for _ in range(3):
        await stage.pass_time(60)
        seen = [await stage.call("core", "getPosition", stage.address(player)) for player in players]
        alive = [position for position in seen if position[ALIVE]]
        total, count, shares, _ = await stage.call("core", "getLevelState", SUBNET)
        assert (total, count) == (sum(position[AMOUNT] for position in alive), len(alive))
        await stage.equip(9)
        await stage.send(9, "core", "jackIn", 50 * TOKEN, SUBNET)
        assert [await stage.call("core", "getPosition", stage.address(player)) for player in players] == seen
        assert (await stage.call("core", "getLevelState", SUBNET))[2] >= shares
        await stage.send(9, "core", "extract")
    assert 0 < len(alive) + 1 < len(players), "half of them die in each scan: all or none would be one in hundreds"
    for player, position in zip(players, seen, strict=True):
        if position[ALIVE]:
            await stage.send(player, "core", "extract")
    assert (await stage.call("core", "getLevelState", SUBNET))[:2] == (0, 0)


@pytest.mark.parametrize("stage", [TINY], indirect=True)
async def test_a_full_level_culls_the_smallest_or_turns_the_newcomer_away(stage: Stage) -> None:
    for player in (1, 2, 3):
        await stage.equip(player)
    await stage.send(1, "core", "jackIn", 300 * TOKEN, BLACK_ICE)
    await stage.send(2, "core", "jackIn", 400 * TOKEN, BLACK_ICE)
    assert await refuses(stage, 3, "jackIn", 300 * TOKEN, BLACK_ICE) == "LevelAtCapacity"
    before = await stage.call("data", "balanceOf", stage.address(1))
    await stage.send(3, "core", "jackIn", 500 * TOKEN, BLACK_ICE)
    assert (await stage.call("core", "getPosition", stage.address(1)))[LEVEL] == 0, "culled, it may come again"
    assert await stage.call("data", "balanceOf", stage.address(1)) == before + 60 * TOKEN
    assert (await stage.call("core", "getLevelState", BLACK_ICE))[:2] == (900 * TOKEN, 2)
    assert await stage.call("core", "getPendingRewards", stage.address(2)) >= 240 * TOKEN


async def test_the_levels_are_the_protocols_with_time_scaled(stage: Stage) -> None:
    configs = [await stage.call("core", "getLevelConfig", level) for level in range(1, 6)]
    assert [config[2] // TOKEN for config in configs] == [10, 25, 50, 100, 250]
    assert [config[1] for config in configs] == list(QUIET.scan_interval_secs)
    assert {config[4:] for config in configs} == {(50, 8_000)}
    with pytest.raises(Reverted, match="InvalidLevel"):
        await stage.call("core", "getLevelConfig", 6)
