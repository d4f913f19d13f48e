"""What does a wallet see of GHOSTNET on its turn? Read in two or three rounds, each a single batch."""

import asyncio

import msgspec

from ghostfleet.domain.values import Address
from ghostfleet.errors import GhostFleetError, TryAgain
from ghostfleet.plugins.abi import read
from ghostfleet.plugins.api import ChainView
from ghostfleet.plugins.ghostnet import protocol


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Where the contracts are. Without HashCrash, `hash_crash` and `arcade_core` are None."""

    ghost_core: Address
    data_token: Address
    hash_crash: Address | None = None
    arcade_core: Address | None = None
    min_stake_wei: int = 0
    """The operator's own minimum, on top of the level's."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A stake in GhostCore. A traced one stays, with `alive` false."""

    level: int
    amount_wei: int
    entered_secs: int
    alive: bool
    rewards_wei: int = 0
    locked: bool = False


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A level as it is now: the rules read from the contract, and how full it is."""

    number: int
    death_rate_bps: int
    scan_interval_secs: int
    min_stake_wei: int
    max_positions: int
    alive_count: int
    next_scan_secs: int


class Game(msgspec.Struct, frozen=True, kw_only=True):
    """HashCrash and the till behind it."""

    session: int
    state: int
    betting_ends_secs: int
    players: int
    own_bet_wei: int
    payout_wei: int
    allowance_wei: int
    bet_settled: bool = False
    """The round of the own bet has ended: what it won is in the payout."""


class GhostnetView(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `levels` has the position's level, or without a position those that the DATA at hand would do for
    (and `cheapest_wei`, what the cheapest of all asks)."""

    now_secs: int
    paused: bool
    data_wei: int
    core_allowance_wei: int
    position: Position | None = None
    levels: tuple[Level, ...] = ()
    cheapest_wei: int = 0
    game: Game | None = None

    def level_of(self, position: Position) -> Level | None:
        return next((level for level in self.levels if level.number == position.level), None)


async def observe(wallet: Address, chain: ChainView, deployment: Deployment) -> GhostnetView:
    """9 calls with a position, 10 and another for each level within reach without; 5 more with HashCrash."""
    core = deployment.ghost_core
    now_secs, paused, allowance_wei, stake, game = await asyncio.gather(
        chain.head_time_secs(),
        _paused(chain, core),
        read(chain, deployment.data_token, protocol.ALLOWANCE, wallet, core),
        _stake(wallet, chain, deployment),
        _game(wallet, chain, deployment),
    )
    return GhostnetView(
        now_secs=now_secs,
        paused=paused,
        data_wei=stake.data_wei,
        core_allowance_wei=allowance_wei,
        position=stake.position,
        levels=stake.levels,
        cheapest_wei=stake.cheapest_wei,
        game=game,
    )


class _Stake(msgspec.Struct, frozen=True, kw_only=True):
    """What is at stake, or could be."""

    data_wei: int
    position: Position | None
    levels: tuple[Level, ...] = ()
    cheapest_wei: int = 0


async def _stake(wallet: Address, chain: ChainView, deployment: Deployment) -> _Stake:
    data_wei, position = await asyncio.gather(
        read(chain, deployment.data_token, protocol.BALANCE_OF, wallet),
        _position(wallet, chain, deployment.ghost_core),
    )
    if position is None:
        levels, cheapest_wei = await _affordable_levels(chain, deployment, data_wei)
        return _Stake(data_wei=data_wei, position=None, levels=levels, cheapest_wei=cheapest_wei)
    if not position.alive:
        return _Stake(data_wei=data_wei, position=position)
    position, levels = await _details(wallet, chain, deployment.ghost_core, position)
    return _Stake(data_wei=data_wei, position=position, levels=levels)


async def _paused(chain: ChainView, core: Address) -> bool:
    """A core that has no such view is found paused by its EnforcedPause."""
    try:
        return bool(await read(chain, core, protocol.PAUSED))
    except TryAgain:
        raise
    except GhostFleetError:
        return False


async def _position(wallet: Address, chain: ChainView, core: Address) -> Position | None:
    amount, level, entered, _added, _debt, alive, _streak = await read(chain, core, protocol.GET_POSITION, wallet)
    if level == 0:
        return None
    return Position(level=level, amount_wei=amount, entered_secs=entered, alive=alive)


async def _details(
    wallet: Address, chain: ChainView, core: Address, position: Position
) -> tuple[Position, tuple[Level, ...]]:
    rewards, locked, config, state = await asyncio.gather(
        read(chain, core, protocol.GET_PENDING_REWARDS, wallet),
        read(chain, core, protocol.IS_IN_LOCK_PERIOD, wallet),
        read(chain, core, protocol.GET_LEVEL_CONFIG, position.level),
        read(chain, core, protocol.GET_LEVEL_STATE, position.level),
    )
    position = msgspec.structs.replace(position, rewards_wei=rewards, locked=locked)
    return position, (_level(position.level, config, state),)


async def _affordable_levels(chain: ChainView, deployment: Deployment, data_wei: int) -> tuple[tuple[Level, ...], int]:
    core = deployment.ghost_core
    configs = await asyncio.gather(*(read(chain, core, protocol.GET_LEVEL_CONFIG, n) for n in protocol.LEVELS))
    prices = {
        number: (max(config[2], deployment.min_stake_wei), config)
        for number, config in zip(protocol.LEVELS, configs, strict=True)
    }
    affordable = [number for number, (price_wei, _config) in prices.items() if price_wei <= data_wei]
    states = await asyncio.gather(*(read(chain, core, protocol.GET_LEVEL_STATE, number) for number in affordable))
    levels = tuple(_level(number, prices[number][1], state) for number, state in zip(affordable, states, strict=True))
    return levels, min(price_wei for price_wei, _config in prices.values())


def _level(number: int, config: tuple[int, ...], state: tuple[int, ...]) -> Level:
    return Level(
        number=number,
        death_rate_bps=config[0],
        scan_interval_secs=config[1],
        min_stake_wei=config[2],
        max_positions=config[3],
        alive_count=state[1],
        next_scan_secs=state[3],
    )


async def _game(wallet: Address, chain: ChainView, deployment: Deployment) -> Game | None:
    crash, arcade = deployment.hash_crash, deployment.arcade_core
    if crash is None or arcade is None:
        return None
    (session, found, bet), payout_wei, allowance_wei = await asyncio.gather(
        _round(wallet, chain, crash),
        read(chain, arcade, protocol.GET_PENDING_PAYOUT, wallet),
        read(chain, deployment.data_token, protocol.ALLOWANCE, wallet, arcade),
    )
    return Game(
        session=session,
        state=found[0],
        betting_ends_secs=found[1],
        players=found[5],
        own_bet_wei=max(bet[0], bet[1]),
        bet_settled=bet[3],
        payout_wei=payout_wei,
        allowance_wei=allowance_wei,
    )


async def _round(
    wallet: Address, chain: ChainView, crash: Address
) -> tuple[int, tuple[int, ...], tuple[int, int, int, bool]]:
    session = await read(chain, crash, protocol.CURRENT_SESSION)
    found, bet = await asyncio.gather(
        read(chain, crash, protocol.GET_ROUND, session),
        read(chain, crash, protocol.GET_PLAYER_BET, session, wallet),
    )
    return session, found, bet
