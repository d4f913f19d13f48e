"""What is known of the fleet as a whole, and how each event changes it. Pure; dispatch by event type."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain import operators as operators_
from ghostfleet.domain.limits import PER_MINUTE, Ledger, Window
from ghostfleet.domain.operation import (
    MAX_PAID,
    Operation,
    StepState,
    wish_digest,
    with_attempt,
    with_outcome,
    with_receipt,
    with_step,
)
from ghostfleet.domain.operators import Operators
from ghostfleet.domain.throttle import MAX_REMEMBERED, Throttle, factor_of
from ghostfleet.domain.values import Address, Hash


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Who paused the fleet, why and since when."""

    actor: str
    reason: str
    since_us: int


class SignedHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest checkpoint: which row was signed, by whom, and when that was recorded."""

    position: int
    head_hash: Hash
    signer: Address
    time_us: int


class FleetPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When so many wallets trip within `trip_window_us` that the fleet pauses itself; a share of 0 never does."""

    trip_share: float = 0.5
    trip_window_us: int = 600_000_000


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of the fleet's stream, and of those wallet events that limits and pauses of the whole fleet need."""

    version: int = 0
    chain_id: int | None = None
    genesis_hash: Hash | None = None
    release: str = ""
    config_digest: str = ""
    running: bool = False
    starts: int = 0
    paused: Pause | None = None
    throttles: tuple[Throttle, ...] = ()
    """The latest changes of pace, oldest first; the last one is in force."""
    tripped_endpoints: tuple[str, ...] = ()
    drained_endpoints: tuple[str, ...] = ()
    """Those that an operator wants left alone, in the order of the log."""
    reorganisations: int = 0
    transactions: Window = PER_MINUTE
    ledger: Ledger = Ledger()
    trips: tuple[tuple[int, str], ...] = ()
    """(time, wallet) of the latest breaker trip of each wallet, until it is reset or the fleet resumed."""
    operators: Operators = Operators()
    operations: tuple[Operation, ...] = ()
    """The open ones, oldest first."""
    operations_started: int = 0
    paid: tuple[tuple[str, str], ...] = ()
    """The newest fundings that are done, as (digest of what was asked for, operation): the same again pays nobody twice."""
    backed_up_us: int = 0
    """When the newest scheduled backup was made; 0 before the first."""
    backed_up_by_hand_us: int = 0
    """The same of those that somebody made by hand: where these lie nobody knows, so they put off no scheduled one."""
    signed_head: SignedHead | None = None
    head_unsigned: bool = False
    """Whether the last word on checkpoints is that nobody could sign one."""

    def operation(self, operation_id: str) -> Operation | None:
        """An open operation by its id."""
        return next((it for it in self.operations if it.id == operation_id), None)

    def operation_of(self, wallet: str) -> Operation | None:
        """The running operation that this wallet does errands for, if there is one."""
        return next((it for it in self.operations if it.running and it.covers(wallet)), None)

    def destinations_of(self, wallet: str) -> tuple[Address, ...]:
        """Whom this wallet may sign to because an open operation says so."""
        return tuple(to for it in self.operations if wallet in it.wallets for to in it.destinations)

    @property
    def permitted(self) -> frozenset[str]:
        """The wallets that a pause does not hold back: those of running operations."""
        return frozenset(wallet for it in self.operations for wallet in it.permitted)

    @property
    def pace(self) -> float:
        """The factor in force, 1 is full pace."""
        return factor_of(self.throttles)


def evolve(fleet: Fleet, recorded: ev.Recorded) -> Fleet:
    """The fleet after one more event, of its own stream or of a wallet's."""
    handler = HANDLERS.get(type(recorded.event))
    if handler is not None:
        fleet = handler(fleet, recorded.event, recorded)
    if recorded.stream == ev.FLEET_STREAM:
        fleet = replace(fleet, version=recorded.version)
    return fleet


def _started(fleet: Fleet, event: ev.ServiceStarted, recorded: ev.Recorded) -> Fleet:
    return replace(
        fleet,
        chain_id=event.chain_id,
        genesis_hash=event.genesis_hash,
        release=event.version,
        config_digest=event.config_digest,
        running=True,
        starts=fleet.starts + 1,
        tripped_endpoints=(),
        operators=fleet.operators if fleet.starts else operators_.seen(fleet.operators, recorded),
    )


def _stopped(fleet: Fleet, event: ev.ServiceStopped, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, running=False)


def _config(fleet: Fleet, event: ev.ConfigApplied, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, config_digest=event.digest, operators=operators_.seen(fleet.operators, recorded))


def _paused(fleet: Fleet, event: ev.FleetPaused, recorded: ev.Recorded) -> Fleet:
    pause = Pause(actor=event.actor, reason=event.reason, since_us=recorded.time_us)
    return replace(fleet, paused=pause, operations=_suspended(fleet, event.actor))


def _suspended(fleet: Fleet, actor: str) -> tuple[Operation, ...]:
    """A pause suspends what runs. This release writes OperationSuspended beside it; the previous one, started on this log
    meanwhile, knows nothing of operations, and its pause has to hold all the same."""
    return tuple(replace(it, suspended=it.suspended or f"paused by {actor}") for it in fleet.operations)


def _resumed(fleet: Fleet, event: ev.FleetResumed, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, paused=None, trips=(), operators=operators_.seen(fleet.operators, recorded))


def _received(fleet: Fleet, event: ev.AdminCommandReceived, recorded: ev.Recorded) -> Fleet:
    fleet = replace(fleet, operators=operators_.received(fleet.operators, event, recorded))
    if event.command == "pause":  # of a fleet that is paused already there is no other event
        fleet = replace(fleet, operations=_suspended(fleet, event.actor))
    return fleet


def _checked_in(fleet: Fleet, event: ev.OperatorCheckedIn, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, operators=operators_.seen(fleet.operators, recorded))


def _token_created(fleet: Fleet, event: ev.AdminTokenCreated, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, operators=operators_.token_created(fleet.operators, event, recorded))


def _token_revoked(fleet: Fleet, event: ev.AdminTokenRevoked, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, operators=operators_.token_revoked(fleet.operators, event, recorded))


def _throttled(fleet: Fleet, event: ev.FleetThrottled, recorded: ev.Recorded) -> Fleet:
    throttle = Throttle(since_us=recorded.time_us, factor=event.factor, actor=event.actor, reason=event.reason)
    return replace(fleet, throttles=(*fleet.throttles[1 - MAX_REMEMBERED :], throttle))


def _endpoint_tripped(fleet: Fleet, event: ev.EndpointTripped, recorded: ev.Recorded) -> Fleet:
    others = tuple(name for name in fleet.tripped_endpoints if name != event.endpoint)
    return replace(fleet, tripped_endpoints=(*others, event.endpoint))


def _endpoint_recovered(fleet: Fleet, event: ev.EndpointRecovered, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, tripped_endpoints=tuple(name for name in fleet.tripped_endpoints if name != event.endpoint))


def _drained(fleet: Fleet, event: ev.EndpointDrained, recorded: ev.Recorded) -> Fleet:
    others = tuple(name for name in fleet.drained_endpoints if name != event.endpoint)
    return replace(fleet, drained_endpoints=(*others, event.endpoint))


def _restored(fleet: Fleet, event: ev.EndpointRestored, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, drained_endpoints=tuple(name for name in fleet.drained_endpoints if name != event.endpoint))


def _reorganised(fleet: Fleet, event: ev.ChainReorganised, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, reorganisations=fleet.reorganisations + 1)


def _signed(fleet: Fleet, event: ev.TransactionSigned, recorded: ev.Recorded) -> Fleet:
    fleet = replace(fleet, transactions=fleet.transactions.add(recorded.time_us, 1))
    if event.attempt == 1 or not fleet.operations:
        return fleet
    return replace(fleet, operations=tuple(with_attempt(it, event) for it in fleet.operations))


def _tripped(fleet: Fleet, event: ev.BreakerTripped, recorded: ev.Recorded) -> Fleet:
    wallet = recorded.wallet or ""
    return replace(fleet, trips=(*_trips_without(fleet, wallet), (recorded.time_us, wallet)))


def _untripped(fleet: Fleet, event: ev.BreakerReset, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, trips=_trips_without(fleet, recorded.wallet or ""))


def _operation_started(fleet: Fleet, event: ev.OperationStarted, recorded: ev.Recorded) -> Fleet:
    started = Operation(
        id=event.operation_id,
        kind=event.kind,
        wallets=event.wallets,
        params=event.params,
        actor=event.actor,
        since_us=recorded.time_us,
    )
    return replace(fleet, operations=(*fleet.operations, started), operations_started=fleet.operations_started + 1)


def _operation_wallet_planned(fleet: Fleet, event: ev.OperationWalletPlanned, recorded: ev.Recorded) -> Fleet:
    return _with_operation(
        fleet, event.operation_id, lambda it: replace(it, plans={**it.plans, event.wallet: event.plan})
    )


def _operation_suspended(fleet: Fleet, event: ev.OperationSuspended, recorded: ev.Recorded) -> Fleet:
    return _with_operation(fleet, event.operation_id, lambda it: replace(it, suspended=event.reason or event.actor))


def _operation_continued(fleet: Fleet, event: ev.OperationContinued, recorded: ev.Recorded) -> Fleet:
    return _with_operation(fleet, event.operation_id, lambda it: replace(it, suspended=""))


def _operation_wallet_done(fleet: Fleet, event: ev.OperationWalletDone, recorded: ev.Recorded) -> Fleet:
    return _with_operation(fleet, event.operation_id, lambda it: replace(it, done=(*it.done, event.wallet)))


def _operation_finished(fleet: Fleet, event: ev.OperationFinished, recorded: ev.Recorded) -> Fleet:
    ended = fleet.operation(event.operation_id)
    paid = fleet.paid
    if ended is not None and ended.kind == "fund" and ended.steps:
        paid = (*paid, (wish_digest(ended.kind, ended.params), ended.id))[-MAX_PAID:]
    return replace(fleet, operations=tuple(it for it in fleet.operations if it.id != event.operation_id), paid=paid)


def _step_decided(fleet: Fleet, event: ev.ActionDecided, recorded: ev.Recorded) -> Fleet:
    return _with_operation(fleet, event.operation, lambda it: with_step(it, event)) if event.operation else fleet


def _step_succeeded(fleet: Fleet, event: ev.ActionSucceeded, recorded: ev.Recorded) -> Fleet:
    return _with_outcome(fleet, event.action_id, "done", "")


def _step_failed(fleet: Fleet, event: ev.ActionFailed | ev.ActionRejected, recorded: ev.Recorded) -> Fleet:
    return _with_outcome(fleet, event.action_id, "failed", event.reason)


def _step_mined(fleet: Fleet, event: ev.TransactionMined, recorded: ev.Recorded) -> Fleet:
    if not fleet.operations:
        return fleet
    return replace(fleet, operations=tuple(with_receipt(it, event) for it in fleet.operations))


def _with_operation(fleet: Fleet, operation_id: str, change: Callable[[Operation], Operation]) -> Fleet:
    return replace(fleet, operations=tuple(change(it) if it.id == operation_id else it for it in fleet.operations))


def _with_outcome(fleet: Fleet, action_id: str, state: StepState, reason: str) -> Fleet:
    if not fleet.operations:
        return fleet
    return replace(fleet, operations=tuple(with_outcome(it, action_id, state, reason) for it in fleet.operations))


def _backed_up(fleet: Fleet, event: ev.BackupMade, recorded: ev.Recorded) -> Fleet:
    if event.actor:
        return replace(fleet, backed_up_by_hand_us=recorded.time_us)
    return replace(fleet, backed_up_us=recorded.time_us)


def _head_signed(fleet: Fleet, event: ev.HeadSigned, recorded: ev.Recorded) -> Fleet:
    signed = SignedHead(
        position=event.position, head_hash=event.head_hash, signer=event.signer, time_us=recorded.time_us
    )
    return replace(fleet, signed_head=signed, head_unsigned=False)


def _head_not_signed(fleet: Fleet, event: ev.HeadNotSigned, recorded: ev.Recorded) -> Fleet:
    return replace(fleet, head_unsigned=True)


def _spending_carried_over(fleet: Fleet, event: ev.FleetSpendingCarriedOver, recorded: ev.Recorded) -> Fleet:
    ledger = fleet.ledger
    return replace(
        fleet,
        ledger=replace(
            ledger,
            gas=ledger.gas.at_least(event.gas_wei),
            value=ledger.value.at_least(event.value_wei),
            tokens=ledger.tokens.at_least(event.tokens),
        ),
    )


def _unchanged(fleet: Fleet, event: ev.Event, recorded: ev.Recorded) -> Fleet:
    return fleet


def _trips_without(fleet: Fleet, wallet: str) -> tuple[tuple[int, str], ...]:
    return tuple(trip for trip in fleet.trips if trip[1] != wallet)


HANDLERS: dict[type[ev.Event], Callable[[Fleet, Any, ev.Recorded], Fleet]] = {
    ev.ServiceStarted: _started,
    ev.ServiceStopped: _stopped,
    ev.ConfigApplied: _config,
    ev.FleetPaused: _paused,
    ev.FleetResumed: _resumed,
    ev.FleetThrottled: _throttled,
    ev.AdminCommandReceived: _received,
    ev.AdminCommandRefused: _unchanged,
    ev.AdminLockedOut: _unchanged,
    ev.AdminTokenCreated: _token_created,
    ev.AdminTokenRevoked: _token_revoked,
    ev.OperatorCheckedIn: _checked_in,
    ev.EndpointTripped: _endpoint_tripped,
    ev.EndpointRecovered: _endpoint_recovered,
    ev.EndpointDrained: _drained,
    ev.EndpointRestored: _restored,
    ev.ChainReorganised: _reorganised,
    ev.StoreRecovered: _unchanged,
    ev.BackupMade: _backed_up,
    ev.BackupFailed: _unchanged,
    ev.LogRestored: _unchanged,
    ev.FleetSpendingCarriedOver: _spending_carried_over,
    ev.LogArchived: _unchanged,
    ev.HeadSigned: _head_signed,
    ev.HeadNotSigned: _head_not_signed,
    ev.TransactionSigned: _signed,
    ev.BreakerTripped: _tripped,
    ev.BreakerReset: _untripped,
    ev.OperationStarted: _operation_started,
    ev.OperationWalletPlanned: _operation_wallet_planned,
    ev.OperationSuspended: _operation_suspended,
    ev.OperationContinued: _operation_continued,
    ev.OperationWalletDone: _operation_wallet_done,
    ev.OperationFinished: _operation_finished,
    ev.ActionDecided: _step_decided,
    ev.ActionSucceeded: _step_succeeded,
    ev.ActionFailed: _step_failed,
    ev.ActionRejected: _step_failed,
    ev.TransactionMined: _step_mined,
}
"""Every event type that changes the fleet, wherever it stands."""
