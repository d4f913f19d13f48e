"""What a receipt means: the event it becomes, why it reverted, and whose fault that was."""

from ghostfleet.chain import transactions
from ghostfleet.chain.edge import RpcRefused
from ghostfleet.domain.events import TransactionMined
from ghostfleet.domain.slot import Attempt, Pending
from ghostfleet.domain.values import JsonObject, Receipt
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.judgement import decoded, judged
from ghostfleet.engine.trouble import revert_reason
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain
from ghostfleet.plugins.tokens import transfer_in

MAX_LOGS = 32
"""Decoded logs kept with a mined transaction; a plugin's calls make a handful."""


async def mined_event(world: World, wallet: Wallet, slot: Pending, receipt: Receipt) -> TransactionMined:
    """The receipt as an event: with the reason where it reverted, and the protocol's own logs decoded."""
    attempt = next(attempt for attempt in slot.attempts if attempt.hash == receipt.tx)
    reason = "" if receipt.success else await _why_reverted(world, wallet, attempt, receipt)
    return TransactionMined(
        action_id=slot.action_id,
        nonce=slot.nonce,
        attempt=attempt.number,
        hash=receipt.tx,
        block=receipt.block,
        success=receipt.success,
        gas_used=receipt.gas_used,
        gas_price_wei=receipt.gas_price_wei,
        revert_reason=reason,
        logs=await _decoded_logs(world, wallet, slot, attempt, receipt),
    )


async def counts(world: World, wallet: Wallet, slot: Pending, reason: str) -> bool:
    """Whether a revert with this reason counts towards the wallet's breaker; the plugin knows whose fault it was.

    What an operation asked for counts towards nothing: the operator sees it in the operation's table.
    """
    if slot.operation:
        return False
    plugin = world.plugins.get(wallet.plugin)
    return plugin is None or (await judged(world, wallet.id, plugin, slot.kind, reason)).counts


async def _decoded_logs(
    world: World, wallet: Wallet, slot: Pending, attempt: Attempt, receipt: Receipt
) -> tuple[JsonObject, ...]:
    own = world.plugins.get(wallet.plugin)
    plugins = (
        [own] if own is not None else list(world.plugins.values())
    )  # a funder has none, and moves all their tokens
    logs = await decoded(world, wallet.id, plugins, receipt.logs[:MAX_LOGS])
    if not slot.operation or any(log.get("event") == "Transfer" for log in logs):
        return logs
    # an operation moves tokens that the wallet's own plugin knows nothing of, and what arrived is what the token says
    moved, _ = transactions.decode(attempt.raw)
    transfers = (transfer_in(entry, moved.call.to) for entry in receipt.logs[:MAX_LOGS])
    return (*logs, *(it for it in transfers if it is not None))


async def _why_reverted(world: World, wallet: Wallet, attempt: Attempt, receipt: Receipt) -> str:
    """Ask the node to do it again, just before and just after its block. Empty where that shows nothing."""
    plugin = world.plugins.get(wallet.plugin)
    unsigned, sender = transactions.decode(attempt.raw)
    call = unsigned.call
    for block in (receipt.block.number - 1, receipt.block.number):
        try:
            await world.chain.call(call.to, call.data, sender, block)
        except RpcRefused as refused:
            return revert_reason(refused, plugin.errors if plugin is not None else {})
        except TryAgain:
            return ""
    return ""
