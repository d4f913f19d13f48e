"""Do the log and the chain say the same? Wallet by wallet: nonces, every attempt ever signed, and every transaction on chain."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from ghostfleet.chain.reads import Chain
from ghostfleet.domain.values import Address, Hash, Receipt

BLOCKS_AT_ONCE = 50
RECEIPTS_AT_ONCE = 500


class Attempt(Protocol):
    """One signed attempt as the log has it."""

    @property
    def wallet(self) -> str: ...
    @property
    def action_id(self) -> str: ...
    @property
    def nonce(self) -> int: ...
    @property
    def hash(self) -> Hash: ...
    @property
    def status(self) -> str: ...
    @property
    def block_number(self) -> int | None: ...
    @property
    def block_hash(self) -> Hash | None: ...


class Mismatch(msgspec.Struct, frozen=True):
    """One difference, in words."""

    wallet: str
    what: str


ON_CHAIN = frozenset({"mined", "final", "reverted", "cancelled"})


async def reconcile(
    signed: Sequence[Attempt], wallets: Mapping[str, Address], outside: frozenset[Hash], chain: Chain
) -> Sequence[Mismatch]:
    """Every difference. `outside` are the transactions that the log knows as not its own. Reads every block of the chain."""
    found = await _attempt_differences(signed, chain)
    found += _doubled(signed)
    on_chain = await _transactions_of(wallets, chain)
    known = {attempt.hash: attempt for attempt in signed}
    strange = outside - known.keys()
    for wallet, seen in on_chain.items():
        for tx, nonce in seen:
            what = "" if tx in strange else _unlike(known.get(tx), wallet, nonce)
            if what:
                found.append(Mismatch(wallet, f"nonce {nonce}, {tx}: {what}"))
        settled = {attempt.nonce for attempt in signed if attempt.wallet == wallet and attempt.status != "open"}
        settled |= {nonce for tx, nonce in seen if tx in outside}
        found += _nonce_differences(wallet, settled, await chain.nonce(wallets[wallet]))
    return found


async def _attempt_differences(signed: Sequence[Attempt], chain: Chain) -> list[Mismatch]:
    found: list[Mismatch] = []
    for start in range(0, len(signed), RECEIPTS_AT_ONCE):
        some = signed[start : start + RECEIPTS_AT_ONCE]
        receipts = await asyncio.gather(*(chain.receipt(attempt.hash) for attempt in some))
        for attempt, receipt in zip(some, receipts, strict=True):
            what = _difference(attempt, receipt)
            if what:
                found.append(Mismatch(attempt.wallet, f"nonce {attempt.nonce}, {attempt.hash}: {what}"))
    return found


def _difference(attempt: Attempt, receipt: Receipt | None) -> str:
    if attempt.status not in ON_CHAIN:
        return "" if receipt is None else f"{attempt.status} in the log, in block {receipt.block.number} on chain"
    if receipt is None:
        return f"{attempt.status} in the log, not on chain"
    block = receipt.block
    if (block.number, block.hash) != (attempt.block_number, attempt.block_hash):
        told = f"{attempt.block_number} {attempt.block_hash}"
        return f"in block {told} in the log, {block.number} {block.hash} on chain"
    if receipt.success == (attempt.status == "reverted"):
        return f"{attempt.status} in the log, status {int(receipt.success)} on chain"
    return ""


def _unlike(attempt: Attempt | None, wallet: str, nonce: int) -> str:
    """What the log has wrong about a transaction that the chain has from this wallet at this nonce."""
    if attempt is None:
        return "on chain, not in the log"
    if (attempt.wallet, attempt.nonce) != (wallet, nonce):
        return f"nonce {attempt.nonce} of {attempt.wallet} in the log"
    return ""


def _doubled(signed: Sequence[Attempt]) -> list[Mismatch]:
    """An action owns one nonce, and has one transaction on chain at most."""
    nonces: dict[str, set[int]] = defaultdict(set)
    landed: dict[str, int] = defaultdict(int)
    for attempt in signed:
        nonces[attempt.action_id].add(attempt.nonce)
        landed[attempt.action_id] += attempt.status in ON_CHAIN
    return [
        Mismatch(
            attempt.wallet,
            f"{attempt.action_id} has nonces {sorted(nonces[attempt.action_id])}, and {landed[attempt.action_id]} on chain",
        )
        for attempt in {attempt.action_id: attempt for attempt in signed}.values()
        if len(nonces[attempt.action_id]) > 1 or landed[attempt.action_id] > 1
    ]


def _nonce_differences(wallet: str, settled: set[int], on_chain: int) -> list[Mismatch]:
    """The chain has used every nonce that the log has as settled, and no other: from the log's first one on, none is missing."""
    if not settled or settled == set(range(min(settled), on_chain)):
        return []
    used = set(range(min(settled), on_chain))
    return [
        Mismatch(
            wallet, f"nonces {sorted(used - settled)} used on chain only, {sorted(settled - used)} in the log only"
        )
    ]


async def _transactions_of(wallets: Mapping[str, Address], chain: Chain) -> dict[str, list[tuple[Hash, int]]]:
    """(hash, nonce) of every transaction in the chain from each of our addresses."""
    names = {address: wallet for wallet, address in wallets.items()}
    found: dict[str, list[tuple[Hash, int]]] = {wallet: [] for wallet in wallets}
    head = (await chain.head()).number
    for start in range(0, head + 1, BLOCKS_AT_ONCE):
        numbers = range(start, min(start + BLOCKS_AT_ONCE, head + 1))
        for transactions in await asyncio.gather(*(chain.transactions_in(number) for number in numbers)):
            for tx, sender, nonce in transactions:
                if sender in names:
                    found[names[sender]].append((tx, nonce))
    return found
