"""The doors of the engine: all that waits, signs, sends, stores or tells the time comes in through these."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ghostfleet.domain.events import NewEvent, Recorded, Stream
from ghostfleet.domain.state import State
from ghostfleet.domain.values import (
    Address,
    AnswerClass,
    Call,
    Fees,
    Hash,
    Head,
    Octets,
    Receipt,
    Signed,
    Unsigned,
    WalletId,
)


class Clock(Protocol):
    """Wall-clock time; waiting is asyncio's."""

    def now_us(self) -> int: ...


class Entropy(Protocol):
    """Where seeds come from. Every seed that decides something is recorded."""

    def seed(self) -> int: ...


class Log(Protocol):
    """The event log as the engine uses it."""

    def version(self, stream: Stream) -> int: ...

    async def append(
        self, events: Sequence[NewEvent], *, time_us: int, expected: Mapping[Stream, int] | None = None
    ) -> tuple[Recorded, ...]: ...

    def read(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[Recorded]: ...


class Signer(Protocol):
    """Holds the keys; nothing else does."""

    def sign(self, wallet: WalletId, unsigned: Unsigned) -> Signed: ...


class Broadcast(Protocol):
    """What came of sending bytes once."""

    @property
    def endpoint(self) -> str: ...
    @property
    def cls(self) -> AnswerClass: ...
    @property
    def message(self) -> str: ...
    @property
    def retry_after_secs(self) -> float | None: ...
    @property
    def receipt(self) -> Receipt | None: ...


class Chain(Protocol):
    """Typed reads and the one way out. Reads raise TryAgain when no endpoint answers."""

    async def head(self) -> Head: ...
    async def head_at(self, number: int) -> Head | None: ...
    async def nonce(self, address: Address, tag: str | int = "latest") -> int: ...
    async def balance(self, address: Address) -> int: ...
    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None: ...
    async def known(self, tx: Hash, endpoint: str) -> bool | None: ...
    async def transactions_in(self, number: int) -> Sequence[tuple[Hash, Address, int]]: ...
    async def call(
        self, to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
    ) -> Octets: ...
    async def estimate_gas(self, sender: Address, call: Call) -> int: ...
    async def broadcast(self, raw: Octets, tx: Hash, *, sync: bool = False, rather_not: str = "") -> Broadcast: ...


class FeeSource(Protocol):
    """Current fee suggestion, cached per head."""

    async def suggest(self, head: Head) -> Fees: ...


class AdminCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asked for. `remote` is the address it came from, `request_id` the correlation of its effects."""

    command: str
    actor: str
    remote: str
    request_id: str
    target: str = ""
    reason: str = ""


class Check(msgspec.Struct, frozen=True):
    """One condition of readiness; `reason` says why it does not hold, in a sentence an operator can act on."""

    name: str
    ok: bool
    reason: str = ""


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One RPC endpoint as operators see it; the name carries no credential."""

    name: str
    healthy: bool
    reason: str = ""
    requests: int = 0
    faults: int = 0


class Service(Protocol):
    """The running service, as HTTP and the command line see it."""

    @property
    def state(self) -> State: ...
    @property
    def uptime_secs(self) -> float: ...
    @property
    def dry_run(self) -> bool: ...
    def checks(self) -> Sequence[Check]: ...
    def endpoints(self) -> Sequence[EndpointStatus]: ...

    async def pause(self, command: AdminCommand) -> Recorded:
        """Durable, and nothing leaves the process any more, when it returns. Idempotent. Raises LogUnavailable (still paused)."""
        ...

    async def resume(self, command: AdminCommand) -> Recorded:
        """Idempotent."""
        ...

    async def reset(self, command: AdminCommand) -> Recorded:
        """Close the breaker of `command.target`, end its parking. Raises UnknownWallet."""
        ...

    async def refused(self, command: AdminCommand, why: str) -> None:
        """Record a refused command."""
        ...
