"""The plugin against the stand-in contracts: every kind succeeds, and every state of the protocol is recognised."""

import random

import msgspec
import pytest
from protocol_stage import TOKEN, Stage, ghostnet

from ghostfleet.devnet.deploy import Scale
from ghostfleet.domain.profile import CASUAL, DEGEN, WHALE, Profile
from ghostfleet.domain.values import Address, Call
from ghostfleet.plugins.abi import UnreadableAnswer
from ghostfleet.plugins.api import Action, Rest
from ghostfleet.plugins.ghostnet import policy, protocol

EAGER = msgspec.structs.replace(CASUAL, activity_level=72_000.0, patience=0.0, risk_tolerance=1.0)
DEADLY = Scale(death_rates_bps=(10_000,) * 5, scan_interval_secs=(60,) * 5, lock_secs=10)
VAULT = 1


async def decide(stage: Stage, wallet: Address, profile: Profile = CASUAL, seed: int = 1) -> Action | Rest:
    view = await stage.observe(wallet)
    return stage.plugin.decide(view, stage.facts(wallet), profile, random.Random(seed))


async def until(stage: Stage, wallet: Address, kind: str, profile: Profile = EAGER) -> tuple[bool, list[dict]]:
    """Let the wallet act as it likes, a second a turn, until it has done this; its outcome and the events it caused."""
    for seed in range(100):
        choice = await decide(stage, wallet, profile, seed)
        if isinstance(choice, Rest):
            await stage.mine()
            continue
        succeeded, logs = await stage.act(wallet, choice)
        if choice.kind == kind:
            decoded = [stage.plugin.decode_log(entry) for entry in logs]
            return succeeded, [entry for entry in decoded if entry is not None]
    raise AssertionError(f"no {kind} in 100 turns")


async def jack_in(stage: Stage, wallet: Address, amount: int = 100, level: int = VAULT) -> None:
    core, token = stage.deployment.ghost_core, stage.deployment.data_token
    approval = Call(to=token, data=protocol.APPROVE.encode(core, 2**256 - 1))
    assert (await stage.act(wallet, approval))[0]
    assert (await stage.act(wallet, Call(to=core, data=protocol.JACK_IN.encode(amount * TOKEN, level))))[0]


async def to_second_of_interval(stage: Stage, wallet: Address, left_secs: int) -> None:
    """Mine a block so many seconds before the next scan of the position's level."""
    view = await stage.observe(wallet)
    await stage.mine(view.levels[0].next_scan_secs - left_secs - view.now_secs)


async def custom_error(stage: Stage, wallet: Address, call: Call) -> str:
    """The name of the error that the contract answers with."""
    words = await stage.why_refused(wallet, call)
    return next(name for selector, (name, _) in protocol.ERRORS.items() if selector.hex() in words or name in words)


EVENT = {
    "approve": set(),
    "jack_in": {"Transfer", "JackedIn"},
    "add_stake": {"Transfer", "StakeAdded"},
    "claim_rewards": {"Transfer"},
    "extract": {"Transfer", "Extracted"},
    "hashcrash_bet": {"Transfer"},
    "withdraw_payout": {"Transfer"},
}


@pytest.mark.parametrize("kind", EVENT)
async def test_every_kind_succeeds_and_its_events_are_readable(stage, kind):
    staged: Stage = await stage()
    profile = msgspec.structs.replace(EAGER, risk_tolerance=0.3) if kind == "withdraw_payout" else EAGER
    succeeded, events = await until(staged, staged.wallets[0], kind, profile)
    assert succeeded
    assert {event["event"] for event in events} == EVENT[kind]


async def test_a_look_takes_at_most_three_requests_and_few_calls(stage):
    staged: Stage = await stage()
    wallet, view = staged.wallets[0], staged.view

    async def cost() -> tuple[int, int]:
        before = view.requests, view.calls
        await staged.observe(wallet)
        return view.requests - before[0], view.calls - before[1]

    assert await cost() == (3, 20)
    await jack_in(staged, wallet)
    assert await cost() == (2, 14)
    staged.plugin = ghostnet(staged.deployment, hashcrash=False)
    assert await cost() == (2, 9)


async def test_a_position_is_seen_as_it_is(stage):
    staged: Stage = await stage()
    wallet = staged.wallets[0]
    assert (await staged.observe(wallet)).position is None
    await jack_in(staged, wallet, 100)
    await staged.mine(10)
    view = await staged.observe(wallet)
    assert (view.position.level, view.position.amount_wei, view.position.alive) == (VAULT, 100 * TOKEN, True)
    assert view.position.rewards_wei == 10 * TOKEN
    assert [level.number for level in view.levels] == [VAULT]
    assert (view.levels[0].min_stake_wei, view.levels[0].scan_interval_secs) == (10 * TOKEN, 60)
    assert view.data_wei == 2_900 * TOKEN


async def test_only_levels_within_reach_are_read(stage):
    staged: Stage = await stage(tokens=60)
    view = await staged.observe(staged.wallets[0])
    assert [level.number for level in view.levels] == [1, 2, 3]
    assert view.cheapest_wei == 10 * TOKEN


async def test_too_little_data_is_a_rest(stage):
    staged: Stage = await stage(tokens=9)
    staged.plugin = ghostnet(staged.deployment, hashcrash=False)
    choice = await decide(staged, staged.wallets[0])
    assert choice.reason.startswith("too little DATA: holds 9000000000000000000 wei")


async def test_a_traced_wallet_stops_trying_and_whatever_is_tried_counts_no_error(stage):
    staged: Stage = await stage(scale=DEADLY)
    staged.plugin = ghostnet(staged.deployment, hashcrash=False)
    wallet, core = staged.wallets[0], staged.deployment.ghost_core
    await jack_in(staged, wallet)
    await to_second_of_interval(staged, wallet, 0)
    view = await staged.observe(wallet)
    assert (view.position.level, view.position.alive) == (VAULT, False)
    assert await decide(staged, wallet) == Rest(reason="traced: out of GhostCore", secs=policy.TRACED_REST_SECS)
    assert staged.plugin.withdraw(view, staged.facts(wallet)) == []
    for tried in (
        protocol.JACK_IN.encode(100 * TOKEN, 1), protocol.ADD_STAKE.encode(TOKEN), protocol.CLAIM_REWARDS.encode(),
        protocol.EXTRACT.encode(),
    ):  # fmt: skip
        error = await custom_error(staged, wallet, Call(to=core, data=tried))
        assert error == "PositionDead"
        assert not staged.plugin.judge("jack_in", error).counts


async def test_a_traced_wallet_may_still_play(stage):
    staged: Stage = await stage(scale=DEADLY)
    wallet = staged.wallets[0]
    await jack_in(staged, wallet)
    await to_second_of_interval(staged, wallet, 0)
    succeeded, _ = await until(staged, wallet, "hashcrash_bet")
    assert succeeded


async def test_a_lock_is_waited_out_until_after_the_scan(stage):
    staged: Stage = await stage()
    staged.plugin = ghostnet(staged.deployment, hashcrash=False)
    wallet, core = staged.wallets[0], staged.deployment.ghost_core
    await jack_in(staged, wallet)
    await to_second_of_interval(staged, wallet, 5)
    assert await decide(staged, wallet, DEGEN) == Rest(reason="locked: the scan comes first", secs=6)
    error = await custom_error(staged, wallet, Call(to=core, data=protocol.EXTRACT.encode()))
    assert error == "PositionLocked"
    assert not staged.plugin.judge("extract", error).counts
    await staged.mine(6)
    choice = await decide(staged, wallet, DEGEN)
    assert choice.kind == "extract"
    assert (await staged.act(wallet, choice))[0]


async def test_a_paused_protocol_is_left_alone_and_is_nobodys_fault(stage):
    staged: Stage = await stage()
    wallet, core = staged.wallets[0], staged.deployment.ghost_core
    await staged.by_owner("GhostCore", "pause")
    assert (await decide(staged, wallet)).reason.startswith("paused")
    error = await custom_error(staged, wallet, Call(to=core, data=protocol.JACK_IN.encode(TOKEN, 1)))
    assert error == "EnforcedPause"
    assert not staged.plugin.judge("jack_in", error).counts
    await staged.by_owner("GhostCore", "unpause")
    assert isinstance(await decide(staged, wallet), Action)


async def test_full_levels_are_passed_over_and_without_any_room_it_waits(stage):
    staged: Stage = await stage(3, Scale(max_positions=(1, 0, 0, 0, 1), death_rates_bps=(0,) * 5))
    staged.plugin = ghostnet(staged.deployment, hashcrash=False)
    first, second, third = staged.wallets
    await jack_in(staged, first)
    await staged.act(second, await decide(staged, second, WHALE))
    choice = await decide(staged, second, WHALE)
    assert (choice.kind, choice.params["level"]) == ("jack_in", "BLACK_ICE")
    assert (await staged.act(second, choice))[0]
    assert (await decide(staged, third)).reason == "every level within reach is full"
    approval = Call(to=staged.deployment.data_token, data=protocol.APPROVE.encode(staged.deployment.ghost_core, 2**255))
    await staged.act(third, approval)
    smaller = Call(to=staged.deployment.ghost_core, data=protocol.JACK_IN.encode(50 * TOKEN, VAULT))
    error = await custom_error(staged, third, smaller)
    assert error == "LevelAtCapacity"
    assert not staged.plugin.judge("jack_in", error).counts


async def test_a_culled_wallet_jacks_in_anew(stage):
    staged: Stage = await stage(2, Scale(max_positions=(1, 10, 10, 10, 10), death_rates_bps=(0,) * 5))
    victim, entrant = staged.wallets
    await jack_in(staged, victim, 100)
    core = staged.deployment.ghost_core
    await staged.act(entrant, Call(to=staged.deployment.data_token, data=protocol.APPROVE.encode(core, 2**255)))
    succeeded, logs = await staged.act(entrant, Call(to=core, data=protocol.JACK_IN.encode(200 * TOKEN, VAULT)))
    assert succeeded
    culled = [staged.plugin.decode_log(entry) for entry in logs]
    assert {"PositionCulled", "JackedIn"} <= {entry["event"] for entry in culled if entry}
    view = await staged.observe(victim)
    assert view.position is None
    assert view.data_wei == 2_920 * TOKEN
    choice = await decide(staged, victim)
    assert choice.kind == "jack_in"
    assert (await staged.act(victim, choice))[0]


async def test_the_way_out_brings_everything_back(stage):
    staged: Stage = await stage()
    wallet = staged.wallets[0]
    before_wei = (await staged.observe(wallet)).data_wei
    await jack_in(staged, wallet, 500)
    await staged.mine(20)
    view = await staged.observe(wallet)
    way_out = staged.plugin.withdraw(view, staged.facts(wallet))
    assert [action.kind for action in way_out] == ["claim_rewards", "extract"]
    for action in way_out:
        assert (await staged.act(wallet, action))[0]
    view = await staged.observe(wallet)
    assert view.data_wei > before_wei
    assert staged.plugin.withdraw(view, staged.facts(wallet)) == []


async def test_winnings_are_part_of_the_way_out(stage):
    staged: Stage = await stage()
    wallet = staged.wallets[0]
    cautious = msgspec.structs.replace(EAGER, risk_tolerance=0.1)
    for _ in range(10):
        await until(staged, wallet, "hashcrash_bet", cautious)
        await staged.mine(12)
        view = await staged.observe(wallet)
        if view.game.payout_wei:
            break
    payout = staged.plugin.withdraw(view, staged.facts(wallet))[-1]
    assert payout.kind == "withdraw_payout"
    assert (await staged.act(wallet, payout))[0]
    assert (await staged.observe(wallet)).game.payout_wei == 0


async def test_a_wrong_address_is_named_as_such(stage):
    staged: Stage = await stage()
    nowhere = Address(bytes([0x77]) * 20)
    staged.plugin.deployment = msgspec.structs.replace(staged.plugin.deployment, ghost_core=nowhere)
    with pytest.raises(UnreadableAnswer, match="is there a contract"):
        await staged.observe(staged.wallets[0])
