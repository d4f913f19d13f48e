"""Which transactions wait for a block, and in what order do they go? Consecutive nonces an account; a gap is refused."""

import heapq
from collections.abc import Callable, Iterator

import msgspec
from eth.abc import SignedTransactionAPI

from ghostfleet.devnet.rpc_errors import refused

MAX_POOLED = 20_000
"""More waiting transactions than this are refused, as by a real node."""
PRICE_BUMP_PERCENT = 10
"""A replacement has to offer this much more on both fees (geth's txpool.pricebump)."""


class Pooled(msgspec.Struct, frozen=True):
    """A transaction that waits. `arrival` counts up, for order among equals."""

    transaction: SignedTransactionAPI
    hash: bytes
    sender: bytes
    arrival: int

    @property
    def cost_wei(self) -> int:
        """The most it can take from its sender."""
        return int(self.transaction.gas * self.transaction.max_fee_per_gas + self.transaction.value)


class Pool:
    """Transactions by sender and nonce, and by hash."""

    def __init__(self) -> None:
        self._by_hash: dict[bytes, Pooled] = {}
        self._by_sender: dict[bytes, dict[int, Pooled]] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, tx_hash: bytes) -> Pooled | None:
        """The waiting transaction of this hash."""
        return self._by_hash.get(tx_hash)

    def next_nonce(self, sender: bytes, mined: int) -> int:
        """The nonce after everything that waits, given the account's nonce on chain."""
        waiting = self._by_sender.get(sender, {})
        while mined in waiting:
            mined += 1
        return mined

    def admit(self, transaction: SignedTransactionAPI, mined: int, balance_wei: int) -> Pooled:
        """Take it in, or raise RpcError in geth's words. `mined` and `balance_wei` are the sender's on chain."""
        sender, nonce = bytes(transaction.sender), int(transaction.nonce)
        if transaction.hash in self._by_hash:
            raise refused("already known")
        if nonce < mined:
            raise refused(f"nonce too low: next nonce {mined}, tx nonce {nonce}")
        following = self.next_nonce(sender, mined)
        if nonce > following:
            raise refused(f"nonce too high: next nonce {following}, tx nonce {nonce}")
        waiting = self._by_sender.get(sender, {})
        replaced = waiting.get(nonce)
        if replaced is not None and not _outbids(transaction, replaced.transaction):
            raise refused("replacement transaction underpriced")
        if replaced is None and len(self._by_hash) >= MAX_POOLED:
            raise refused("txpool is full")
        pooled = Pooled(transaction, bytes(transaction.hash), sender, self._arrivals)
        _check_funds(pooled, balance_wei, sum(other.cost_wei for at, other in waiting.items() if at != nonce))
        self._arrivals += 1
        if replaced is not None:
            del self._by_hash[replaced.hash]
        self._by_hash[pooled.hash] = pooled
        self._by_sender.setdefault(sender, {})[nonce] = pooled
        return pooled

    def remove(self, pooled: Pooled) -> None:
        """Forget one that was mined or can never be."""
        if self._by_hash.pop(pooled.hash, None) is None:
            return
        waiting = self._by_sender[pooled.sender]
        del waiting[pooled.transaction.nonce]
        if not waiting:
            del self._by_sender[pooled.sender]

    def drop_stale(self, sender: bytes, mined: int) -> None:
        """Forget what waits at nonces that are taken."""
        for pooled in [other for nonce, other in self._by_sender.get(sender, {}).items() if nonce < mined]:
            self.remove(pooled)

    def in_order(self, base_fee_wei: int, nonce_of: Callable[[bytes], int]) -> Iterator[Pooled]:
        """For a block: each account's nonces in order, the better tip first, then first come, first served."""
        heads: list[tuple[int, int, Pooled]] = []

        def push(sender: bytes, nonce: int) -> None:
            pooled = self._by_sender.get(sender, {}).get(nonce)
            if pooled is not None and pooled.transaction.max_fee_per_gas >= base_fee_wei:
                heapq.heappush(heads, (-_tip(pooled.transaction, base_fee_wei), pooled.arrival, pooled))

        for sender in list(self._by_sender):
            push(sender, nonce_of(sender))
        while heads:
            pooled = heapq.heappop(heads)[2]
            yield pooled
            # Only what was really applied makes room for the account's next.
            if nonce_of(pooled.sender) > pooled.transaction.nonce:
                push(pooled.sender, pooled.transaction.nonce + 1)


def _tip(transaction: SignedTransactionAPI, base_fee_wei: int) -> int:
    return min(int(transaction.max_priority_fee_per_gas), int(transaction.max_fee_per_gas) - base_fee_wei)


def _outbids(transaction: SignedTransactionAPI, other: SignedTransactionAPI) -> bool:
    def enough(new: int, old: int) -> bool:
        return new * 100 >= old * (100 + PRICE_BUMP_PERCENT) and new > old

    return enough(transaction.max_fee_per_gas, other.max_fee_per_gas) and (
        enough(transaction.max_priority_fee_per_gas, other.max_priority_fee_per_gas)
        or transaction.max_priority_fee_per_gas == other.max_priority_fee_per_gas == 0
    )


def _check_funds(pooled: Pooled, balance_wei: int, queued_wei: int) -> None:
    cost = pooled.cost_wei
    if balance_wei >= cost + queued_wei:
        return
    if balance_wei < cost:
        detail = f"balance {balance_wei}, tx cost {cost}, overshot {cost - balance_wei}"
    else:
        overshot = cost + queued_wei - balance_wei
        detail = f"balance {balance_wei}, queued cost {queued_wei}, tx cost {cost}, overshot {overshot}"
    raise refused(f"insufficient funds for gas * price + value: {detail}")
