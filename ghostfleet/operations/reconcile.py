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
    def nonce(self) -> int: ...
    @property
    def hash(self) -> Hash: ...
    @property
    def status(self) -> str: ...
    @property
    def block_number(self) -> int | None: ...


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
    by_wallet: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in signed:
        by_wallet[attempt.wallet].append(attempt)
    for wallet, address in wallets.items():
        found += await _nonce_differences(wallet, address, by_wallet[wallet], chain)
    found += await _unknown_on_chain(signed, wallets, outside, chain)
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
    if receipt.block.number != attempt.block_number:
        return f"in block {attempt.block_number} in the log, {receipt.block.number} on chain"
    if receipt.success == (attempt.status == "reverted"):
        return f"{attempt.status} in the log, status {int(receipt.success)} on chain"
    return ""


async def _nonce_differences(wallet: str, address: Address, signed: Sequence[Attempt], chain: Chain) -> list[Mismatch]:
    """The chain's nonce is the number of nonces that the log has as settled, when nobody else uses the key."""
    settled = [attempt.nonce for attempt in signed if attempt.status != "open"]
    on_chain = await chain.nonce(address)
    if not signed or on_chain == max(settled, default=min(attempt.nonce for attempt in signed) - 1) + 1:
        return []
    return [Mismatch(wallet, f"nonce {on_chain} on chain, {max(settled, default=-1) + 1} in the log")]


async def _unknown_on_chain(
    signed: Sequence[Attempt], wallets: Mapping[str, Address], outside: frozenset[Hash], chain: Chain
) -> list[Mismatch]:
    """Transactions from our addresses that the log has never heard of."""
    known = {attempt.hash for attempt in signed} | outside
    names = {address: wallet for wallet, address in wallets.items()}
    head = (await chain.head()).number
    found: list[Mismatch] = []
    for start in range(0, head + 1, BLOCKS_AT_ONCE):
        numbers = range(start, min(start + BLOCKS_AT_ONCE, head + 1))
        for transactions in await asyncio.gather(*(chain.transactions_in(number) for number in numbers)):
            found += [
                Mismatch(names[sender], f"nonce {nonce}, {tx}: on chain, not in the log")
                for tx, sender, nonce in transactions
                if sender in names and tx not in known
            ]
    return found
