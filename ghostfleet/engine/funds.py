"""Can a wallet pay for what it has signed, or wants to do next? Parked when it cannot, unparked when it can."""

import asyncio

from ghostfleet.chain import transactions
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.values import AnswerClass
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.pursuit import Pursuit
from ghostfleet.engine.trouble import park
from ghostfleet.engine.world import World


async def can_be_pushed(world: World, wallet: Wallet, slot: Pending, pursuit: Pursuit, *, given_up: bool) -> bool:
    """Whether the wallet can pay for the slot's newest bytes, whatever it is parked for. Where it cannot: whether they are a
    sweep, which then moves less, or an action that is `given_up`, whose place is taken by something cheaper.

    What a node said of funds is forgotten once the wallet can pay.
    """
    refused = pursuit.refused is AnswerClass.INSUFFICIENT_FUNDS
    if wallet.parked_until_wei is None and not refused:
        return True
    balance_wei = await world.chain.balance(wallet.address)
    if wallet.parked_until_wei is not None and balance_wei >= wallet.parked_until_wei:
        await unpark(world, wallet.id, balance_wei)
        pursuit.refused, pursuit.sent, pursuit.retry_at = None, False, 0.0
        return True
    unsigned, _ = transactions.decode(slot.newest.raw)
    if balance_wei >= unsigned.worst_cost_wei:
        if refused:
            pursuit.refused, pursuit.sent = None, False
        return True
    if slot.sweeps or (given_up and slot.newest.purpose == "action"):
        return True
    if wallet.parked_until_wei is None:
        await park(world, wallet.id, unsigned.worst_cost_wei, balance_wei)
    return False


async def may_pay(world: World, wallet: Wallet, turn_at: float) -> bool:
    """Whether a parked wallet can pay again; if so, that is recorded. From `turn_at` on, by the loop's clock, it is to find out
    what it needs by then: fees fall, and its next action may be a cheaper one."""
    balance_wei = await world.chain.balance(wallet.address)
    if wallet.parked_until_wei is not None and balance_wei < wallet.parked_until_wei:
        return asyncio.get_running_loop().time() >= turn_at
    await unpark(world, wallet.id, balance_wei)
    return True


async def unpark(world: World, name: str, balance_wei: int) -> None:
    await world.live.write(decisions.for_wallet(name, "", [ev.WalletUnparked(balance_wei=balance_wei)]))


async def park_or_say(world: World, wallet: Wallet, need_wei: int, balance_wei: int) -> None:
    """It cannot pay. Where it is parked already that is no error once more; what it needs is news where it has changed."""
    if wallet.parked_until_wei is None:
        await park(world, wallet.id, need_wei, balance_wei)
    elif wallet.parked_until_wei != need_wei:
        parked = ev.WalletParked(need_wei=need_wei, balance_wei=balance_wei)
        await world.live.write(decisions.for_wallet(wallet.id, "", [parked]))
