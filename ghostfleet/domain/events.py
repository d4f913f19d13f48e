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
        if self.stream.startswith(WALLET_STREAM_PREFIX):
            return self.stream[len(WALLET_STREAM_PREFIX) :]
        return None


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
    """Written at a start whose settings differ from the last ones. `settings` holds no secret."""

    CRITICAL: ClassVar[bool] = False
    digest: str
    settings: JsonObject


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
class AdminCommandReceived(Event, frozen=True, kw_only=True):
    """An accepted command, in the same commit as its effects. `correlation` is its request id."""

    CRITICAL: ClassVar[bool] = False
    command: str
    actor: str
    remote: str
    request_id: str
    target: str = ""
    reason: str = ""


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


@catalogued
class ActionRejected(Event, frozen=True, kw_only=True):
    """A decision that took no nonce: refused by estimation, by a limit, or by a dry run."""

    action_id: str
    error_class: str
    reason: str
    counts: bool = False


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
    """The wallet cannot pay: it waits until its balance reaches `need_wei`. An open slot stays open."""

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
class BalanceObserved(Event, frozen=True, kw_only=True):
    """The wallet's native balance, written when it changed and no decision says it."""

    CRITICAL: ClassVar[bool] = False
    balance_wei: int
