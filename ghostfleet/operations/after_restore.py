"""What does the chain have that a restored log does not? Asked wallet by wallet, by nonce; nothing is changed.

A backup is older than the chain. What the fleet sent after it is on chain and not in the log: the next start finds the nonces
used, names the transactions (engine/outsiders.py) and goes on after them. Slots that were open in the backup settle by receipt.
"""

import asyncio

import msgspec

from ghostfleet.chain.edge import RpcRefused
from ghostfleet.chain.reads import Chain
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, Hash
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.recovery import recover
from ghostfleet.operations.onlooker import looking
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.log import open_log

SEARCH_BLOCKS = 2_000
"""The newest blocks in which unknown transactions are looked for; older ones are only counted, by nonce."""
BLOCKS_AT_ONCE = 50
WALLETS_AT_ONCE = 500
CHAIN_SECS = 120.0
"""What the whole comparison may take."""


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet whose nonces the chain has used beyond those in the log."""

    wallet: str
    log_nonce: int
    chain_nonce: int
    unknown: tuple[Hash, ...]
    """Those of the transactions that were found in the newest blocks."""

    @property
    def used_since(self) -> int:
        """How many transactions the log does not know."""
        return self.chain_nonce - self.log_nonce


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """The chain beside the log."""

    block: int
    wallets: tuple[Ahead, ...]
    open_slots: tuple[str, ...]
    """What became of transactions that are open in the log, in words."""


async def compare(settings: Loaded) -> ChainView:
    """Raises TryAgain where no endpoint answers in time or the chain is another one."""
    log = await open_log(settings.store.url, read_only=True, archives=settings.archive_dir)
    try:
        state = await recover(log)
    finally:
        await log.close()
    try:
        async with asyncio.timeout(CHAIN_SECS), looking(settings.chain) as chain:
            if await chain.chain_id() != settings.chain.chain_id or await chain.genesis_hash() != _genesis(state):
                raise LogUnavailable("the endpoint serves another chain than the one in the log")
            return await look(state, chain)
    except TimeoutError:
        raise LogUnavailable(f"no answer within {CHAIN_SECS:.0f} s") from None
    except RpcRefused as refusal:
        raise LogUnavailable(f"an endpoint refused: {refusal}") from None


def _genesis(state: State) -> Hash | None:
    return state.fleet.genesis_hash


async def look(state: State, chain: Chain) -> ChainView:
    """What the chain says of each wallet of a state."""
    head = (await chain.head()).number
    wallets = [it for it in state.wallets.values() if it.next_nonce is not None]
    ahead: list[tuple[Wallet, int]] = []
    for start in range(0, len(wallets), WALLETS_AT_ONCE):
        some = wallets[start : start + WALLETS_AT_ONCE]
        nonces = await asyncio.gather(*(chain.nonce(it.address) for it in some))
        ahead += [(it, nonce) for it, nonce in zip(some, nonces, strict=True) if nonce > (it.next_nonce or 0)]
    found = await _unknown({it.address: it.next_nonce or 0 for it, _ in ahead}, chain, head)
    return ChainView(
        block=head,
        wallets=tuple(
            Ahead(
                wallet=it.id, log_nonce=it.next_nonce or 0, chain_nonce=nonce, unknown=tuple(found.get(it.address, ()))
            )
            for it, nonce in ahead
        ),
        open_slots=tuple(await _open_slots(wallets, chain)),
    )


async def _unknown(first: dict[Address, int], chain: Chain, head: int) -> dict[Address, list[Hash]]:
    """Transactions of these addresses from these nonces on, in the newest blocks."""
    found: dict[Address, list[Hash]] = {}
    if not first:
        return found
    oldest = max(head - SEARCH_BLOCKS, 0)
    for start in range(oldest, head + 1, BLOCKS_AT_ONCE):
        numbers = range(start, min(start + BLOCKS_AT_ONCE, head + 1))
        for transactions in await asyncio.gather(*(chain.transactions_in(number) for number in numbers)):
            for tx, sender, nonce in transactions:
                if sender in first and nonce >= first[sender]:
                    found.setdefault(sender, []).append(tx)
    return found


async def _open_slots(wallets: list[Wallet], chain: Chain) -> list[str]:
    """Open in the log: settled on chain meanwhile, or still open."""
    lines: list[str] = []
    for wallet in wallets:
        for slot in wallet.pending:
            receipts = await asyncio.gather(*(chain.receipt(attempt.hash) for attempt in slot.attempts))
            landed = next((receipt for receipt in receipts if receipt is not None), None)
            where = "not in the chain: it is sent again" if landed is None else f"in block {landed.block.number}"
            lines.append(f"{slot.action_id}, nonce {slot.nonce}, is open in the log, {where}")
    return lines
