"""The doors of the engine: all that waits, signs, sends, stores or tells the time comes in through these."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ghostfleet.config.changes import Difference
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.events import AdminLockedOut, AdminTokenCreated, BackupMade, NewEvent, Recorded
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.state import State
from ghostfleet.domain.values import (
    Address,
    AnswerClass,
    Call,
    Fees,
    Hash,
    Head,
    JsonObject,
    Octets,
    Receipt,
    Signed,
    Unsigned,
    WalletId,
)
from ghostfleet.store.codec import Encoded


class Clock(Protocol):
    """Wall-clock time; waiting is asyncio's."""

    def now_us(self) -> int: ...


class Entropy(Protocol):
    """Where seeds come from. Every seed that decides something is recorded."""

    def seed(self) -> int: ...


class Log(Protocol):
    """The event log as the engine uses it."""

    def encode(self, events: Sequence[NewEvent]) -> Sequence[Encoded]:
        """Events as they will be written. Raises EventUnwritable for what no log can take."""
        ...

    async def append_encoded(self, events: Sequence[Encoded], *, time_us: int, follows: int) -> tuple[Recorded, ...]:
        """Durable when it returns. Raises HeadMoved unless the log ends at `follows`, LogUnavailable, LogCorrupt."""
        ...

    def read(self, after: int = 0, *, until: int | None = None) -> AsyncIterator[Recorded]: ...


class Signer(Protocol):
    """Holds the keys, or asks who does; nothing else knows them."""

    async def sign(self, wallet: WalletId, unsigned: Unsigned) -> Signed:
        """The wallet's own signature. Raises NoKey, SignerUnavailable (try again), WrongSignature; no nonce is spent then."""
        ...

    async def sign_message(self, wallet: WalletId, text: bytes) -> Octets:
        """The wallet's own signature over a text for people (EIP-191), which moves nothing. Raises the same."""
        ...

    def withheld(self, wallet: WalletId) -> str:
        """Why this wallet cannot sign although its key was to be here: it is still being opened, or unusable. Else empty."""
        ...

    def awaits(self, wallet: WalletId) -> bool:
        """Whether its key is still being opened: it will sign."""
        ...

    def forget(self, wallet: WalletId) -> None:
        """This wallet will not have to sign any more."""
        ...


class Broadcast(Protocol):
    """What came of sending bytes once."""

    @property
    def endpoint(self) -> str: ...
    @property
    def cls(self) -> AnswerClass: ...
    @property
    def message(self) -> str: ...
    @property
    def receipt(self) -> Receipt | None: ...


class Chain(Protocol):
    """Typed reads and the one way out. Reads raise TryAgain when no endpoint answers."""

    async def head(self) -> Head: ...
    async def head_at(self, number: int) -> Head | None: ...
    async def nonce(self, address: Address, tag: str | int = "latest") -> int: ...
    async def balance(self, address: Address, block: str | int = "latest") -> int: ...
    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None: ...
    async def known(self, tx: Hash, endpoint: str) -> bool | None: ...
    async def transactions_in(self, number: int) -> Sequence[tuple[Hash, Address, int]]: ...
    async def call(
        self, to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
    ) -> Octets: ...
    async def estimate_gas(self, sender: Address, call: Call) -> int: ...
    async def broadcast(
        self, raw: Octets, tx: Hash, *, sync: bool = False, rather_not: str = "", sender: str = ""
    ) -> Broadcast: ...


class FeeSource(Protocol):
    """Current fee suggestion, cached per head."""

    async def suggest(self, head: Head) -> Fees: ...


class InFlight(msgspec.Struct, frozen=True):
    """What has left the process and has no answer yet. It may still reach the chain."""

    requests: int = 0
    transactions: int = 0


class AdminCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asked for. `remote` is the address it came from, `request_id` the correlation of its effects."""

    command: str
    actor: str
    remote: str
    request_id: str
    target: str = ""
    reason: str = ""
    idempotency_key: str = ""
    """The asker's name for this very command: the same one again has no further effect."""
    fingerprint: str = ""
    """Of all that was asked for under the key, to tell another command under it."""


class Obeyed(msgspec.Struct, frozen=True, kw_only=True):
    """A command was carried out: where its effects end in the log, and the request that they belong to.

    `repeated` says that this was done before, for an earlier request with the same key."""

    position: int
    time_us: int
    request_id: str
    repeated: bool = False


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload did. `difference` is empty where nothing differs, and where the same was asked for before under its key."""

    obeyed: Obeyed
    difference: Difference
    digest: str
    unchecked: tuple[str, ...] = ()
    """New endpoints that did not answer, so that nobody knows yet which chain they serve."""


class Check(msgspec.Struct, frozen=True):
    """One condition of readiness; `reason` says why it does not hold, in a sentence an operator can act on."""

    name: str
    ok: bool
    reason: str = ""


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One RPC endpoint as operators see it; the name carries no credential, the handle is the name in the path of a URL."""

    name: str
    handle: str = ""
    healthy: bool
    drained: bool = False
    reason: str = ""
    requests: int = 0
    in_flight: int = 0
    faults: int = 0
    limits_seen: int = 0
    """How often it asked to be left alone."""
    latency_secs: float | None = None
    height: int | None = None
    """The highest block it has shown."""


class Service(Protocol):
    """The running service, as HTTP and the command line see it."""

    @property
    def state(self) -> State: ...
    @property
    def uptime_secs(self) -> float: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def rules(self) -> Rules:
        """Limits and breakers in force."""
        ...

    @property
    def profiles(self) -> Mapping[str, Profile]: ...
    def checks(self) -> Sequence[Check]: ...
    @property
    def unwritten_pause(self) -> AdminCommand | None: ...
    def withheld(self, wallet: str) -> str:
        """Why this wallet cannot sign although the settings have a key for it; empty where it can."""
        ...

    def endpoints(self) -> Sequence[EndpointStatus]: ...

    def in_flight(self) -> InFlight:
        """What has left the process and has no answer yet."""
        ...

    async def pause(self, command: AdminCommand) -> Obeyed:
        """Durable, and nothing leaves the process any more, when it returns. Idempotent. Raises LogUnavailable (still paused)."""
        ...

    async def resume(self, command: AdminCommand) -> Obeyed:
        """Idempotent."""
        ...

    async def reset(self, command: AdminCommand) -> Obeyed:
        """Close the breaker of `command.target`, end its parking. Raises UnknownWallet."""
        ...

    async def reset_all(self, command: AdminCommand) -> Obeyed:
        """The same for every wallet that is tripped, probing or parked, in one commit; its effects say which."""
        ...

    async def throttle(self, command: AdminCommand, factor: float) -> Obeyed:
        """The fleet goes at this factor (0.001 to 1) of its pace from here on."""
        ...

    async def drain(self, command: AdminCommand, *, last: bool = False) -> Obeyed:
        """The endpoint `command.target` gets no new request. Raises UnknownEndpoint, and LastEndpoint unless that is meant."""
        ...

    async def restore(self, command: AdminCommand) -> Obeyed:
        """A drained endpoint may be asked again. Raises UnknownEndpoint."""
        ...

    async def reload(self, command: AdminCommand) -> Reloaded:
        """Read the settings again and apply all that differs, or nothing. Raises what says why not."""
        ...

    def settings(self) -> JsonObject:
        """The settings in force, redacted."""
        ...

    async def create_token(self, command: AdminCommand, created: AdminTokenCreated) -> Obeyed:
        """Valid when it returns. Raises TokenExists, TooManyTokens."""
        ...

    async def revoke_token(self, command: AdminCommand) -> Obeyed:
        """The token named by `command.target` is not valid any more when it returns. Raises UnknownToken."""
        ...

    async def record_backup(self, command: AdminCommand, made: BackupMade) -> Obeyed:
        """The log knows of a backup that was made by hand."""
        ...

    async def check_in(self, command: AdminCommand) -> Obeyed:
        """Somebody is there."""
        ...

    async def stop(self, command: AdminCommand) -> Obeyed:
        """The process ends gracefully, soon after it returns."""
        ...

    async def locked_out(self, lockout: AdminLockedOut, request_id: str) -> None:
        """Record that a place presented too many wrong credentials."""
        ...

    async def refused(self, command: AdminCommand, why: str) -> None:
        """Record a refused command."""
        ...
