"""The catalogue: everything that can be written to the log, one frozen value each.

An event is named in the past tense by a stable name (its class name, never an import path), has a version, and says
whether a reader that does not know it may skip it (`critical=False`) or has to stop (`critical=True`). Adding one touches
the catalogue, the fold (`fleet.py`, `wallet.py`), the projections and docs/events.md; a test walks the catalogue and names
what is missing. Changing the meaning of a field means a new version and an upcaster in `store/codec.py`.
"""

from typing import ClassVar, Literal, TypeVar

import msgspec

from ghostfleet.domain.values import Address, AnswerClass, BlockRef, Call, Fees, Hash, JsonObject, Octets

Stream = str
FLEET_STREAM: Stream = "fleet"
WALLET_STREAM_PREFIX = "wallet/"

Purpose = Literal["action", "cancel"]
"""What an attempt is for: carrying out the action, or giving its nonce away harmlessly (0 wei to itself)."""


def wallet_stream(wallet: str) -> Stream:
    """The stream of one wallet."""
    return WALLET_STREAM_PREFIX + wallet


def wallet_of(stream: Stream) -> str | None:
    """The wallet whose stream this is, or None for another stream."""
    return stream[len(WALLET_STREAM_PREFIX) :] if stream.startswith(WALLET_STREAM_PREFIX) else None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event. `VERSION` grows when the meaning of a field changes."""

    VERSION: ClassVar[int] = 1
    CRITICAL: ClassVar[bool] = True


class NewEvent(msgspec.Struct, frozen=True):
    """An event on its way into the log. `correlation` is the action or command that it belongs to."""

    stream: Stream
    event: Event
    correlation: str = ""


class Recorded(msgspec.Struct, frozen=True):
    """An event as the log has it: `position` is the global order (from 1), `version` the order in its stream (from 1)."""

    position: int
    stream: Stream
    version: int
    time_us: int
    correlation: str
    event: Event

    @property
    def wallet(self) -> str | None:
        """The wallet whose stream this is, or None for the fleet's."""
        return wallet_of(self.stream)


CATALOGUE: dict[str, type[Event]] = {}
"""Every event type by its stable name."""

E = TypeVar("E", bound=type[Event])


def catalogued(event: E) -> E:
    """Class decorator: puts an event type into the catalogue under its own name."""
    assert event.__name__ not in CATALOGUE, event.__name__
    CATALOGUE[event.__name__] = event
    return event


class UnknownEvent(Event, frozen=True, kw_only=True):
    """Stands for an event of a newer release that this one need not know. Never written; changes nothing."""

    CRITICAL: ClassVar[bool] = False
    type: str
    type_version: int


# --- fleet: process life, configuration, admin, endpoints, chain ------------------------------------------------------


@catalogued
class ServiceStarted(Event, frozen=True, kw_only=True):
    """Written once a start has checked log and chain, before any lane runs. Fixes the chain of this log."""

    version: str
    config_digest: str
    chain_id: int
    genesis_hash: Hash
    dry_run: bool = False


@catalogued
class ServiceStopped(Event, frozen=True, kw_only=True):
    """Written at a graceful stop, last. Its absence before a ServiceStarted means the process was killed."""

    CRITICAL: ClassVar[bool] = False
    reason: str


@catalogued
class ConfigApplied(Event, frozen=True, kw_only=True):
    """Written at a start whose settings differ from the last ones, and at a reload that changed something. No secret is in it.

    Of a reload `changes` has each key that differs, with its value before and after, and `actor` who asked for it."""

    CRITICAL: ClassVar[bool] = False
    digest: str
    settings: JsonObject
    changes: tuple[JsonObject, ...] = ()
    actor: str = ""
    reason: str = ""


@catalogued
class FleetPaused(Event, frozen=True, kw_only=True):
    """From here on nothing is decided and nothing leaves the process, restarts included, until FleetResumed."""

    actor: str
    reason: str = ""


@catalogued
class FleetResumed(Event, frozen=True, kw_only=True):
    """Ends a pause."""

    actor: str
    reason: str = ""


@catalogued
class FleetThrottled(Event, frozen=True, kw_only=True):
    """From here on the fleet goes at `factor` of its pace, restarts included: intervals are longer, limits of an hour and a
    minute lower. 1.0 is full pace again. What is open is followed as fast as ever."""

    CRITICAL: ClassVar[bool] = False
    actor: str
    factor: float
    reason: str = ""


@catalogued
class AdminCommandReceived(Event, frozen=True, kw_only=True):
    """An accepted command, in the same commit as its effects. `correlation` is its request id.

    `effects` is how many events follow in that commit. A command with an `idempotency_key` is carried out once: the same
    actor's same key and `fingerprint` again get the answer that this one got.
    """

    CRITICAL: ClassVar[bool] = False
    command: str
    actor: str
    remote: str
    request_id: str
    target: str = ""
    reason: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    effects: int = 0


@catalogued
class AdminCommandRefused(Event, frozen=True, kw_only=True):
    """A command that was refused, and why (no credential, wrong role, unknown wallet, wrong Host or Origin)."""

    CRITICAL: ClassVar[bool] = False
    command: str
    actor: str
    remote: str
    request_id: str
    why: str


@catalogued
class AdminLockedOut(Event, frozen=True, kw_only=True):
    """So many wrong credentials came from one address that it may present none until `until_us`. Informs; changes nothing."""

    CRITICAL: ClassVar[bool] = False
    remote: str
    actor: str
    failures: int
    until_us: int


@catalogued
class AdminTokenCreated(Event, frozen=True, kw_only=True):
    """A token is valid from here on, until it is revoked or `expires_us`. The log has its hash, nothing has the token."""

    CRITICAL: ClassVar[bool] = False
    name: str
    role: str
    sha256: Hash
    actor: str
    expires_us: int | None = None


@catalogued
class AdminTokenRevoked(Event, frozen=True, kw_only=True):
    """The token of this name is not valid any more."""

    CRITICAL: ClassVar[bool] = False
    name: str
    actor: str


@catalogued
class OperatorCheckedIn(Event, frozen=True, kw_only=True):
    """An operator said that somebody is there: the deadman's time starts anew, as with every other command."""

    CRITICAL: ClassVar[bool] = False
    actor: str


@catalogued
class EndpointTripped(Event, frozen=True, kw_only=True):
    """An RPC endpoint is not asked any more for a while. Informs; changes no wallet."""

    CRITICAL: ClassVar[bool] = False
    endpoint: str
    reason: str


@catalogued
class EndpointRecovered(Event, frozen=True, kw_only=True):
    """A tripped RPC endpoint answered again."""

    CRITICAL: ClassVar[bool] = False
    endpoint: str


@catalogued
class EndpointDrained(Event, frozen=True, kw_only=True):
    """An RPC endpoint gets no new request, restarts included, until EndpointRestored. What is under way there is finished."""

    CRITICAL: ClassVar[bool] = False
    endpoint: str
    actor: str
    reason: str = ""


@catalogued
class EndpointRestored(Event, frozen=True, kw_only=True):
    """A drained RPC endpoint may be asked again."""

    CRITICAL: ClassVar[bool] = False
    endpoint: str
    actor: str
    reason: str = ""


@catalogued
class ChainReorganised(Event, frozen=True, kw_only=True):
    """Blocks after `ancestor` were replaced, `depth` of those we had seen. Wallets get their own TransactionReorged."""

    CRITICAL: ClassVar[bool] = False
    depth: int
    ancestor: int
    old_head: BlockRef
    new_head: BlockRef


@catalogued
class StoreRecovered(Event, frozen=True, kw_only=True):
    """The log takes events again after it could not (disk full, read-only). In between nothing was decided or sent."""

    CRITICAL: ClassVar[bool] = False
    reason: str
    failed_us: int


@catalogued
class BackupMade(Event, frozen=True, kw_only=True):
    """A backup is on disk and was verified: everything up to `position`. Of a scheduled one `file` is its name in [backup] dir;
    of one made by hand its path, as `actor` sees it, who said so."""

    CRITICAL: ClassVar[bool] = False
    file: str
    position: int
    head_hash: Hash
    size_bytes: int
    actor: str = ""


@catalogued
class BackupFailed(Event, frozen=True, kw_only=True):
    """The scheduled backup could not be made. It is tried again; the fleet goes on."""

    CRITICAL: ClassVar[bool] = False
    reason: str


@catalogued
class LogRestored(Event, frozen=True, kw_only=True):
    """The first event after a backup was put in the place of the log: `position` and `head_hash` are where the backup ended.

    `replaced_position` and `replaced_hash` are where the log had ended that was set aside, 0 and null where there was none
    or it could not be read. `effects` is how many events follow in its commit: what protects, carried over from that log.
    """

    CRITICAL: ClassVar[bool] = False
    position: int
    head_hash: Hash
    replaced_position: int = 0
    replaced_hash: Hash | None = None
    effects: int = 0


@catalogued
class FleetSpendingCarriedOver(Event, frozen=True, kw_only=True):
    """Written by a restore, from the log that it replaced: what the fleet's limits of a day count, as (bucket of a day's
    window, amount). No bucket counts less from here on."""

    CRITICAL: ClassVar[bool] = False
    gas_wei: tuple[tuple[int, int], ...] = ()
    value_wei: tuple[tuple[int, int], ...] = ()
    tokens: tuple[tuple[int, int], ...] = ()


@catalogued
class LogArchived(Event, frozen=True, kw_only=True):
    """Events `first_position` to `last_position` moved to an archive file, in the same commit. `last_hash` is the anchor."""

    CRITICAL: ClassVar[bool] = False
    first_position: int
    last_position: int
    last_hash: Hash
    file: str
    file_sha256: Hash


@catalogued
class HeadSigned(Event, frozen=True, kw_only=True):
    """A checkpoint: the head of the log as it was a moment before, signed by a wallet of the fleet (domain/checkpoint.py has the
    text). Whoever rewrites what stands before it would have to sign it anew."""

    CRITICAL: ClassVar[bool] = False
    chain_id: int
    genesis_hash: Hash
    position: int
    head_hash: Hash
    signer: Address
    signature: Octets


@catalogued
class HeadNotSigned(Event, frozen=True, kw_only=True):
    """No wallet could sign the head of the log when a checkpoint was due. Written once, until one could again."""

    CRITICAL: ClassVar[bool] = False
    reason: str


# --- fleet: operations ------------------------------------------------------------------------------------------------


@catalogued
class OperationStarted(Event, frozen=True, kw_only=True):
    """An operator asked for something of many wallets: from here on they do its errands, under a pause too."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    kind: str
    wallets: tuple[str, ...]
    params: JsonObject
    actor: str
    reason: str = ""


@catalogued
class OperationWalletPlanned(Event, frozen=True, kw_only=True):
    """What the operation found at this wallet before its first errand: balances, stakes, what is lost already."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    wallet: str
    plan: JsonObject


@catalogued
class OperationSuspended(Event, frozen=True, kw_only=True):
    """A pause came, or what the operation needs is missing: nothing is done for it until OperationContinued."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    actor: str
    reason: str


@catalogued
class OperationContinued(Event, frozen=True, kw_only=True):
    """An operator asked for the same once more: it goes on from where it is, under a pause too."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    actor: str
    reason: str = ""


@catalogued
class OperationWalletDone(Event, frozen=True, kw_only=True):
    """The operation has nothing more to ask of this wallet. `result` is its line in the final table."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    wallet: str
    result: JsonObject


@catalogued
class OperationFinished(Event, frozen=True, kw_only=True):
    """Every wallet is done (outcome `done`), or an operator gave it up (`abandoned`). `summary` holds the sums."""

    CRITICAL: ClassVar[bool] = False
    operation_id: str
    outcome: Literal["done", "abandoned"]
    actor: str
    summary: JsonObject


OPERATION_EVENTS = (OperationStarted, OperationSuspended, OperationContinued, OperationWalletDone, OperationFinished)
"""Those that change which wallets act for an operation."""


# --- wallet: registration, turns and decisions ------------------------------------------------------------------------


@catalogued
class WalletRegistered(Event, frozen=True, kw_only=True):
    """The settings name this wallet for the first time, again after a retirement, or with another profile or plugin."""

    address: Address
    profile: str
    plugin: str
    first_turn_us: int


@catalogued
class WalletRetired(Event, frozen=True, kw_only=True):
    """The settings no longer name this wallet or disable it. Open slots are still followed; nothing new is decided."""

    reason: str


@catalogued
class WalletRested(Event, frozen=True, kw_only=True):
    """A turn that decided on no action (nothing to do, away from keyboard, limit reached): next turn at `until_us`."""

    reason: str
    until_us: int
    seed: int = 0


@catalogued
class ActionDecided(Event, frozen=True, kw_only=True):
    """The wallet's n-th decision with all that it saw. Always in one commit with TransactionSigned or ActionRejected.

    `seed`, `observation` and `profile` suffice to make the decision again. `spend_wei` is how much of the protocol's token
    the action moves out of the wallet; it counts towards the token limit when the action succeeds.
    """

    action_id: str
    plugin: str
    kind: str
    params: JsonObject
    seed: int
    observation: JsonObject
    profile: str
    config_digest: str
    call: Call
    spend_wei: int
    balance_wei: int
    next_turn_us: int
    balance_read_us: int = 0
    """When the balance was read, where that was not for this decision: then `balance_wei` is what there was, less the most that
    the wallet's transactions since may have cost."""
    throttle: float = 1.0
    operation: str = ""
    """The operation that asked for it, or empty for the wallet's own turn."""
    step: str = ""
    """Which step of that operation it is."""


@catalogued
class ActionRejected(Event, frozen=True, kw_only=True):
    """A decision that took no nonce: refused by estimation, by a limit, or by a dry run."""

    action_id: str
    error_class: str
    reason: str
    counts: bool = False
    limit: str = ""
    """The limit that it would have passed, by its key in the settings."""


@catalogued
class ActionSucceeded(Event, frozen=True, kw_only=True):
    """The action's transaction is in the chain with status 1 and the configured confirmations."""

    action_id: str


@catalogued
class ActionFailed(Event, frozen=True, kw_only=True):
    """The action did not take effect: reverted, cancelled, or its nonce was taken from outside.

    `counts` says whether it counts towards the wallet's breaker. `retry_us`, when set, brings the next turn forward.
    """

    action_id: str
    reason: str
    counts: bool
    retry_us: int | None = None


# --- wallet: the life of a transaction --------------------------------------------------------------------------------


@catalogued
class TransactionSigned(Event, frozen=True, kw_only=True):
    """Signed bytes, durable before the first of them leaves. Attempt 1 opens the nonce slot, later ones replace it."""

    action_id: str
    nonce: int
    attempt: int
    purpose: Purpose
    hash: Hash
    raw: Octets
    to: Address
    value_wei: int
    gas: int
    fees: Fees


@catalogued
class BroadcastAccepted(Event, frozen=True, kw_only=True):
    """A node took the bytes (or had them already). Accepted is not mined."""

    action_id: str
    nonce: int
    hash: Hash
    endpoint: str
    known: bool = False


@catalogued
class BroadcastFailed(Event, frozen=True, kw_only=True):
    """A node did not take the bytes, or nobody knows whether it did. `error_class` says what follows."""

    action_id: str
    nonce: int
    hash: Hash
    endpoint: str
    error_class: AnswerClass
    message: str


@catalogued
class TransactionMined(Event, frozen=True, kw_only=True):
    """One attempt of the slot is in a canonical block. `success` is the receipt's status; `logs` are decoded ones."""

    action_id: str
    nonce: int
    attempt: int
    hash: Hash
    block: BlockRef
    success: bool
    gas_used: int
    gas_price_wei: int
    revert_reason: str = ""
    logs: tuple[JsonObject, ...] = ()


@catalogued
class TransactionFinal(Event, frozen=True, kw_only=True):
    """The block of a mined transaction is deep enough never to be replaced. Ends the slot."""

    action_id: str
    nonce: int
    hash: Hash


@catalogued
class TransactionReorged(Event, frozen=True, kw_only=True):
    """The block of a mined transaction is no longer canonical: the slot is open again, with the same bytes."""

    action_id: str
    nonce: int
    hash: Hash
    block: BlockRef


@catalogued
class TransactionDropped(Event, frozen=True, kw_only=True):
    """The node that took the bytes said several times that it does not know them. They are sent again as they are."""

    action_id: str
    nonce: int
    hash: Hash
    endpoint: str


@catalogued
class TransactionSuperseded(Event, frozen=True, kw_only=True):
    """The slot's nonce was used by a transaction that is not ours (`by`, when it was found). Ends the slot."""

    action_id: str
    nonce: int
    hash: Hash
    by: Hash | None


@catalogued
class OutsideTransactionSeen(Event, frozen=True, kw_only=True):
    """A transaction from this wallet's address is on chain that the log does not know."""

    CRITICAL: ClassVar[bool] = False
    nonce: int
    hash: Hash
    block: BlockRef


@catalogued
class NonceResynced(Event, frozen=True, kw_only=True):
    """The chain's nonce ran ahead of the log (the key was used elsewhere, or the log is an old backup)."""

    from_nonce: int
    to_nonce: int
    why: str


# --- wallet: health ---------------------------------------------------------------------------------------------------


@catalogued
class ErrorRecorded(Event, frozen=True, kw_only=True):
    """Something went wrong that is not told by another event. `counts` says whether the breaker counts it."""

    CRITICAL: ClassVar[bool] = False
    error_class: str
    message: str
    counts: bool = False


@catalogued
class WalletParked(Event, frozen=True, kw_only=True):
    """The wallet cannot pay: it waits until its balance reaches `need_wei`, or until a regular turn of its needs less. Written
    again where such a turn needs another amount that it does not have. An open slot stays open."""

    need_wei: int
    balance_wei: int


@catalogued
class WalletUnparked(Event, frozen=True, kw_only=True):
    """The wallet can pay again."""

    balance_wei: int


@catalogued
class BreakerTripped(Event, frozen=True, kw_only=True):
    """`errors` consecutive errors of the wallet's own: no decision before `until_us`."""

    errors: int
    until_us: int


@catalogued
class BreakerProbing(Event, frozen=True, kw_only=True):
    """The cooldown is over: the next action is a probe; a success closes the breaker, a failure trips it for longer."""


@catalogued
class BreakerReset(Event, frozen=True, kw_only=True):
    """An operator closed the breaker and ended a parking."""

    actor: str


@catalogued
class SpendingCarriedOver(Event, frozen=True, kw_only=True):
    """Written by a restore, from the log that it replaced: what the wallet's limits of an hour (`actions`) and of a day count,
    as (bucket, amount). No bucket counts less from here on."""

    CRITICAL: ClassVar[bool] = False
    actions: tuple[tuple[int, int], ...] = ()
    gas_wei: tuple[tuple[int, int], ...] = ()
    value_wei: tuple[tuple[int, int], ...] = ()
    tokens: tuple[tuple[int, int], ...] = ()


@catalogued
class BalanceObserved(Event, frozen=True, kw_only=True):
    """The wallet's native balance, written when it changed and no decision says it."""

    CRITICAL: ClassVar[bool] = False
    balance_wei: int
