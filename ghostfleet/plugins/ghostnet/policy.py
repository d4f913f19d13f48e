"""What does a wallet of this temperament do on GHOSTNET now? Pure: the view, the profile and the random numbers come in.

Risk says which level, how much of the DATA and how bold a bet; patience how long to stay and from what on rewards are
worth a claim; activity how eager to do what need not be done. All times are measured in the level's own scan intervals.
"""

from collections.abc import Sequence

from ghostfleet.domain.amounts import decimal_text
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, Call, JsonObject, Octets
from ghostfleet.plugins.api import Action, Rest
from ghostfleet.plugins.ghostnet import protocol
from ghostfleet.plugins.ghostnet.view import Deployment, Game, GhostnetView, Level, Position

EAGER_PER_HOUR = 6.0
"""A wallet of so many actions per hour takes every second chance of an optional action."""
MIN_BET_WEI = 10**17
"""A smaller bet costs more gas than it moves."""
TOP_UP_CHANCE = 0.5
"""How often the most eager add to a stake when there is nothing better to do."""
SMALLEST_TOP_UP = 100
"""A stake is not topped up by less than this part of it."""
APPROVED_BETS = 20
"""An approval to ArcadeCore is for so many bets of the present size, and never for more than the wallet holds."""
BET_MARGIN_SECS = 2
"""Betting that ends sooner is over by the time the bet arrives."""
TRACED_REST_SECS = 3600.0
POOR_REST_SECS = 300.0
SHORTEST_REST_SECS = 1.0
LONGEST_REST_SECS = 3600.0


def decide(view: GhostnetView, deployment: Deployment, profile: Profile, random: Random) -> Action | Rest:
    """The first thing worth doing, or why there is none."""
    if view.paused:
        return Rest(reason="paused: GhostCore takes no transactions", secs=protocol.LATER_SECS)
    position = view.position
    if position is None:
        return (
            _take_payout(view, deployment, profile, random)
            or _enter(view, deployment, profile, random)
            or _bet(view, deployment, profile, random)
            or _why_outside(view)
        )
    level = view.level_of(position)
    if not position.alive:
        return (
            _take_payout(view, deployment, profile, random)
            or _bet(view, deployment, profile, random)
            or Rest(reason="traced: out of GhostCore", secs=None if _may_play(view) else TRACED_REST_SECS)
        )
    if position.locked or level is None:
        return (
            _take_payout(view, deployment, profile, random)
            or _bet(view, deployment, profile, random)
            or Rest(reason="locked: the scan comes first", secs=_until_scan(view, level))
        )
    return (
        _take_payout(view, deployment, profile, random)
        or _leave(view, position, level, deployment, profile, random)
        or _claim(view, position, level, deployment, profile, random)
        or _bet(view, deployment, profile, random)
        or _top_up(view, position, deployment, profile, random)
        or Rest(reason="nothing worth doing")
    )


def withdraw(view: GhostnetView, deployment: Deployment) -> Sequence[Action]:
    """Everything back into the wallet: rewards, stake, winnings. A traced stake is gone. During a lock the extraction is
    still in the list: it is refused until the scan is over, and has to be asked again then."""
    actions = []
    position, game = view.position, view.game
    if position is not None and position.alive:
        if position.rewards_wei > 0:
            actions.append(_claim_action(position, deployment))
        actions.append(_extract_action(position, deployment))
    if game is not None and game.payout_wei > 0 and deployment.arcade_core is not None:
        actions.append(_payout_action(game, deployment.arcade_core))
    return actions


def remarks(view: GhostnetView) -> Sequence[str]:
    """What `withdraw` cannot bring back now, and why."""
    said = []
    position = view.position
    if position is not None and not position.alive:
        stake = f"its stake of {decimal_text(position.amount_wei)} DATA" if position.amount_wei else "its stake"
        said.append(f"traced: the position in {_name(position.level)} is dead, {stake} is lost")
    if position is not None and position.alive and position.locked:
        said.append(f"locked: the position in {_name(position.level)} opens after the level's next scan")
    if view.paused:
        said.append("GhostCore is paused by its owner: nothing can be taken out of it until that ends")
    under_way = coming(view)
    return [*said, under_way] if under_way else said


def coming(view: GhostnetView) -> str:
    """A bet whose round has not ended: whether it wins, and what, is known only then."""
    game = view.game
    if game is None or game.own_bet_wei == 0 or game.bet_settled:
        return ""
    return f"a bet of {decimal_text(game.own_bet_wei)} DATA is under way in HashCrash: what it wins comes later"


def eagerness(profile: Profile) -> float:
    """The share of optional actions that is taken, 0 to 1."""
    return profile.activity_level / (profile.activity_level + EAGER_PER_HOUR) if profile.activity_level > 0 else 0.0


def hold_secs(level: Level, profile: Profile) -> float:
    """How long a stake stays: from a quarter of a scan interval to six of them."""
    return level.scan_interval_secs * (0.25 + 5.75 * profile.patience**2)


def worth_claiming_wei(position: Position, level: Level, profile: Profile) -> int:
    """From what on rewards are worth a transaction. Survivors live on those who are traced, so a level's death rate is
    about what a scan pays: the restless take a fiftieth of that, the patient wait for half."""
    share = level.death_rate_bps / 10_000 * (0.02 + 0.45 * profile.patience**2)
    return max(1, _part(position.amount_wei, share))


def choose_level(levels: Sequence[Level], profile: Profile, random: Random) -> Level | None:
    """The level of this temperament among those with room, give or take one."""
    open_levels = sorted((level for level in levels if level.alive_count < level.max_positions), key=_danger)
    if not open_levels:
        return None
    daring = min(max(profile.risk_tolerance + random.uniform(-0.2, 0.2), 0.0), 1.0)
    return open_levels[min(int(daring * len(open_levels)), len(open_levels) - 1)]


def _enter(view: GhostnetView, deployment: Deployment, profile: Profile, random: Random) -> Action | None:
    level = choose_level(view.levels, profile, random)
    if level is None:
        return None
    floor_wei = max(level.min_stake_wei, deployment.min_stake_wei, 1)
    share = 0.2 + 0.4 * profile.risk_tolerance * random.uniform(0.5, 1.0)
    amount_wei = max(floor_wei, _part(view.data_wei, share))
    if amount_wei > view.data_wei:
        return None
    if view.core_allowance_wei < amount_wei:
        return _approve(deployment.ghost_core, "GhostCore", view.data_wei, deployment)
    return Action(
        kind="jack_in",
        call=_call(deployment.ghost_core, protocol.JACK_IN.encode(amount_wei, level.number)),
        params={"amount_wei": amount_wei, "level": _name(level.number)},
        spend_wei=amount_wei,
    )


def _leave(
    view: GhostnetView, position: Position, level: Level, deployment: Deployment, profile: Profile, random: Random
) -> Action | None:
    age_secs = view.now_secs - position.entered_secs
    if age_secs < hold_secs(level, profile) * random.uniform(0.8, 1.2):
        return None
    return _extract_action(position, deployment)


def _claim(
    view: GhostnetView, position: Position, level: Level, deployment: Deployment, profile: Profile, random: Random
) -> Action | None:
    """When it is worth it; the cautious also just before a scan, which would take rewards and all."""
    worth_wei = worth_claiming_wei(position, level, profile)
    before_scan = level.next_scan_secs - view.now_secs <= 2 * profile.action_interval_secs
    if before_scan and random.random() > profile.risk_tolerance:
        worth_wei = max(1, worth_wei // 10)
    if position.rewards_wei < worth_wei:
        return None
    return _claim_action(position, deployment)


def _top_up(
    view: GhostnetView, position: Position, deployment: Deployment, profile: Profile, random: Random
) -> Action | None:
    if random.random() >= TOP_UP_CHANCE * eagerness(profile):
        return None
    amount_wei = _part(view.data_wei, 0.02 + 0.18 * profile.risk_tolerance * random.random())
    if amount_wei <= 0 or amount_wei < position.amount_wei // SMALLEST_TOP_UP:
        return None
    if view.core_allowance_wei < amount_wei:
        return _approve(deployment.ghost_core, "GhostCore", view.data_wei, deployment)
    return Action(
        kind="add_stake",
        call=_call(deployment.ghost_core, protocol.ADD_STAKE.encode(amount_wei)),
        params={"amount_wei": amount_wei},
        spend_wei=amount_wei,
    )


def _bet(view: GhostnetView, deployment: Deployment, profile: Profile, random: Random) -> Action | None:
    game = view.game
    if game is None or deployment.hash_crash is None or deployment.arcade_core is None or not _takes_bets(view, game):
        return None
    if random.random() >= eagerness(profile) * (0.3 + 0.7 * profile.risk_tolerance):
        return None
    amount_wei = _part(view.data_wei, 0.005 + 0.045 * profile.risk_tolerance * random.random())
    amount_wei = min(max(amount_wei, MIN_BET_WEI), protocol.MAX_BET_WEI)
    if amount_wei > view.data_wei:
        return None
    if game.allowance_wei < amount_wei:
        budget_wei = min(view.data_wei, amount_wei * APPROVED_BETS)
        return _approve(deployment.arcade_core, "ArcadeCore", budget_wei, deployment)
    target = 110 + int(890 * profile.risk_tolerance**2 * random.random())
    return Action(
        kind="hashcrash_bet",
        call=_call(deployment.hash_crash, protocol.PLACE_BET.encode(amount_wei, target)),
        params={"amount_wei": amount_wei, "target_hundredths": target, "session": game.session},
        spend_wei=amount_wei,
    )


def _take_payout(view: GhostnetView, deployment: Deployment, profile: Profile, random: Random) -> Action | None:
    """Winnings wait safely in ArcadeCore; the impatient fetch them at once."""
    game = view.game
    if game is None or deployment.arcade_core is None or game.payout_wei <= 0:
        return None
    if random.random() < 0.7 * profile.patience:
        return None
    return _payout_action(game, deployment.arcade_core)


def _takes_bets(view: GhostnetView, game: Game) -> bool:
    return (
        game.state == protocol.BETTING
        and game.betting_ends_secs - view.now_secs > BET_MARGIN_SECS
        and game.players < protocol.MAX_PLAYERS
        and game.own_bet_wei == 0
    )


def _may_play(view: GhostnetView) -> bool:
    """Whether HashCrash still has something for a wallet that is out of GhostCore."""
    return view.game is not None and (view.data_wei >= MIN_BET_WEI or view.game.payout_wei > 0)


def _why_outside(view: GhostnetView) -> Rest:
    """Why there is no way in at the moment."""
    if not view.levels:
        reason = f"too little DATA: holds {view.data_wei} wei, the cheapest level asks {view.cheapest_wei} wei"
        return Rest(reason=reason, secs=None if _may_play(view) else POOR_REST_SECS)
    next_scan_secs = min(level.next_scan_secs for level in view.levels)
    return Rest(reason="every level within reach is full", secs=_rest_until(view, next_scan_secs))


def _until_scan(view: GhostnetView, level: Level | None) -> float:
    return SHORTEST_REST_SECS if level is None else _rest_until(view, level.next_scan_secs)


def _rest_until(view: GhostnetView, time_secs: int) -> float:
    """Just past that moment, within bounds: a scan may come late."""
    return float(min(max(time_secs - view.now_secs + 1, SHORTEST_REST_SECS), LONGEST_REST_SECS))


def _approve(spender: Address, name: str, amount_wei: int, deployment: Deployment) -> Action:
    """The right to take no more than the wallet holds now: what is needed again later is approved again."""
    return Action(
        kind="approve",
        call=_call(deployment.data_token, protocol.APPROVE.encode(spender, amount_wei)),
        params={"spender": name, "amount_wei": amount_wei},
    )


def _claim_action(position: Position, deployment: Deployment) -> Action:
    call = _call(deployment.ghost_core, protocol.CLAIM_REWARDS.encode())
    return Action(kind="claim_rewards", call=call, params={"expected_wei": position.rewards_wei})


def _extract_action(position: Position, deployment: Deployment) -> Action:
    params: JsonObject = {"stake_wei": position.amount_wei, "level": _name(position.level)}
    return Action(kind="extract", call=_call(deployment.ghost_core, protocol.EXTRACT.encode()), params=params)


def _payout_action(game: Game, arcade: Address) -> Action:
    call = _call(arcade, protocol.WITHDRAW_PAYOUT.encode())
    return Action(kind="withdraw_payout", call=call, params={"expected_wei": game.payout_wei})


def _call(to: Address, data: Octets) -> Call:
    return Call(to=to, data=data)


def _name(level: int) -> str:
    return protocol.LEVELS.get(level, str(level))


def _danger(level: Level) -> tuple[int, int]:
    return level.death_rate_bps, level.number


def _part(amount_wei: int, share: float) -> int:
    """A share of an amount, in whole millionths: floats do not hold wei."""
    return amount_wei * int(share * 1_000_000) // 1_000_000
