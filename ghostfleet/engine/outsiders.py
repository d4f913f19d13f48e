"""Who used our nonce? Finds transactions from a wallet's address that the log does not know, and says so in the log."""

from collections.abc import Sequence

import msgspec

from ghostfleet.chain.edge import NotServed, RpcRefused
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, BlockRef, Hash
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain

SEARCH_BLOCKS = 4096
"""How far back the block that used a nonce is looked for; nodes without history answer for fewer."""
SCAN_BLOCKS = 16
"""Where a node has no history at all, the newest blocks are read one by one, so many."""
MAX_NAMED = 16
"""Outside transactions named one by one in one resync; the resync itself covers any number."""


class Taker(msgspec.Struct, frozen=True):
    """The transaction that holds a nonce on chain, and its block."""

    hash: Hash
    block: BlockRef


async def find_taker(world: World, address: Address, nonce: int) -> Taker | None:
    """The transaction in the chain with this sender and nonce, or None where the nodes cannot show it."""
    head = await world.heads.first()
    try:
        number = await _block_of_nonce(world, address, nonce, head.number)
    except (RpcRefused, NotServed):
        number = None
    numbers = [number] if number is not None else range(max(head.number - SCAN_BLOCKS, 0), head.number + 1)
    for candidate in numbers:
        taker = await _in_block(world, address, nonce, candidate)
        if taker is not None:
            return taker
    return None


async def note_outside_transactions(world: World, wallet: Wallet, chain_nonce: int) -> bool:
    """Where the chain's next nonce is ahead of the log's: name what was sent from outside, and go on from there.

    It is asked a second time: what one answer says too much would leave a gap.
    """
    if wallet.next_nonce is None or chain_nonce <= wallet.next_nonce or wallet.pending:
        return False
    chain_nonce = min(chain_nonce, await world.chain.nonce(wallet.address, "pending"))
    if chain_nonce <= wallet.next_nonce:
        return False
    seen: list[ev.Event] = []
    for nonce in range(wallet.next_nonce, min(chain_nonce, wallet.next_nonce + MAX_NAMED)):
        taker = await find_taker(world, wallet.address, nonce)
        if taker is not None:
            seen.append(ev.OutsideTransactionSeen(nonce=nonce, hash=taker.hash, block=taker.block))
    resynced = ev.NonceResynced(
        from_nonce=wallet.next_nonce, to_nonce=chain_nonce, why="the chain is ahead: the key was used outside this log"
    )

    def resync(state: Candidate, now_us: int) -> Sequence[ev.NewEvent]:
        current = decisions.require_wallet(state, wallet.id)
        if current.next_nonce != wallet.next_nonce:
            raise decisions.Refused(f"the nonce of {wallet.id} has moved on")
        return decisions.for_wallet(wallet.id, "", [*seen, resynced])

    await world.live.commit(resync)
    return True


async def require_first_nonce(world: World, wallet: Wallet, chain_nonce: int) -> None:
    """A wallet that has signed nothing yet begins where the chain says twice. From there the log never goes back.

    Raises TryAgain where nodes disagree.
    """
    if wallet.next_nonce is None and await world.chain.nonce(wallet.address, "pending") != chain_nonce:
        raise TryAgain(f"nodes disagree on the first nonce of {wallet.id}")


async def _block_of_nonce(world: World, address: Address, nonce: int, newest: int) -> int | None:
    """The first block after which the address's nonce is above `nonce`: a bisection over historical nonces."""
    low, high = max(newest - SEARCH_BLOCKS, -1), newest
    if low >= 0 and await world.chain.nonce(address, low) > nonce:
        return None
    if await world.chain.nonce(address, high) <= nonce:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if await world.chain.nonce(address, middle) > nonce:
            high = middle
        else:
            low = middle
    return high


async def _in_block(world: World, address: Address, nonce: int, number: int) -> Taker | None:
    block = await world.chain.head_at(number)
    if block is None:
        return None
    for tx, sender, tx_nonce in await world.chain.transactions_in(number):
        if sender == address and tx_nonce == nonce:
            return Taker(tx, BlockRef(number, block.hash))
    return None
