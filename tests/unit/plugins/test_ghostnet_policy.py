"""What each temperament does with what it sees; whatever it sees, it never acts against what it knows."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostfleet.domain.profile import BUILT_IN_PROFILES, CASUAL, DEGEN, SNIPER, WHALE, Profile
from ghostfleet.domain.values import Address, decode_octets, encode_json
from ghostfleet.plugins.api import Action, Rest
from ghostfleet.plugins.ghostnet import policy, protocol
from ghostfleet.plugins.ghostnet.plugin import GhostnetPlugin
from ghostfleet.plugins.ghostnet.view import Deployment, Game, GhostnetView, Level, Position

TOKEN = 10**18
NOW_SECS = 1_790_000_000
CORE, DATA, CRASH, ARCADE = (Address(bytes([byte]) * 20) for byte in (1, 2, 3, 4))
DEPLOYED = Deployment(ghost_core=CORE, data_token=DATA, hash_crash=CRASH, arcade_core=ARCADE, min_stake_wei=10 * TOKEN)
WITHOUT_GAME = msgspec.structs.replace(DEPLOYED, hash_crash=None, arcade_core=None)
MINIMUM = {1: 10, 2: 25, 3: 50, 4: 100, 5: 250}
KINDS_OF_POSITION = {"jack_in", "add_stake", "claim_rewards", "extract"}

wei = st.one_of(st.just(0), st.integers(0, 2**256 - 1), st.integers(0, 10**24))
secs = st.integers(0, 2**64 - 1)
levels = st.builds(
    Level,
    number=st.integers(0, 255),
    death_rate_bps=st.integers(0, 2**16 - 1),
    scan_interval_secs=st.integers(0, 2**32 - 1),
    min_stake_wei=wei,
    max_positions=st.integers(0, 2**32 - 1),
    alive_count=wei,
    next_scan_secs=secs,
)
positions = st.builds(
    Position, level=st.integers(1, 5), amount_wei=wei, entered_secs=secs, alive=st.booleans(), rewards_wei=wei,
    locked=st.booleans(),
)  # fmt: skip
games = st.builds(
    Game, session=wei, state=st.integers(0, 255), betting_ends_secs=secs, players=wei, own_bet_wei=wei, payout_wei=wei,
    allowance_wei=wei,
)  # fmt: skip
views = st.builds(
    GhostnetView,
    now_secs=secs,
    paused=st.booleans(),
    data_wei=wei,
    core_allowance_wei=wei,
    position=st.none() | positions,
    levels=st.lists(levels, max_size=5).map(tuple),
    cheapest_wei=wei,
    game=st.none() | games,
)
share = st.floats(0, 1)
profiles = st.builds(
    Profile, name=st.just("any"), risk_tolerance=share, activity_level=st.floats(0, 72_000), patience=share,
    action_interval_secs=st.floats(0.05, 1e7), action_interval_jitter_pct=st.floats(0, 100),
    active_hours_start=st.integers(0, 23), active_hours_end=st.integers(0, 24), off_hours_factor=share,
    afk_probability=share, afk_min_hours=st.just(0.0), afk_max_hours=st.just(1.0),
)  # fmt: skip
seeds = st.integers(0, 2**63)


def decide(view: GhostnetView, profile: Profile, seed: int, deployment: Deployment = DEPLOYED) -> Action | Rest:
    return policy.decide(view, deployment, profile, random.Random(seed))


@settings(max_examples=200)
@given(views, profiles, seeds)
def test_whatever_it_sees_it_decides_and_decides_the_same_from_the_record(view, profile, seed):
    recorded = msgspec.json.decode(encode_json(view), type=GhostnetView, dec_hook=decode_octets)
    assert recorded == view
    assert encode_json(decide(recorded, profile, seed)) == encode_json(decide(view, profile, seed))


@settings(max_examples=200)
@given(views, profiles, seeds)
def test_it_never_acts_against_a_known_pause_lock_trace_or_balance(view, profile, seed):
    choice = decide(view, profile, seed)
    if isinstance(choice, Rest):
        assert choice.reason
        assert choice.secs is None or 1 <= choice.secs <= 3600
        return
    assert not view.paused
    assert choice.kind in GhostnetPlugin.kinds
    assert choice.spend_wei <= view.data_wei
    assert choice.params.get("amount_wei", 0) <= view.data_wei
    position, game = view.position, view.game
    if choice.kind in KINDS_OF_POSITION - {"jack_in"}:
        assert position is not None
        assert position.alive
        assert not position.locked
    if choice.kind == "jack_in":
        assert position is None
        amount_wei, number = protocol.JACK_IN.decode_call(choice.call.data)
        level = next(level for level in view.levels if level.number == number and level.min_stake_wei <= amount_wei)
        assert level.alive_count < level.max_positions
        assert DEPLOYED.min_stake_wei <= amount_wei <= view.core_allowance_wei
    if choice.kind == "add_stake":
        assert 0 < choice.spend_wei <= view.core_allowance_wei
    if choice.kind == "hashcrash_bet":
        amount_wei, target = protocol.PLACE_BET.decode_call(choice.call.data)
        assert (game.state, game.own_bet_wei) == (protocol.BETTING, 0)
        assert game.betting_ends_secs > view.now_secs
        assert game.players < 50
        assert 0 < amount_wei <= min(game.allowance_wei, 2**128 - 1)
        assert 101 <= target <= 10_000
    if choice.kind == "withdraw_payout":
        assert game.payout_wei > 0
    if choice.kind == "approve":
        assert choice.call.to == DATA
        spender, amount_wei = protocol.APPROVE.decode_call(choice.call.data)
        assert (choice.params["spender"], spender) in {("GhostCore", CORE), ("ArcadeCore", ARCADE)}
        assert amount_wei <= view.data_wei
        assert spender == ARCADE or position is None or (position.alive and not position.locked)


@given(views)
def test_the_way_out_claims_then_extracts_then_fetches_winnings(view):
    kinds = [action.kind for action in policy.withdraw(view, DEPLOYED)]
    alive = view.position is not None and view.position.alive
    expected = []
    if alive and view.position.rewards_wei:
        expected.append("claim_rewards")
    if alive:
        expected.append("extract")
    if view.game is not None and view.game.payout_wei:
        expected.append("withdraw_payout")
    assert kinds == expected


# --- what it does, by example


def level(number: int, alive: int = 3, **changes) -> Level:
    made = Level(
        number=number, death_rate_bps=500 + 1_000 * (number - 1), scan_interval_secs=3_600,
        min_stake_wei=MINIMUM[number] * TOKEN, max_positions=100, alive_count=alive, next_scan_secs=NOW_SECS + 1_800,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def outside(data: int = 1_000, **changes) -> GhostnetView:
    """Without a position, with everything approved."""
    made = GhostnetView(
        now_secs=NOW_SECS, paused=False, data_wei=data * TOKEN, core_allowance_wei=2**255, cheapest_wei=10 * TOKEN,
        levels=tuple(level(number) for number, asked in MINIMUM.items() if asked <= data),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def inside(age_secs: int = 60, **changes) -> GhostnetView:
    """With 100 DATA in SUBNET."""
    position = Position(level=3, amount_wei=100 * TOKEN, entered_secs=NOW_SECS - age_secs, alive=True)
    position = msgspec.structs.replace(
        position, **{key: changes.pop(key) for key in ("alive", "locked", "rewards_wei") if key in changes}
    )
    return outside(position=position, **({"levels": (level(3),)} | changes))


def betting(**changes) -> Game:
    made = Game(
        session=7, state=protocol.BETTING, betting_ends_secs=NOW_SECS + 60, players=3, own_bet_wei=0, payout_wei=0,
        allowance_wei=2**255,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def kinds(view: GhostnetView, profile: Profile, deployment: Deployment = DEPLOYED, seeds: int = 200) -> set[str]:
    """Everything that this profile may do with this view."""
    choices = [decide(view, profile, seed, deployment) for seed in range(seeds)]
    return {choice.kind if isinstance(choice, Action) else choice.reason.partition(":")[0] for choice in choices}


@pytest.mark.parametrize("profile", BUILT_IN_PROFILES.values(), ids=list(BUILT_IN_PROFILES))
class TestEveryTemperament:
    def test_approves_before_it_jacks_in(self, profile):
        assert kinds(outside(core_allowance_wei=0), profile) == {"approve"}
        assert kinds(outside(), profile) == {"jack_in"}

    def test_jacks_in_anew_after_it_was_culled(self, profile):
        assert kinds(outside(data=20), profile) == {"jack_in"}

    def test_is_out_for_good_once_traced(self, profile):
        traced = inside(alive=False, levels=())
        assert decide(traced, profile, 1) == Rest(reason="traced: out of GhostCore", secs=policy.TRACED_REST_SECS)

    def test_may_still_play_once_traced(self, profile):
        traced = inside(alive=False, levels=(), game=betting())
        assert kinds(traced, profile) == {"traced", "hashcrash_bet"}

    def test_rests_until_after_the_scan_when_locked(self, profile):
        locked = inside(age_secs=10**6, locked=True, rewards_wei=50 * TOKEN)
        assert decide(locked, profile, 1) == Rest(reason="locked: the scan comes first", secs=1_801)

    def test_rests_while_the_protocol_is_paused(self, profile):
        assert kinds(inside(age_secs=10**6, paused=True, game=betting(payout_wei=TOKEN)), profile) == {"paused"}

    def test_says_how_much_data_it_lacks(self, profile):
        choice = decide(outside(data=9), profile, 1)
        assert choice == Rest(
            reason="too little DATA: holds 9000000000000000000 wei, the cheapest level asks 10000000000000000000 wei",
            secs=policy.POOR_REST_SECS,
        )

    def test_takes_another_level_when_its_own_is_full(self, profile):
        full = tuple(level(number, alive=100) for number in MINIMUM if number != 2)
        for seed in range(50):
            choice = decide(outside(levels=(*full, level(2))), profile, seed)
            assert choice.params["level"] == "MAINFRAME"

    def test_waits_for_the_next_scan_when_every_level_is_full(self, profile):
        view = outside(levels=(level(1, alive=100), level(2, alive=100, next_scan_secs=NOW_SECS + 9)))
        assert decide(view, profile, 1) == Rest(reason="every level within reach is full", secs=10)

    def test_bets_once_a_round_and_only_while_betting_is_open(self, profile):
        assert "hashcrash_bet" in kinds(inside(game=betting()), profile)
        for closed in (
            betting(own_bet_wei=1), betting(state=0), betting(state=2), betting(players=50),
            betting(betting_ends_secs=NOW_SECS + 1),
        ):  # fmt: skip
            assert "hashcrash_bet" not in kinds(inside(game=closed), profile)

    def test_approves_bets_to_the_arcade_and_only_some_of_them(self, profile):
        choices = [decide(inside(game=betting(allowance_wei=0)), profile, seed) for seed in range(200)]
        approvals = [choice.call for choice in choices if isinstance(choice, Action) and choice.kind == "approve"]
        assert approvals
        for call in approvals:
            spender, amount_wei = protocol.APPROVE.decode_call(call.data)
            assert spender == ARCADE
            assert amount_wei <= 1_000 * TOKEN
        assert "hashcrash_bet" not in kinds(inside(game=betting(allowance_wei=0)), profile)

    def test_never_plays_where_it_is_not_enabled(self, profile):
        assert not {"hashcrash_bet", "withdraw_payout"} & kinds(inside(), profile, WITHOUT_GAME)


def test_the_patient_stay_longer():
    stays = {name: policy.hold_secs(level(3), profile) for name, profile in BUILT_IN_PROFILES.items()}
    assert stays["degen"] < stays["casual"] == stays["grinder"] < stays["whale"] < stays["sniper"]
    assert kinds(inside(age_secs=3_600), DEGEN) == {"extract"}
    assert "extract" not in kinds(inside(age_secs=3_600), SNIPER)
    assert kinds(inside(age_secs=8 * 3_600), SNIPER) == {"extract"}


def test_all_times_scale_with_the_scan_interval_that_was_read():
    slow, fast = level(3), level(3, scan_interval_secs=36)
    assert policy.hold_secs(slow, CASUAL) == pytest.approx(100 * policy.hold_secs(fast, CASUAL))


def test_the_daring_choose_the_deadlier_levels_and_stake_more():
    def average(profile: Profile) -> tuple[float, float]:
        actions = [decide(outside(), profile, seed) for seed in range(200)]
        rates = [protocol.JACK_IN.decode_call(action.call.data)[1] for action in actions]
        return sum(rates) / 200, sum(action.spend_wei for action in actions) / 200

    assert average(WHALE) < average(CASUAL) < average(SNIPER) < average(DEGEN)
    assert average(WHALE)[1] < average(DEGEN)[1]


def test_the_daring_bet_more_on_higher_targets():
    def average(profile: Profile) -> tuple[float, float]:
        choices = [decide(inside(game=betting()), profile, seed) for seed in range(2_000)]
        bets = [choice for choice in choices if isinstance(choice, Action) and choice.kind == "hashcrash_bet"]
        return (
            sum(bet.spend_wei for bet in bets) / len(bets),
            sum(bet.params["target_hundredths"] for bet in bets) / len(bets),
        )

    whale, degen = average(WHALE), average(DEGEN)
    assert whale[0] < degen[0]
    assert whale[1] < degen[1]


def test_the_restless_claim_what_the_patient_leave():
    far_off = (level(3, next_scan_secs=NOW_SECS + 7_200),)
    little = inside(rewards_wei=2 * TOKEN, levels=far_off)
    assert kinds(little, DEGEN) == {"claim_rewards"}
    assert "claim_rewards" not in kinds(little, WHALE)
    assert kinds(inside(rewards_wei=20 * TOKEN, levels=far_off), WHALE) == {"claim_rewards"}


def test_the_cautious_take_rewards_out_before_a_scan():
    soon = level(3, next_scan_secs=NOW_SECS + 600)
    assert "claim_rewards" in kinds(inside(rewards_wei=2 * TOKEN, levels=(soon,)), WHALE)


def test_winnings_are_fetched_sooner_by_the_impatient():
    def fetched(profile: Profile) -> int:
        view = inside(game=betting(payout_wei=TOKEN, state=2))
        choices = [decide(view, profile, seed) for seed in range(300)]
        return sum(isinstance(choice, Action) and choice.kind == "withdraw_payout" for choice in choices)

    assert 0 < fetched(SNIPER) < fetched(CASUAL) < fetched(DEGEN)


def test_activity_says_how_often_a_stake_is_topped_up():
    def topped_up(activity: float) -> int:
        profile = msgspec.structs.replace(CASUAL, activity_level=activity)
        choices = [decide(inside(), profile, seed) for seed in range(400)]
        return sum(isinstance(choice, Action) and choice.kind == "add_stake" for choice in choices)

    assert topped_up(0) == 0 < topped_up(4) < topped_up(60)


def test_a_stake_or_bet_that_the_data_does_not_cover_is_not_made():
    assert "jack_in" not in kinds(outside(data=5, levels=(level(5),)), DEGEN)
    assert "hashcrash_bet" not in kinds(inside(data=0, game=betting()), DEGEN)


def test_a_bet_never_exceeds_what_the_contract_can_hold():
    for seed in range(200):
        choice = decide(inside(game=betting(), data_wei=2**255), DEGEN, seed)
        assert not isinstance(choice, Action) or choice.kind != "hashcrash_bet" or choice.spend_wei <= 2**128 - 1


def test_bets_are_not_approved_beyond_what_the_wallet_holds():
    poor = inside(game=betting(allowance_wei=0), data_wei=2 * policy.MIN_BET_WEI)
    choices = [decide(poor, DEGEN, seed) for seed in range(100)]
    approved = [
        choice for choice in choices if isinstance(choice, Action) and choice.params.get("spender") == "ArcadeCore"
    ]
    assert approved
    assert {choice.params["amount_wei"] for choice in approved} == {2 * policy.MIN_BET_WEI}


def test_stakes_count_towards_the_token_limit():
    assert decide(outside(), CASUAL, 1).spend_wei > 0
    assert decide(outside(core_allowance_wei=0), CASUAL, 1).spend_wei == 0
