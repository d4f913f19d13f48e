"""What follows from what: each function takes the state and a fact or a wish and returns the events to write, or refuses.

They run inside the state's commit step (../engine/state.py), so what they check holds when the events are written: the
pause, the limits and the breaker are never decided on an older state than the one they are recorded after.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ghostfleet.domain import breaker as breakers
from ghostfleet.domain import events as ev
from ghostfleet.domain import limits as limits_
from ghostfleet.domain.bounds import bounds
from ghostfleet.domain.breaker import BreakerPolicy, Closed, Probing, Tripped
from ghostfleet.domain.fleet import Fleet, FleetPolicy
from ghostfleet.domain.limits import LimitReached, Limits, Spending
from ghostfleet.domain.slot import Included, Pending, SlotPolicy
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.throttle import FULL_PACE, MIN_FACTOR, throttled
from ghostfleet.domain.values import AnswerClass, Hash
from ghostfleet.domain.wallet import Wallet

SERVICE_ACTOR = "service"
CONFIG_ACTOR = "config"
DEADMAN_ACTOR = "deadman"
RESTORE_ACTOR = "restore"
PAUSERS = (SERVICE_ACTOR, DEADMAN_ACTOR, CONFIG_ACTOR, RESTORE_ACTOR)
"""Who pauses the fleet beside operators."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that decisions depend on."""

    limits: Limits = Limits()
    breaker: BreakerPolicy = BreakerPolicy()
    fleet: FleetPolicy = FleetPolicy()
    slot: SlotPolicy = SlotPolicy()
    confirmations: int = 1
    finality_blocks: int = 32


class Refused(Exception):
    """A wish that does not fit the state any more; nothing was written. The asker looks at the state again."""


def require_running(state: Candidate, name: str) -> None:
    """Nothing new is signed while the fleet is paused, but for the wallets of an operation that was asked for since."""
    fleet = state.fleet
    if fleet.paused is not None and not any(it.running and name in it.wallets for it in fleet.operations):
        raise Refused("the fleet is paused")


def require_no_pause(state: Candidate) -> None:
    """No turn is taken while the fleet is paused, also not by wallets that an operation has asked something of."""
    if state.fleet.paused is not None:
        raise Refused("the fleet is paused")


def require_in_force(state: Candidate, decided: ev.ActionDecided) -> None:
    """A decision is recorded under the settings that it was made under, or not at all: after a reload it is made again."""
    if decided.config_digest != state.fleet.config_digest:
        raise Refused(f"{decided.action_id} was decided under other settings than those in force")


def require_wallet(state: Candidate, name: str) -> Wallet:
    """The wallet, or a refusal."""
    wallet = state.wallet(name)
    if wallet is None:
        raise Refused(f"no wallet {name}")
    return wallet


def require_settled(wallet: Wallet) -> None:
    """One thing at a time: nothing new before every slot is in the chain with its outcome."""
    if wallet.pending or any(not slot.settled for slot in wallet.included):
        raise Refused(f"{wallet.id} has an open slot")


def limit_reached(wallet: Wallet, state: Candidate, rules: Rules, wanted: Spending, now_us: int) -> LimitReached | None:
    """The first limit that one more action of this worst case would pass."""
    return next(limits_reached(wallet, state.fleet, rules.limits, wanted, now_us), None)


def limits_reached(
    wallet: Wallet, fleet: Fleet, limits: Limits, wanted: Spending, now_us: int
) -> Iterator[LimitReached]:
    """Every limit that one more action of this worst case would pass."""
    for bound in bounds(wallet, fleet, throttled(limits, fleet.pace), wanted):
        reached = limits_.reached(bound, now_us)
        if reached is not None:
            yield reached


def worst_of(wallet: Wallet, decided: ev.ActionDecided, signed: ev.TransactionSigned) -> Spending:
    """What an action may spend at worst."""
    return Spending(
        gas_wei=signed.gas * signed.fees.max_fee_wei,
        value_wei=signed.value_wei if signed.to != wallet.address else 0,
        tokens=decided.spend_wei,
    )


def open_slot(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    decided: ev.ActionDecided,
    signed: ev.TransactionSigned,
    rules: Rules,
) -> list[ev.NewEvent]:
    """Decision and signed bytes, in one commit; or the decision and its rejection by a limit."""
    require_no_pause(state)
    require_in_force(state, decided)
    wallet = require_wallet(state, name)
    if wallet.retired:
        raise Refused(f"{name} is retired")
    if state.fleet.operation_of(name) is not None:
        raise Refused(f"{name} does the errands of an operation")
    require_settled(wallet)
    if wallet.next_nonce is not None and signed.nonce != wallet.next_nonce:
        raise Refused(f"nonce {signed.nonce} is not the next of {name}: {wallet.next_nonce}")
    if isinstance(wallet.breaker, Tripped) and now_us < wallet.breaker.until_us:
        raise Refused(f"the breaker of {name} is open")
    decided = at_pace(decided, state)
    reached = limit_reached(wallet, state, rules, worst_of(wallet, decided, signed), now_us)
    if reached is not None:
        return [*_for(name, decided.action_id, decided, _limited(decided.action_id, reached))]
    probing = [ev.BreakerProbing()] if isinstance(wallet.breaker, Tripped) else []
    return _for(name, decided.action_id, *probing, decided, signed)


def fill_gap(
    state: Candidate, now_us: int, *, name: str, decided: ev.ActionDecided, signed: ev.TransactionSigned
) -> list[ev.NewEvent]:
    """A slot below our open ones that the chain still waits for: given away harmlessly so that the others can land."""
    require_running(state, name)
    require_in_force(state, decided)
    wallet = require_wallet(state, name)
    if not wallet.pending or signed.nonce >= wallet.pending[0].nonce or wallet.slot(signed.nonce) is not None:
        raise Refused(f"nonce {signed.nonce} of {name} is no gap")
    return _for(name, decided.action_id, at_pace(decided, state), signed)


def replace_attempt(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    signed: ev.TransactionSigned,
    expected_attempts: int,
    rules: Rules,
    refused: AnswerClass | None = None,
) -> list[ev.NewEvent]:
    """A further attempt of an open slot. Limits do not apply: a slot has to end.

    An action whose bytes no node takes is given away, and is the wallet's own error: without a breaker it would be decided, and
    its cancel paid, again and again.
    """
    require_running(state, name)
    wallet = require_wallet(state, name)
    slot = wallet.slot(signed.nonce)
    if not isinstance(slot, Pending) or slot.newest.number != expected_attempts:
        raise Refused(f"the slot of {name} at nonce {signed.nonce} has moved on")
    given_up = signed.purpose == "cancel" and slot.newest.purpose == "action" and not slot.operation
    if refused is not AnswerClass.MALFORMED or not given_up:
        return _for(name, signed.action_id, signed)
    told = "no node takes its bytes, and its nonce is given away"
    error = ev.ErrorRecorded(error_class=AnswerClass.MALFORMED, message=told, counts=True)
    return _for(name, signed.action_id, error, signed) + _after_error(state, wallet, rules, now_us)


def reject(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    decided: ev.ActionDecided,
    rejected: ev.ActionRejected,
    rules: Rules,
) -> list[ev.NewEvent]:
    """A decision that took no nonce."""
    require_no_pause(state)
    require_in_force(state, decided)
    wallet = require_wallet(state, name)
    events = _for(name, decided.action_id, at_pace(decided, state), rejected)
    return events + (_after_error(state, wallet, rules, now_us) if rejected.counts else [])


def record_error(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    error: ev.ErrorRecorded,
    rules: Rules,
    others: Sequence[ev.Event] = (),
) -> list[ev.NewEvent]:
    """An error of the wallet, with what it leads to."""
    wallet = require_wallet(state, name)
    events = _for(name, "", error, *others)
    return events + (_after_error(state, wallet, rules, now_us) if error.counts else [])


def include(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    mined: ev.TransactionMined,
    rules: Rules,
    head_number: int,
    counts: bool,
) -> list[ev.NewEvent]:
    """A receipt in a canonical block, and the action's outcome if that is deep enough."""
    wallet = require_wallet(state, name)
    slot = wallet.slot(mined.nonce)
    if not isinstance(slot, Pending):
        raise Refused(f"nonce {mined.nonce} of {name} is not open")
    attempt = next(attempt for attempt in slot.attempts if attempt.hash == mined.hash)
    included = Included(
        pending=slot, attempt=attempt, block=mined.block, success=mined.success, reason=mined.revert_reason
    )
    events = _for(name, mined.action_id, mined)
    if not included.settled and head_number - mined.block.number + 1 >= rules.confirmations:
        events += outcome(state, wallet, included, rules, counts, now_us)
    return events


def settle(state: Candidate, now_us: int, *, name: str, nonce: int, rules: Rules, counts: bool) -> list[ev.NewEvent]:
    """The action's outcome, once its block has the configured confirmations."""
    wallet = require_wallet(state, name)
    slot = wallet.slot(nonce)
    if not isinstance(slot, Included) or slot.settled:
        raise Refused(f"nonce {nonce} of {name} is not waiting for an outcome")
    return outcome(state, wallet, slot, rules, counts, now_us)


def outcome(
    state: Candidate, wallet: Wallet, slot: Included, rules: Rules, counts: bool, now_us: int
) -> list[ev.NewEvent]:
    """What the inclusion makes of the action, and what that does to the breaker and the fleet."""
    if slot.outcome == "succeeded":
        return _for(wallet.id, slot.action_id, ev.ActionSucceeded(action_id=slot.action_id))
    cancelled = slot.attempt.purpose == "cancel"
    reason = "cancelled" if cancelled else f"reverted: {slot.reason}" if slot.reason else "reverted"
    failed = ev.ActionFailed(action_id=slot.action_id, reason=reason, counts=counts and not cancelled)
    events = _for(wallet.id, slot.action_id, failed)
    return events + (_after_error(state, wallet, rules, now_us) if failed.counts else [])


def supersede(
    state: Candidate, now_us: int, *, name: str, nonce: int, by: Hash | None, rules: Rules
) -> list[ev.NewEvent]:
    """The slot's nonce was used from outside: its action has failed, and a new one may be decided at once."""
    wallet = require_wallet(state, name)
    slot = wallet.slot(nonce)
    if not isinstance(slot, Pending):
        raise Refused(f"nonce {nonce} of {name} is not open")
    ended = ev.TransactionSuperseded(action_id=slot.action_id, nonce=nonce, hash=slot.newest.hash, by=by)
    if slot.outcome == "failed":
        return _for(name, slot.action_id, ended)
    failed = ev.ActionFailed(
        action_id=slot.action_id, reason="its nonce was taken from outside", counts=True, retry_us=now_us
    )
    return _for(name, slot.action_id, failed, ended) + _after_error(state, wallet, rules, now_us)


def pause(state: Candidate, actor: str, reason: str, correlation: str = "") -> list[ev.NewEvent]:
    """FleetPaused, unless the fleet is paused already. A pause of the settings gives way to one that outlives them.

    It suspends every running operation, also where the fleet was paused before.
    """
    paused = state.fleet.paused
    if paused is not None and actor == CONFIG_ACTOR:
        return []
    events: list[ev.Event] = [
        ev.OperationSuspended(operation_id=it.id, actor=actor, reason=f"paused by {actor}")
        for it in state.fleet.operations
        if it.running
    ]
    if paused is None or paused.actor == CONFIG_ACTOR:
        events.append(ev.FleetPaused(actor=actor, reason=reason))
    return [ev.NewEvent(ev.FLEET_STREAM, event, correlation) for event in events]


def resume(state: Candidate, actor: str, reason: str, correlation: str = "") -> list[ev.NewEvent]:
    """FleetResumed, unless the fleet is running."""
    if state.fleet.paused is None:
        return []
    return [ev.NewEvent(ev.FLEET_STREAM, ev.FleetResumed(actor=actor, reason=reason), correlation)]


def throttle(state: Candidate, actor: str, factor: float, reason: str, correlation: str = "") -> list[ev.NewEvent]:
    """FleetThrottled, unless that is the pace already."""
    assert MIN_FACTOR <= factor <= FULL_PACE
    if factor == state.fleet.pace:
        return []
    return [ev.NewEvent(ev.FLEET_STREAM, ev.FleetThrottled(actor=actor, factor=factor, reason=reason), correlation)]


def needs_reset(wallet: Wallet) -> bool:
    """Whether a reset would change anything that keeps it from acting: a breaker that is not closed, or a parking."""
    return not wallet.retired and (not isinstance(wallet.breaker, Closed) or wallet.parked_until_wei is not None)


def reset(state: Candidate, names: Iterable[str], actor: str, correlation: str = "") -> list[ev.NewEvent]:
    """BreakerReset for each of these wallets. Raises Refused where there is no such wallet."""
    found = [require_wallet(state, name) for name in names]
    return [ev.NewEvent(ev.wallet_stream(wallet.id), ev.BreakerReset(actor=actor), correlation) for wallet in found]


def drain(state: Candidate, endpoint: str, actor: str, reason: str, correlation: str = "") -> list[ev.NewEvent]:
    """EndpointDrained, unless it is drained already."""
    if endpoint in state.fleet.drained_endpoints:
        return []
    drained = ev.EndpointDrained(endpoint=endpoint, actor=actor, reason=reason)
    return [ev.NewEvent(ev.FLEET_STREAM, drained, correlation)]


def restore(state: Candidate, endpoint: str, actor: str, reason: str, correlation: str = "") -> list[ev.NewEvent]:
    """EndpointRestored, unless it is not drained."""
    if endpoint not in state.fleet.drained_endpoints:
        return []
    restored = ev.EndpointRestored(endpoint=endpoint, actor=actor, reason=reason)
    return [ev.NewEvent(ev.FLEET_STREAM, restored, correlation)]


def at_pace(decided: ev.ActionDecided, state: Candidate) -> ev.ActionDecided:
    """The decision with the factor that is in force as it is recorded."""
    pace = state.fleet.pace
    return decided if decided.throttle == pace else msgspec.structs.replace(decided, throttle=pace)


def _after_error(state: Candidate, wallet: Wallet, rules: Rules, now_us: int) -> list[ev.NewEvent]:
    """Trip the wallet's breaker if that error was one too many, and pause the fleet if that trip was."""
    counted = breakers.after_error(wallet.breaker)
    if not breakers.trips_now(counted, rules.breaker, now_us):
        return []
    errors = counted.errors if not isinstance(counted, Tripped | Probing) else 1
    until_us = now_us + breakers.cooldown_us(wallet.breaker, rules.breaker)
    tripped = _for(wallet.id, "", ev.BreakerTripped(errors=errors, until_us=until_us))
    return tripped + _after_trip(state, wallet.id, rules.fleet, now_us)


def _after_trip(state: Candidate, name: str, policy: FleetPolicy, now_us: int) -> list[ev.NewEvent]:
    since_us = now_us - policy.trip_window_us
    tripped = {wallet for time_us, wallet in state.fleet.trips if time_us >= since_us} | {name}
    wallets = state.wallet_count()
    if not policy.trip_share or len(tripped) < max(2, policy.trip_share * wallets):
        return []
    return pause(state, SERVICE_ACTOR, f"{len(tripped)} of {wallets} wallets tripped their breaker")


def _limited(action_id: str, limit: LimitReached) -> ev.ActionRejected:
    return ev.ActionRejected(action_id=action_id, error_class="limit", reason=limit.reason, limit=limit.limit)


def _for(name: str, correlation: str, *events: ev.Event) -> list[ev.NewEvent]:
    stream = ev.wallet_stream(name)
    return [ev.NewEvent(stream, event, correlation) for event in events]


def for_wallet(name: str, correlation: str, events: Sequence[ev.Event]) -> list[ev.NewEvent]:
    """Events of one wallet that need no decision."""
    return _for(name, correlation, *events)
