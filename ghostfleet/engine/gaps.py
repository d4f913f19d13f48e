"""A nonce below our open slots that nobody will ever use: filled with a harmless transaction, so that nothing waits for ever.

It comes about when a transaction that took this nonce is gone for good: sent from outside and dropped, or reorganised away
deeper than finality.
"""

from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain.events import ActionDecided
from ghostfleet.domain.values import Unsigned
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.signing import gas_to_give_away, giveaway, sign_attempt
from ghostfleet.engine.world import World

FILL_GAP = "fill_gap"
FLEET_PLUGIN = "fleet"
"""What stands as plugin of decisions that the service itself makes."""


async def fill_gap(world: World, wallet: Wallet, nonce: int) -> bool:
    """Open a slot at `nonce` that gives it away. False when the node has a transaction at that nonce in its pool."""
    if await world.chain.nonce(wallet.address, "pending") > nonce:
        return False
    call = giveaway(wallet)
    gas = await gas_to_give_away(world, wallet, call)
    fees = await world.fees.suggest(await world.heads.first())
    decided = ActionDecided(
        action_id=f"{wallet.id}/{wallet.decisions + 1}",
        plugin=FLEET_PLUGIN,
        kind=FILL_GAP,
        params={"nonce": nonce},
        seed=0,
        observation={"chain_nonce": nonce, "lowest_open_nonce": wallet.pending[0].nonce},
        profile=wallet.profile,
        config_digest=world.config_digest,
        call=call,
        spend_wei=0,
        balance_wei=wallet.balance_wei or 0,
        next_turn_us=wallet.next_turn_us,
    )
    unsigned = Unsigned(chain_id=world.chain_rules.chain_id, nonce=nonce, call=call, gas=gas, fees=fees)
    signed = await sign_attempt(world, wallet.id, decided.action_id, unsigned, number=1)
    await world.live.commit(partial(decisions.fill_gap, name=wallet.id, decided=decided, signed=signed))
    return True
