"""The values the whole service speaks in. Bytes inside, hex at the edges; amounts in wei; times in microseconds UTC."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NewType, Self

import msgspec

WalletId = NewType("WalletId", str)
"""As in the settings file, for example `wallet-001`."""
ActionId = NewType("ActionId", str)
"""`<wallet>/<n>`: the wallet's n-th decision, from 1."""
Micros = NewType("Micros", int)
"""Microseconds since the epoch, UTC."""
Wei = NewType("Wei", int)

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


class Octets(bytes):
    """Bytes that are written as 0x-hex wherever they leave the process (JSON, HTTP, command line)."""

    __slots__ = ()

    def __str__(self) -> str:
        return "0x" + self.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(0x{self.hex()})"

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Parse 0x-prefixed hex. Raises ValueError when it is anything else."""
        if not text.startswith("0x"):
            raise ValueError(f"expected 0x-prefixed hex, got {text[:20]!r}")
        return cls(bytes.fromhex(text[2:]))


class Address(Octets):
    """20 bytes."""

    __slots__ = ()


class Hash(Octets):
    """32 bytes: of a transaction, a block or an event row."""

    __slots__ = ()


def encode_octets(value: object) -> str:
    """msgspec enc_hook: the one place where bytes become hex in JSON."""
    if isinstance(value, Octets):
        return "0x" + value.hex()
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def decode_octets(kind: type, value: object) -> object:
    """msgspec dec_hook: the one place where hex in JSON becomes bytes."""
    if issubclass(kind, Octets) and isinstance(value, str):
        return kind.from_hex(value)
    raise NotImplementedError(f"cannot decode {kind.__name__}")


JsonObject = dict[str, Any]

encode_json: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=encode_octets).encode
"""Compact JSON as bytes; field order is declaration order, so equal values give equal bytes."""


class Fees(msgspec.Struct, frozen=True):
    """EIP-1559 fee caps, wei per unit of gas."""

    max_fee_wei: int
    priority_fee_wei: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction asks of the chain, before nonce, gas and fees."""

    to: Address
    value_wei: int = 0
    data: Octets = Octets(b"")


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """An EIP-1559 transaction before its signature."""

    chain_id: int
    nonce: int
    call: Call
    gas: int
    fees: Fees

    @property
    def worst_cost_wei(self) -> int:
        """What its wallet has to have: value, and all its gas at the highest fee."""
        return self.call.value_wei + self.gas * self.fees.max_fee_wei


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction: its bytes as they go to a node, and their hash."""

    hash: Hash
    raw: Octets


class BlockRef(msgspec.Struct, frozen=True):
    """A block by number and hash: only the pair is a fact."""

    number: int
    hash: Hash


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A block header as far as the service needs it. `time_secs` is the block's own timestamp."""

    number: int
    hash: Hash
    parent: Hash
    time_secs: int
    base_fee_wei: int
    gas_limit: int
    transactions: tuple[str, ...] | None = None
    """The hashes of what the block holds, 0x and lower case, where its node says so."""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One raw log of a receipt."""

    address: Address
    topics: tuple[Hash, ...]
    data: Octets


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt. It is a fact only while `block` is canonical."""

    tx: Hash
    block: BlockRef
    success: bool
    gas_used: int
    gas_price_wei: int
    logs: tuple[LogEntry, ...] = ()


class AnswerClass(StrEnum):
    """What a node's answer means for what to do next (../chain/answers.py sorts, the lane acts)."""

    ACCEPTED = "accepted"
    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_GAP = "nonce_gap"
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"
    UNDERPRICED = "underpriced"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    NODE_FEE_CAP = "node_fee_cap"
    POOL_FULL = "pool_full"
    MALFORMED = "malformed"
    REVERTED = "reverted"
    RATE_LIMITED = "rate_limited"
    ENDPOINT_FAULT = "endpoint_fault"
    MAYBE_SENT = "maybe_sent"
