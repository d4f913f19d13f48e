"""What is known of one wallet, and how each event changes it. Pure; dispatch by event type."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Breaker, Closed, Probing, after_error, trip
from ghostfleet.domain.limits import NOTHING, PER_DAY, PER_HOUR, Spending, Window
from ghostfleet.domain.slot import Attempt, Included, Outcome, Pending, Slot
from ghostfleet.domain.values import Address


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Lifetime counts, for status and metrics."""

    succeeded: int = 0
    failed: int = 0
    rejected: int = 0


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of one wallet's stream.

    `slots` are ordered by nonce: open ones and those whose block is not final yet. `next_nonce` is the first nonce that no
    slot of ours has taken, None before the first; it moves only when a slot is opened or the chain is found ahead.
    """

    id: str
    address: Address
    profile: str
    plugin: str
    retired: bool = False
    version: int = 0
    decisions: int = 0
    previous_kind: str = ""
    deciding: ev.ActionDecided | None = None
    next_turn_us: int = 0
    """When the next turn comes at full pace (`throttle.due_us` has it at the present one)."""
    scheduled_us: int = 0
    """When that was said."""
    rest: str = ""
    next_nonce: int | None = None
    slots: tuple[Slot, ...] = ()
    breaker: Breaker = Closed()
    parked_until_wei: int | None = None
    actions: Window = PER_HOUR
    gas_spent: Window = PER_DAY
    value_spent: Window = PER_DAY
    tokens_spent: Window = PER_DAY
    balance_wei: int | None = None
    last_error: str = ""
    totals: Totals = Totals()

    @property
    def pending(self) -> tuple[Pending, ...]:
        """The open slots, lowest nonce first."""
        return tuple([slot for slot in self.slots if type(slot) is Pending])

    @property
    def included(self) -> tuple[Included, ...]:
        """The slots whose block may still be replaced."""
        return tuple([slot for slot in self.slots if type(slot) is Included])

    @property
    def at_worst(self) -> Spending:
        """What its slots may still spend."""
        return sum([slot.at_worst for slot in self.slots], NOTHING)

    def slot(self, nonce: int) -> Slot | None:
        """The slot that holds this nonce, if it is open or not final."""
        for slot in self.slots:
            if slot.nonce == nonce:
                return slot
        return None


class BrokenFold(Exception):
    """An event does not fit the state it is applied to: a defect, caught before anything is written."""


def evolve(wallet: Wallet | None, recorded: ev.Recorded) -> Wallet:
    """The wallet after one more event of its stream."""
    event = recorded.event
    if wallet is None:
        if not isinstance(event, ev.WalletRegistered):
            raise BrokenFold(
                f"position {recorded.position}: {type(event).__name__} before WalletRegistered in {recorded.stream}"
            )
        wallet = Wallet(id=recorded.wallet or "", address=event.address, profile=event.profile, plugin=event.plugin)
    handler = HANDLERS.get(type(event))
    if handler is None:
        raise BrokenFold(f"position {recorded.position}: {type(event).__name__} has no place in a wallet's stream")
    return replace(handler(wallet, event, recorded.time_us), version=recorded.version)


def _registered(wallet: Wallet, event: ev.WalletRegistered, now_us: int) -> Wallet:
    wallet = replace(wallet, address=event.address, profile=event.profile, plugin=event.plugin, retired=False)
    if event.first_turn_us < wallet.next_turn_us:
        return wallet
    return replace(wallet, next_turn_us=event.first_turn_us, scheduled_us=now_us)


def _retired(wallet: Wallet, event: ev.WalletRetired, now_us: int) -> Wallet:
    return replace(wallet, retired=True, rest=event.reason)


def _rested(wallet: Wallet, event: ev.WalletRested, now_us: int) -> Wallet:
    return replace(wallet, next_turn_us=event.until_us, scheduled_us=now_us, rest=event.reason)


def _decided(wallet: Wallet, event: ev.ActionDecided, now_us: int) -> Wallet:
    if event.action_id != f"{wallet.id}/{wallet.decisions + 1}":
        raise BrokenFold(f"{event.action_id} is not the next decision after {wallet.id}/{wallet.decisions}")
    return replace(
        wallet,
        decisions=wallet.decisions + 1,
        deciding=event,
        previous_kind=event.kind,
        next_turn_us=event.next_turn_us,
        scheduled_us=wallet.scheduled_us if event.next_turn_us == wallet.next_turn_us else now_us,
        rest="",
        balance_wei=event.balance_wei,
    )


def _rejected(wallet: Wallet, event: ev.ActionRejected, now_us: int) -> Wallet:
    return replace(
        wallet,
        deciding=None,
        breaker=after_error(wallet.breaker) if event.counts else wallet.breaker,
        last_error=event.reason,
        totals=replace(wallet.totals, rejected=wallet.totals.rejected + 1),
    )


def _signed(wallet: Wallet, event: ev.TransactionSigned, now_us: int) -> Wallet:
    if event.attempt > 1:
        slot = _pending_slot(wallet, event.nonce, event.action_id)
        if event.attempt != slot.newest.number + 1:
            raise BrokenFold(f"attempt {event.attempt} at nonce {event.nonce} follows attempt {slot.newest.number}")
        return _with_slot(wallet, replace(slot, attempts=(*slot.attempts, _attempt_of(wallet, event, now_us))))
    deciding = wallet.deciding
    if deciding is None or deciding.action_id != event.action_id:
        raise BrokenFold(f"{event.action_id} is signed without having been decided")
    if wallet.slot(event.nonce) is not None:
        raise BrokenFold(f"nonce {event.nonce} of {wallet.id} already has a slot")
    slot = Pending(
        action_id=event.action_id,
        kind=deciding.kind,
        nonce=event.nonce,
        spend_wei=deciding.spend_wei,
        operation=deciding.operation,
        attempts=(_attempt_of(wallet, event, now_us),),
    )
    return replace(
        wallet,
        deciding=None,
        slots=tuple(sorted((*wallet.slots, slot), key=_by_nonce)),
        next_nonce=max(event.nonce + 1, wallet.next_nonce or 0),
        actions=wallet.actions.add(now_us, 1),
    )


def _attempt_of(wallet: Wallet, event: ev.TransactionSigned, now_us: int) -> Attempt:
    return Attempt(
        number=event.attempt,
        purpose=event.purpose,
        hash=event.hash,
        raw=event.raw,
        gas=event.gas,
        fees=event.fees,
        signed_us=now_us,
        value_wei=event.value_wei if event.to != wallet.address else 0,
    )


def _accepted(wallet: Wallet, event: ev.BroadcastAccepted, now_us: int) -> Wallet:
    slot = _pending_slot(wallet, event.nonce, event.action_id)
    return _with_slot(wallet, replace(slot, accepted=event.hash, accepted_by=event.endpoint))


def _broadcast_failed(wallet: Wallet, event: ev.BroadcastFailed, now_us: int) -> Wallet:
    _pending_slot(wallet, event.nonce, event.action_id)
    return replace(wallet, last_error=f"{event.error_class}: {event.message}")


def _mined(wallet: Wallet, event: ev.TransactionMined, now_us: int) -> Wallet:
    slot = _pending_slot(wallet, event.nonce, event.action_id)
    attempt = _attempt(slot, event.hash)
    included = Included(
        pending=slot, attempt=attempt, block=event.block, success=event.success, reason=event.revert_reason
    )
    cost_wei = event.gas_used * event.gas_price_wei
    return replace(
        _with_slot(wallet, included),
        gas_spent=wallet.gas_spent.add(now_us, cost_wei),
        value_spent=wallet.value_spent.add(now_us, included.moved_wei) if included.moved_wei else wallet.value_spent,
        parked_until_wei=None,
    )


def _final(wallet: Wallet, event: ev.TransactionFinal, now_us: int) -> Wallet:
    slot = _included_slot(wallet, event.nonce, event.hash)
    if not slot.settled:
        raise BrokenFold(f"nonce {event.nonce} of {wallet.id} is final before its action has an outcome")
    return _without_slot(wallet, event.nonce)


def _reorged(wallet: Wallet, event: ev.TransactionReorged, now_us: int) -> Wallet:
    slot = _included_slot(wallet, event.nonce, event.hash)
    return _with_slot(wallet, replace(slot.pending, accepted=None))


def _dropped(wallet: Wallet, event: ev.TransactionDropped, now_us: int) -> Wallet:
    slot = _pending_slot(wallet, event.nonce, event.action_id)
    return _with_slot(wallet, replace(slot, accepted=None))


def _superseded(wallet: Wallet, event: ev.TransactionSuperseded, now_us: int) -> Wallet:
    _pending_slot(wallet, event.nonce, event.action_id)
    return _without_slot(wallet, event.nonce)


def _outside_seen(wallet: Wallet, event: ev.OutsideTransactionSeen, now_us: int) -> Wallet:
    return wallet


def _resynced(wallet: Wallet, event: ev.NonceResynced, now_us: int) -> Wallet:
    if event.to_nonce <= (wallet.next_nonce or 0) and wallet.next_nonce is not None:
        raise BrokenFold(f"nonce of {wallet.id} would go back from {wallet.next_nonce} to {event.to_nonce}")
    return replace(wallet, next_nonce=event.to_nonce)


def _succeeded(wallet: Wallet, event: ev.ActionSucceeded, now_us: int) -> Wallet:
    slot = _slot_of(wallet, event.action_id)
    spend_wei = _pending_of(slot).counted_tokens
    wallet = _with_outcome(wallet, slot, "succeeded")
    return replace(
        wallet,
        breaker=Closed(),
        tokens_spent=wallet.tokens_spent.add(now_us, spend_wei) if spend_wei else wallet.tokens_spent,
    )


def _failed(wallet: Wallet, event: ev.ActionFailed, now_us: int) -> Wallet:
    wallet = _with_outcome(wallet, _slot_of(wallet, event.action_id), "failed")
    if event.retry_us is not None and event.retry_us < wallet.next_turn_us:
        wallet = replace(wallet, next_turn_us=event.retry_us, scheduled_us=now_us)
    return replace(
        wallet,
        breaker=after_error(wallet.breaker) if event.counts else wallet.breaker,
        last_error=event.reason,
    )


def _error(wallet: Wallet, event: ev.ErrorRecorded, now_us: int) -> Wallet:
    breaker = after_error(wallet.breaker) if event.counts else wallet.breaker
    return replace(wallet, breaker=breaker, last_error=f"{event.error_class}: {event.message}")


def _parked(wallet: Wallet, event: ev.WalletParked, now_us: int) -> Wallet:
    return replace(wallet, parked_until_wei=event.need_wei, balance_wei=event.balance_wei)


def _unparked(wallet: Wallet, event: ev.WalletUnparked, now_us: int) -> Wallet:
    return replace(wallet, parked_until_wei=None, balance_wei=event.balance_wei)


def _tripped(wallet: Wallet, event: ev.BreakerTripped, now_us: int) -> Wallet:
    return replace(wallet, breaker=trip(wallet.breaker, event.until_us))


def _probing(wallet: Wallet, event: ev.BreakerProbing, now_us: int) -> Wallet:
    if isinstance(wallet.breaker, Closed):
        raise BrokenFold(f"the breaker of {wallet.id} is closed and cannot probe")
    return replace(wallet, breaker=Probing(wallet.breaker.trips))


def _reset(wallet: Wallet, event: ev.BreakerReset, now_us: int) -> Wallet:
    return replace(
        wallet,
        breaker=Closed(),
        parked_until_wei=None,
        next_turn_us=min(wallet.next_turn_us, now_us),
        scheduled_us=now_us,
        rest="",
    )


def _balance(wallet: Wallet, event: ev.BalanceObserved, now_us: int) -> Wallet:
    return replace(wallet, balance_wei=event.balance_wei)


def _spending_carried_over(wallet: Wallet, event: ev.SpendingCarriedOver, now_us: int) -> Wallet:
    return replace(
        wallet,
        actions=wallet.actions.at_least(event.actions),
        gas_spent=wallet.gas_spent.at_least(event.gas_wei),
        value_spent=wallet.value_spent.at_least(event.value_wei),
        tokens_spent=wallet.tokens_spent.at_least(event.tokens),
    )


def _by_nonce(slot: Slot) -> int:
    return slot.nonce


def _pending_slot(wallet: Wallet, nonce: int, action_id: str) -> Pending:
    slot = wallet.slot(nonce)
    if not isinstance(slot, Pending) or slot.action_id != action_id:
        raise BrokenFold(f"{wallet.id} has no open slot at nonce {nonce} for {action_id}")
    return slot


def _included_slot(wallet: Wallet, nonce: int, tx: bytes) -> Included:
    slot = wallet.slot(nonce)
    if not isinstance(slot, Included) or slot.attempt.hash != tx:
        raise BrokenFold(f"{wallet.id} has no included transaction 0x{tx.hex()} at nonce {nonce}")
    return slot


def _slot_of(wallet: Wallet, action_id: str) -> Slot:
    for slot in wallet.slots:
        if slot.action_id == action_id:
            return slot
    raise BrokenFold(f"{action_id} has no slot, so no outcome either")


def _pending_of(slot: Slot) -> Pending:
    return slot.pending if isinstance(slot, Included) else slot


def _with_outcome(wallet: Wallet, slot: Slot, outcome: Outcome) -> Wallet:
    """The action's outcome, counted once however often a reorganisation takes it back."""
    before = _pending_of(slot).outcome
    if before == outcome:
        raise BrokenFold(f"{slot.action_id} has {outcome} already")
    pending = replace(_pending_of(slot), outcome=outcome)
    settled: Slot = replace(slot, pending=pending) if isinstance(slot, Included) else pending
    totals = wallet.totals
    succeeded = totals.succeeded + (outcome == "succeeded") - (before == "succeeded")
    failed = totals.failed + (outcome == "failed") - (before == "failed")
    return replace(_with_slot(wallet, settled), totals=replace(totals, succeeded=succeeded, failed=failed))


def _attempt(slot: Pending, tx: bytes) -> Attempt:
    for attempt in slot.attempts:
        if attempt.hash == tx:
            return attempt
    raise BrokenFold(f"0x{tx.hex()} is no attempt of {slot.action_id}")


def _with_slot(wallet: Wallet, slot: Slot) -> Wallet:
    return replace(wallet, slots=tuple([slot if old.nonce == slot.nonce else old for old in wallet.slots]))


def _without_slot(wallet: Wallet, nonce: int) -> Wallet:
    return replace(wallet, slots=tuple([slot for slot in wallet.slots if slot.nonce != nonce]))


def _unknown(wallet: Wallet, event: ev.UnknownEvent, now_us: int) -> Wallet:
    return wallet


HANDLERS: dict[type[ev.Event], Callable[[Wallet, Any, int], Wallet]] = {
    ev.WalletRegistered: _registered,
    ev.WalletRetired: _retired,
    ev.WalletRested: _rested,
    ev.ActionDecided: _decided,
    ev.ActionRejected: _rejected,
    ev.ActionSucceeded: _succeeded,
    ev.ActionFailed: _failed,
    ev.TransactionSigned: _signed,
    ev.BroadcastAccepted: _accepted,
    ev.BroadcastFailed: _broadcast_failed,
    ev.TransactionMined: _mined,
    ev.TransactionFinal: _final,
    ev.TransactionReorged: _reorged,
    ev.TransactionDropped: _dropped,
    ev.TransactionSuperseded: _superseded,
    ev.OutsideTransactionSeen: _outside_seen,
    ev.NonceResynced: _resynced,
    ev.ErrorRecorded: _error,
    ev.WalletParked: _parked,
    ev.WalletUnparked: _unparked,
    ev.BreakerTripped: _tripped,
    ev.BreakerProbing: _probing,
    ev.BreakerReset: _reset,
    ev.BalanceObserved: _balance,
    ev.SpendingCarriedOver: _spending_carried_over,
    ev.UnknownEvent: _unknown,
}
"""Every event type that may stand in a wallet's stream, and what it changes."""
