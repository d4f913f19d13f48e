"""What replaces the newest bytes of an open slot: the same call for more, or a cancel; never dearer than it may be."""

from ghostfleet.chain import fees as fees_
from ghostfleet.chain import transactions
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain import events as ev
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.values import AnswerClass, Call, Fees, Unsigned
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.signing import GIVEAWAY_GAS, NoKey, gas_for, giveaway, sign_attempt
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain

CHEAPER_PERCENT = 75
"""Over a node's own cap, a further attempt costs at most so much of the one before: that bounds how many there can be."""


class NoReplacement(TryAgain):
    """No further attempt can be signed now; the newest bytes remain what is sent. `error_class` is for the log."""

    def __init__(self, error_class: str, message: str) -> None:
        self.error_class = error_class
        super().__init__(message)


async def replacement(
    world: World, wallet: Wallet, slot: Pending, purpose: ev.Purpose, refused: AnswerClass | None
) -> ev.TransactionSigned:
    """A further attempt at the same nonce, signed. Raises NoReplacement."""
    rules, newest = world.chain_rules, slot.newest
    suggestion = await world.fees.suggest(await world.heads.first())
    over_a_nodes_cap = refused is AnswerClass.NODE_FEE_CAP
    fees: Fees | None = suggestion
    if not over_a_nodes_cap:
        fees = fees_.bump(newest.fees, suggestion, rules.max_fee_cap_wei, percent=rules.bump_percent)
    if fees is None:
        raise NoReplacement("fee_cap", "the fee cap forbids a sufficient bump")
    old, _ = transactions.decode(newest.raw)
    call, gas = old.call, old.gas
    if purpose == "cancel":
        call = giveaway(wallet)
        gas = await _gas_of(world, wallet, call)
    if over_a_nodes_cap and gas * fees.max_fee_wei * 100 > newest.gas * newest.fees.max_fee_wei * CHEAPER_PERCENT:
        raise NoReplacement("node_fee_cap", "fees have not come down so far that a cancel may get in")
    unsigned = Unsigned(chain_id=old.chain_id, nonce=slot.nonce, call=call, gas=gas, fees=fees)
    try:
        return sign_attempt(world, wallet.id, slot.action_id, unsigned, number=newest.number + 1, purpose=purpose)
    except NoKey as missing:
        raise NoReplacement("no_key", str(missing)) from None


async def _gas_of(world: World, wallet: Wallet, call: Call) -> int:
    try:
        return await gas_for(world, wallet, call)
    except RpcRefused:
        return GIVEAWAY_GAS
