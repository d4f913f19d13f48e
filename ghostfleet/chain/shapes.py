"""Is an answer of the shape that its call has? Parsers from JSON as a node wrote it to values; anything else is Unfit."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ghostfleet.chain.calls import Unfit
from ghostfleet.domain.values import Address, BlockRef, Hash, Head, LogEntry, Octets, Receipt

T = TypeVar("T")
OctetsT = TypeVar("OctetsT", bound=Octets)

MAX_COUNT = 2**63
"""Block numbers, timestamps, amounts of gas, nonces (EIP-2681 would allow twice as many): above it an answer is nonsense, and SQL
integers end."""
MAX_WEI = 2**256
MAX_FEE_WEI = 2**128
MAX_TOPICS = 4
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_OCTETS = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_HASHES = re.compile(r"(?:0x[0-9a-f]{64})*")


class FeeHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Base fees of the latest blocks and the next one, and the tips paid in them, wei."""

    base_fees_wei: tuple[int, ...]
    tips_wei: tuple[int, ...]


def quantity(value: Any, below: int = MAX_COUNT) -> int:
    """A hex number. Leading zeros are let pass: some nodes write them."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise Unfit(f"not a quantity: {_named(value)}")
    number = int(value, 16)
    if number >= below:
        raise Unfit(f"an absurd quantity: {value[:20]}…")
    return number


def wei(value: Any) -> int:
    return quantity(value, MAX_WEI)


def fee(value: Any) -> int:
    return quantity(value, MAX_FEE_WEI)


def octets(value: Any) -> Octets:
    if not isinstance(value, str) or not _OCTETS.fullmatch(value):
        raise Unfit(f"not bytes in hex: {_named(value)}")
    return Octets.from_hex(value)


def hash_(value: Any) -> Hash:
    return _sized(Hash, 32, value)


def address(value: Any) -> Address:
    return _sized(Address, 20, value)


def maybe(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Null is an answer too."""
    return lambda value: None if value is None else parse(value)


def head(value: Any) -> Head:
    """A block's header. Blocks from before EIP-1559, such as a genesis block, have no base fee: that is 0."""
    block = _fields(value)
    base_fee = block.get("baseFeePerGas")
    return Head(
        number=quantity(block.get("number")),
        hash=hash_(block.get("hash")),
        parent=hash_(block.get("parentHash")),
        time_secs=quantity(block.get("timestamp")),
        base_fee_wei=0 if base_fee is None else fee(base_fee),
        gas_limit=quantity(block.get("gasLimit")),
        transactions=_hashes(block.get("transactions")),
    )


def _hashes(value: Any) -> tuple[str, ...] | None:
    """The hashes that a block names, all at once: there may be thousands, of everybody's, at every look at the head.
    A chain may name its transactions otherwise: that is no fault, and tells nothing."""
    try:
        return tuple(value) if isinstance(value, list) and _HASHES.fullmatch("".join(value)) else None
    except TypeError:
        return None


def head_numbered(number: int) -> Callable[[Any], Head]:
    """The header of this block and no other."""

    def parse(value: Any) -> Head:
        found = head(value)
        if found.number != number:
            raise Unfit(f"asked for block {number}, got {found.number}")
        return found

    return parse


def receipt_of(tx: Hash) -> Callable[[Any], Receipt | None]:
    """The receipt of this transaction and no other; None while it is only pooled."""

    def parse(value: Any) -> Receipt | None:
        receipt = _fields(value)
        if hash_(receipt.get("transactionHash")) != tx:
            raise Unfit("the receipt of another transaction")
        if receipt.get("blockHash") is None and receipt.get("blockNumber") is None:
            return None
        return Receipt(
            tx=tx,
            block=BlockRef(quantity(receipt.get("blockNumber")), hash_(receipt.get("blockHash"))),
            success=quantity(receipt.get("status"), 2) == 1,
            gas_used=quantity(receipt.get("gasUsed")),
            gas_price_wei=fee(receipt.get("effectiveGasPrice")),
            logs=tuple(_log(entry) for entry in _items(receipt.get("logs"))),
        )

    return parse


def known_as(tx: Hash) -> Callable[[Any], bool]:
    """Whether the node has this transaction, pooled or mined."""

    def parse(value: Any) -> bool:
        if value is None:
            return False
        if hash_(_fields(value).get("hash")) != tx:
            raise Unfit("another transaction")
        return True

    return parse


def transactions_of(number: int) -> Callable[[Any], tuple[tuple[Hash, Address, int], ...]]:
    """(hash, sender, nonce) of each transaction in this block; none where the node has no such block."""

    def parse(value: Any) -> tuple[tuple[Hash, Address, int], ...]:
        if value is None:
            return ()
        block = _fields(value)
        if quantity(block.get("number")) != number:
            raise Unfit(f"not block {number}")
        found = [_fields(entry) for entry in _items(block.get("transactions"))]
        return tuple((hash_(tx.get("hash")), address(tx.get("from")), quantity(tx.get("nonce"))) for tx in found)

    return parse


def fee_history(value: Any) -> FeeHistory:
    history = _fields(value)
    base_fees = tuple(fee(it) for it in _items(history.get("baseFeePerGas")))
    if not base_fees:
        raise Unfit("a fee history without a base fee")
    rewards = history.get("reward")
    rows = [] if rewards is None else [_items(row) for row in _items(rewards)]
    return FeeHistory(base_fees_wei=base_fees, tips_wei=tuple(fee(row[0]) for row in rows if row))


def _log(value: Any) -> LogEntry:
    entry = _fields(value)
    topics = tuple(hash_(topic) for topic in _items(entry.get("topics")))
    if len(topics) > MAX_TOPICS:
        raise Unfit("a log of more than four topics")
    return LogEntry(address=address(entry.get("address")), topics=topics, data=octets(entry.get("data")))


def _sized(kind: type[OctetsT], size: int, value: Any) -> OctetsT:
    found = kind(octets(value))
    if len(found) != size:
        raise Unfit(f"{len(found)} bytes where {size} belong")
    return found


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit(f"not an object: {_named(value)}")
    return value


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit(f"not a list: {_named(value)}")
    return value


def _named(value: Any) -> str:
    return repr(value[:20]) if isinstance(value, str) else type(value).__name__
