"""What replaces the newest bytes of an open slot: the same call for more, or a cancel; never dearer than it may be."""

from functools import partial

from msgspec.structs import replace

from ghostfleet.chain import fees as fees_
from ghostfleet.chain import transactions
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.allow_list import named_in
from ghostfleet.domain.slot import SWEEP, Pending
from ghostfleet.domain.values import AnswerClass, Call, Fees, Unsigned
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.signing import (
    ERROR_CLASSES,
    NoKey,
    NotAllowed,
    gas_to_give_away,
    giveaway,
    sign_attempt,
)
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain
from ghostfleet.keys.far import SignerUnavailable, WrongSignature

CHEAPER_PERCENT = 75
"""Over a node's own cap, a further attempt costs at most so much of the one before: that bounds how many there can be."""


class NoReplacement(TryAgain):
    """No further attempt can be signed now; the newest bytes remain what is sent. `error_class` is for the log."""

    def __init__(self, error_class: str, message: str) -> None:
        self.error_class = error_class
        super().__init__(message)


async def replacement(
    world: World,
    wallet: Wallet,
    slot: Pending,
    purpose: ev.Purpose,
    refused: AnswerClass | None,
    *,
    in_any_case: bool = False,
) -> ev.TransactionSigned:
    """A further attempt at the same nonce, signed. Raises NoReplacement.

    `in_any_case`: where no higher fee may be signed, at the same one. A node that has the older bytes keeps these, and they land
    when fees fall; one that has not takes the new ones. Either way the nonce is used in the end.

    A node that calls ours an underpriced replacement has other bytes at this nonce, maybe a stranger's, and maybe a legacy
    transaction, whose one price is both caps: no tip that follows the market would ever outbid it, so ours has one price too.

    What the settings no longer name may be signed to once more: the wallet's signature over this very call is out already, and
    another one at the same nonce gives nobody anything new.
    """
    rules, newest = world.chain_rules, slot.newest
    suggestion = await world.fees.suggest(await world.heads.first())
    over_a_nodes_cap = refused is AnswerClass.NODE_FEE_CAP
    fees: Fees | None = suggestion
    if not over_a_nodes_cap:
        fees = fees_.bump(newest.fees, suggestion, rules.max_fee_cap_wei, percent=rules.bump_percent)
        if fees is not None and refused is AnswerClass.REPLACEMENT_UNDERPRICED:
            fees = fees_.one_price(fees)
    if fees is None and in_any_case:
        fees = newest.fees
    if fees is None:
        raise NoReplacement("fee_cap", "the fee cap forbids a sufficient bump")
    old, signer = transactions.decode(newest.raw)
    call, gas = old.call, old.gas
    signed_before = named_in(call) if signer == wallet.address else ()
    if purpose == "cancel":
        call = giveaway(wallet)
        gas = await gas_to_give_away(world, wallet, call)
    elif slot.kind == SWEEP:
        fees = fees_.one_price(fees)
        outlay_wei = call.value_wei + gas * newest.fees.max_fee_wei
        if refused is AnswerClass.INSUFFICIENT_FUNDS:
            outlay_wei = min(outlay_wei, await world.chain.balance(wallet.address))
        call = _all_but_gas(call, outlay_wei, gas * fees.max_fee_wei)
    if over_a_nodes_cap and gas * fees.max_fee_wei * 100 > newest.gas * newest.fees.max_fee_wei * CHEAPER_PERCENT:
        raise NoReplacement("node_fee_cap", "fees have not come down so far that a cancel may get in")
    unsigned = Unsigned(chain_id=old.chain_id, nonce=slot.nonce, call=call, gas=gas, fees=fees)
    try:
        return await sign_attempt(
            world,
            wallet.id,
            slot.action_id,
            unsigned,
            number=newest.number + 1,
            purpose=purpose,
            also=signed_before,
        )
    except (NoKey, NotAllowed, SignerUnavailable, WrongSignature) as obstacle:
        raise NoReplacement(ERROR_CLASSES[type(obstacle)], str(obstacle)) from None


async def record_replacement(
    world: World, name: str, signed: ev.TransactionSigned, replaced: int, refused: AnswerClass | None
) -> None:
    """Into the log, in the place of attempt number `replaced`. Raises Refused where the slot has moved on."""
    await world.live.commit(
        partial(
            decisions.replace_attempt,
            name=name,
            signed=signed,
            expected_attempts=replaced,
            rules=world.rules,
            refused=refused,
        )
    )


def _all_but_gas(call: Call, outlay_wei: int, gas_wei: int) -> Call:
    """A sweep takes everything: dearer gas leaves less to move, and the two together stay what the wallet has."""
    if outlay_wei < gas_wei:
        told = f"the {outlay_wei} wei that a sweep has left do not pay for its gas, {gas_wei} wei"
        raise NoReplacement(AnswerClass.INSUFFICIENT_FUNDS, told)
    return replace(call, value_wei=outlay_wei - gas_wei)
