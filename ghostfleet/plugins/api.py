"""What a plugin is: the contract between the engine and a protocol. docs/plugins.md has a complete worked example.

A turn goes: `observe` (read the chain, nothing else) -> `decide` (pure) -> the engine signs, records, sends, follows.
Everything `decide` uses is its arguments, and all of it is recorded with an action, so that the decision can be made again.
What every method answers is checked before anything of it is used (answers.py).
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from pydantic import BaseModel

from ghostfleet.domain.amounts import BPS
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import Address, Call, JsonObject, LogEntry, Octets, WalletId
from ghostfleet.keys.addresses import parse_address


class ChainView(Protocol):
    """A read-only view of the chain. Concurrent calls (asyncio.gather) share one HTTP request."""

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        """eth_call at the latest block. Raises chain.edge.RpcRefused on a revert, TryAgain when no endpoint answers."""
        ...

    async def balance(self, address: Address) -> int:
        """Native balance, wei."""
        ...

    async def head_time_secs(self) -> int:
        """Timestamp of the newest known block, seconds since the epoch."""
        ...


class WalletFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin may know of the wallet whose turn it is."""

    id: WalletId
    address: Address
    balance_wei: int
    """Native balance, wei. When the wallet acted less than ten seconds ago: what there was then, less the most that it may have
    spent since; a plugin that rests with that is asked again with a new one."""
    previous_kind: str = ""
    """Kind of the wallet's latest decided action, or empty."""
    decisions: int = 0
    """How many decisions the wallet has made so far."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that a plugin wants. `params` are what a person wants to read about it in the audit."""

    kind: str
    call: Call
    params: JsonObject = msgspec.field(default_factory=dict)
    spend_wei: int = 0
    """How much of the protocol's token leaves the wallet, smallest units; counted by the token limit."""
    gas: int | None = None
    """A gas limit that needs no estimation, or None to ask the node."""


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """No action this turn, and why. `secs` waits at least that long; None means until the profile's next turn."""

    reason: str
    secs: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whose fault a revert is: counted by the wallet's breaker or not, and how long to leave the protocol alone."""

    counts: bool = True
    rest_secs: float | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An ERC-20 token that a protocol deals in, as the settings name it."""

    symbol: str
    address: Address
    decimals: int = 18
    tax_bps: int = 0
    """What a transfer between two ordinary addresses loses on the way, in hundredths of a percent: the receiver gets the rest."""

    def received_of(self, sent: int) -> int:
        """What arrives at least of a transfer between two ordinary addresses, smallest units. A token that takes its tax in
        several parts, each rounded down, lets one unit more through for each further part."""
        return sent - sent * self.tax_bps // BPS

    def sent_for(self, received: int) -> int:
        """The least that has to be sent for so much to arrive. Raises ValueError where all of it is taken."""
        if self.tax_bps >= BPS:
            raise ValueError(f"{self.symbol} takes all of a transfer: nothing ever arrives")
        return (received - 1) * BPS // (BPS - self.tax_bps) + 1 if received else 0


O_co = TypeVar("O_co", bound=msgspec.Struct)


class Plugin(ABC, Generic[O_co]):
    """A protocol that wallets can act on. One instance serves all wallets: keep no state in it."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """Every kind of action it can decide on (metrics labels, docs)."""
    Settings: ClassVar[type[BaseModel]]
    """The shape of `[plugins.<name>]`."""
    Observation: ClassVar[type[msgspec.Struct]]
    """What `observe` returns; must survive JSON unchanged, for it is recorded with each decision."""
    errors: ClassVar[Mapping[bytes, tuple[str, tuple[str, ...]]]] = {}
    """Custom errors by 4-byte selector: name and ABI types of the arguments."""

    def __init__(self, settings: Any, *, chain_id: int) -> None:
        self.settings = settings
        self.chain_id = chain_id

    @abstractmethod
    async def observe(self, wallet: WalletFacts, chain: ChainView) -> O_co:
        """Read what `decide` needs. Only reads; errors of the chain pass through."""

    @abstractmethod
    def decide(self, view: Any, wallet: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
        """Pure: equal arguments give an equal answer. `view` is what `observe` returned (or its recorded copy)."""

    def tokens(self) -> Sequence[Token]:
        """The tokens that its settings name: what balances, funding and emergency extraction look at besides the native coin."""
        return ()

    def contracts(self) -> Mapping[str, Address]:
        """Every contract that its settings name, by a readable name: `ghost-fleet doctor` looks whether there is code."""
        return {}

    def withdraw(self, view: Any, wallet: WalletFacts) -> Sequence[Action]:
        """The way out, in order: what takes everything back into the wallet, as of this view. Used by emergency extraction,
        which looks again when an action was refused for now (a lock, a pause)."""
        return ()

    def addresses(self) -> Iterable[Address]:
        """Every address that its actions may be in favour of: contracts they go to, and whoever receives tokens or an approval.
        A wallet signs to no other. Unless a plugin says otherwise: its contracts, and all that stand in its settings."""
        table = self.settings.model_dump() if isinstance(self.settings, BaseModel) else self.settings
        return {*self.contracts().values(), *addresses_in(table)}

    def remarks(self, view: Any) -> Sequence[str]:
        """What no withdrawal brings back as of this view, and why, in a sentence each: a stake that is lost, a bet under way."""
        return ()

    def coming(self, view: Any) -> str:
        """What comes back by itself if one waits, in a sentence: a bet under way. Empty where there is nothing. An extraction
        waits for it, and a key is not destroyed before it is in."""
        return ""

    def judge(self, kind: str, reason: str) -> Verdict:
        """Whose fault a revert with this decoded reason is: `Name(values)` of a custom error, or the node's own words."""
        return Verdict()

    def decode_log(self, entry: LogEntry) -> JsonObject | None:
        """A protocol event in readable form for TransactionMined, or None when it is not the protocol's."""
        return None


def addresses_in(value: object) -> Iterator[Address]:
    """Every address, but the zero address, that stands as a text anywhere in a table."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            address = parse_address(value)
            if any(address):
                yield address
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from addresses_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from addresses_in(inner)
