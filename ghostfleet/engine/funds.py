"""Can a wallet pay for what it has signed? Parked when a node said no, unparked when it can."""

from ghostfleet.chain import transactions
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.values import AnswerClass
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.pursuit import Pursuit
from ghostfleet.engine.trouble import park
from ghostfleet.engine.world import World


async def can_be_pushed(world: World, wallet: Wallet, slot: Pending, pursuit: Pursuit) -> bool:
    """Whether the wallet can pay for the slot's newest bytes, or they are a sweep, which then moves less.

    What a node said of funds is forgotten once the wallet can pay.
    """
    if wallet.parked_until_wei is None:
        if pursuit.refused is not AnswerClass.INSUFFICIENT_FUNDS:
            return True
        unsigned, _ = transactions.decode(slot.newest.raw)
        balance_wei = await world.chain.balance(wallet.address)
        if balance_wei < unsigned.worst_cost_wei:
            if not slot.sweeps:
                await park(world, wallet.id, unsigned.worst_cost_wei, balance_wei)
            return slot.sweeps
        pursuit.refused, pursuit.sent = None, False
        return True
    balance_wei = await world.chain.balance(wallet.address)
    if balance_wei < wallet.parked_until_wei:
        return slot.sweeps
    await world.live.write(decisions.for_wallet(wallet.id, "", [ev.WalletUnparked(balance_wei=balance_wei)]))
    pursuit.refused, pursuit.sent, pursuit.retry_at = None, False, 0.0
    return True
