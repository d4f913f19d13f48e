"""The stand-ins for the token and the games: the tax, the rounds by the clock, the bets and what they pay."""

import pytest
from ghostnet_stage import TOKEN, Reverted, Stage

from ghostfleet.devnet.deploy import TREASURY

IDLE, BETTING, LOCKED, ACTIVE, SETTLED = range(5)
STATE, BETTING_END, POOL, CRASH, PAID, PLAYERS = range(6)


async def refuses(stage: Stage, player: int, function: str, *arguments: object) -> str:
    with pytest.raises(Reverted) as error:
        await stage.send(player, "crash", function, *arguments)
    return str(error.value)


async def now(stage: Stage) -> int:
    return int((await stage.rpc("eth_getBlockByNumber", "latest", False))["timestamp"], 16)


async def to_betting(stage: Stage) -> int:
    """The session whose betting begins with the next block."""
    session = int(await stage.call("crash", "currentSessionId"))
    end = (await stage.call("crash", "getRound", session))[BETTING_END]
    await stage.pass_time(end + 50 - await now(stage))
    assert await stage.call("crash", "currentSessionId") == session + 1
    return session + 1


async def test_a_transfer_between_ordinary_addresses_costs_a_tenth(any_stage: Stage) -> None:
    stage = any_stage
    await stage.equip(1, 1_000)
    supply = await stage.call("data", "totalSupply")
    receipt = await stage.send(1, "data", "transfer", stage.address(2), 100 * TOKEN)
    assert len(receipt["logs"]) == 3
    assert await stage.call("data", "balanceOf", stage.address(2)) == 90 * TOKEN
    assert await stage.call("data", "balanceOf", stage.address(1)) == 900 * TOKEN
    assert await stage.call("data", "balanceOf", str(TREASURY)) == TOKEN
    assert await stage.call("data", "totalSupply") == supply - 9 * TOKEN
    with pytest.raises(Reverted, match="ERC20InsufficientBalance"):
        await stage.send(2, "data", "transfer", stage.address(1), 91 * TOKEN)
    with pytest.raises(Reverted, match="ERC20InsufficientAllowance"):
        await stage.send(2, "data", "transferFrom", stage.address(3), stage.address(1), TOKEN)


async def test_rounds_follow_one_another_by_the_clock_alone(any_stage: Stage) -> None:
    stage = any_stage
    session = await to_betting(stage)
    seen = []
    for secs in (0, 51, 20, 20, 10):
        await stage.pass_time(secs)
        seen.append((await stage.call("crash", "getRound", session))[STATE])
    assert seen == [BETTING, LOCKED, ACTIVE, SETTLED, SETTLED]
    assert await stage.call("crash", "currentSessionId") == session + 1
    assert (await stage.call("crash", "getRound", session + 1))[STATE] == BETTING
    assert (await stage.call("crash", "getRound", session + 2))[STATE] == IDLE


async def test_a_bet_is_paid_out_exactly_when_the_crash_reaches_its_target(any_stage: Stage) -> None:
    stage = any_stage
    await stage.equip(1)
    won = lost = 0
    while not won or not lost:
        session = await to_betting(stage)
        waiting = await stage.call("arcade", "getPendingPayout", stage.address(1))
        await stage.send(1, "crash", "placeBet", 100 * TOKEN, 200)
        assert await stage.call("crash", "getPlayerBet", session, stage.address(1)) == (
            96 * TOKEN,
            100 * TOKEN,
            200,
            False,
        )
        round_ = await stage.call("crash", "getRound", session)
        assert (round_[POOL], round_[CRASH], round_[PLAYERS]) == (96 * TOKEN, 0, 1)
        await stage.pass_time(95)
        round_ = await stage.call("crash", "getRound", session)
        assert 100 <= round_[CRASH] <= 10_000
        owed = 192 * TOKEN if round_[CRASH] >= 200 else 0
        won, lost = won + (owed > 0), lost + (owed == 0)
        assert round_[PAID] == owed
        assert await stage.call("arcade", "getPendingPayout", stage.address(1)) == waiting + owed
        assert (await stage.call("crash", "getPlayerBet", session, stage.address(1)))[3] is True
        assert won + lost < 40, "even chances"
    before = await stage.call("data", "balanceOf", stage.address(1))
    await stage.send(1, "arcade", "withdrawPayout")
    assert await stage.call("data", "balanceOf", stage.address(1)) == before + won * 192 * TOKEN
    assert await stage.call("arcade", "getPendingPayout", stage.address(1)) == 0


async def test_every_refusal_of_a_bet_has_its_error(stage: Stage) -> None:
    await stage.equip(1)
    assert await refuses(stage, 1, "settle", stage.address(1)) == "NoBetPlaced"
    await to_betting(stage)
    assert await refuses(stage, 1, "placeBet", 0, 200) == "ZeroBetAmount"
    assert await refuses(stage, 1, "placeBet", TOKEN, 100) == "InvalidTargetMultiplier"
    assert await refuses(stage, 1, "placeBet", TOKEN, 10_001) == "InvalidTargetMultiplier"
    assert await refuses(stage, 2, "placeBet", TOKEN, 200) == "ERC20InsufficientAllowance"
    await stage.send(1, "crash", "placeBet", TOKEN, 200)
    assert await refuses(stage, 1, "placeBet", TOKEN, 200) == "RoundInProgress"
    assert await refuses(stage, 1, "settle", stage.address(1)) == "RoundNotReady"
    await stage.send(0, "crash", "pause")
    assert await refuses(stage, 1, "placeBet", TOKEN, 200) == "EnforcedPause"
    await stage.send(0, "crash", "unpause")
    await stage.pass_time(52)
    assert await refuses(stage, 1, "placeBet", TOKEN, 200) == "BettingClosed"
    with pytest.raises(Reverted, match="NotAuthorized"):
        await stage.send(1, "arcade", "takeBet", stage.address(1), TOKEN)


async def test_the_explicit_steps_work_at_their_time_and_at_no_other(stage: Stage) -> None:
    await stage.equip(1)
    session = await to_betting(stage)
    await stage.send(1, "crash", "placeBet", TOKEN, 101)
    assert await refuses(stage, 2, "startRound") == "RoundInProgress"
    assert await refuses(stage, 2, "lockRound") == "RoundNotReady"
    await stage.pass_time(52)
    await stage.send(2, "crash", "lockRound")
    assert await refuses(stage, 2, "revealCrash") == "RoundNotReady"
    assert await refuses(stage, 2, "settleAll") == "RoundNotReady"
    await stage.pass_time(20)
    await stage.send(2, "crash", "revealCrash")
    await stage.send(2, "crash", "settleAll")
    assert await refuses(stage, 2, "settle", stage.address(1)) == "AlreadySettled"
    assert await refuses(stage, 2, "startRound") == "RoundInProgress"
    await stage.pass_time(20)
    await stage.send(2, "crash", "startRound")
    assert await stage.call("crash", "currentSessionId") == session + 1
    assert (await stage.call("crash", "getRound", session + 1))[STATE] == BETTING


async def test_a_51st_player_finds_the_round_full(stage: Stage) -> None:
    await to_betting(stage)
    for number in range(51):
        account = "0x" + f"{number + 0xF00D:040x}"
        await stage.rpc("anvil_impersonateAccount", account)
        stage.accounts = [*stage.accounts[:9], account]
        await stage.rpc("anvil_setBalance", account, hex(10**18))
        await stage.equip(9, 10)
        if number < 50:
            await stage.send(9, "crash", "placeBet", TOKEN, 200)
    assert await refuses(stage, 9, "placeBet", TOKEN, 200) == "RoundFull"
