"""What comes between a start and the first turn? The chain is checked against the log, and what starts is written down."""

import asyncio
from functools import partial

from ghostfleet import __version__
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.chain.reads import Chain
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.values import Hash
from ghostfleet.engine.registration import Start, WrongChain, start_events
from ghostfleet.engine.tuning import configured_wallets
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain

RETRY_SECS = 2.0
"""A chain or a log that is not there is asked again so soon."""


async def begin(loaded: Loaded, world: World, chain: Chain) -> None:
    """Waits for an endpoint and for the log. Raises WrongChain, AddressChanged."""
    start = Start(
        release=__version__,
        config_digest=loaded.digest,
        settings=loaded.redacted,
        chain_id=loaded.chain.chain_id,
        genesis_hash=await checked_chain(loaded.chain.chain_id, chain),
        wallets=configured_wallets(loaded),
        paused_by_config=loaded.safety.global_pause,
        dry_run=loaded.run.dry_run,
    )
    decide = partial(
        start_events,
        start=start,
        known=list(world.state.wallets),
        profiles=world.profiles,
        random=world.random(world.entropy.seed()),
    )
    while True:
        try:
            await world.live.commit(decide)
            return
        except TryAgain:
            await asyncio.sleep(RETRY_SECS)


async def checked_chain(expected: int, chain: Chain) -> Hash:
    """The genesis hash, once an endpoint answers. Raises WrongChain when it is not the chain of the settings."""
    while True:
        try:
            chain_id = await chain.chain_id()
            if chain_id != expected:
                raise WrongChain(
                    f"the endpoint serves chain {chain_id}, [chain] chain_id is {expected}: correct one of them"
                )
            chain.keep_to(expected)
            return await chain.genesis_hash()
        except (TryAgain, RpcRefused):
            await asyncio.sleep(RETRY_SECS)
