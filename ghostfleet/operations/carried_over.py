"""What of the log that a restore replaces has to hold in the restored one as well? What protects, and nothing else.

The pause, ended tokens, lock-outs, a slower pace, drained endpoints, what limits have counted. What the replaced log allowed
since the backup (a resume, a new token) is not taken over. Pure.
"""

from collections.abc import Iterator, Sequence

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import RESTORE_ACTOR
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.limits import BUCKETS_PER_WINDOW, NOTHING, Spending, Window
from ghostfleet.domain.state import State
from ghostfleet.domain.wallet import Wallet
from ghostfleet.telemetry.moments import iso

UNREADABLE = (
    "what it had since the backup is not known, and may be missing here: a pause, ended tokens (`ghost-fleet admin token"
    " revoke` ends one again), lock-outs, a slower pace, drained endpoints, operations, what was spent of today's limits"
)
Buckets = tuple[tuple[int, int], ...]


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """What the log that is replaced tells. `state` is None where it cannot be folded; `doubt` says why it is not to be
    relied on, empty where it verifies."""

    state: State | None
    doubt: str = ""
    lockouts: tuple[ev.AdminLockedOut, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """Something that is carried over: its events, and what the operator is told."""

    events: tuple[ev.NewEvent, ...]
    words: str


def carried_over(replaced: Replaced, backup: State, name: str, now_us: int) -> list[Told]:
    """What the restored log begins with, after LogRestored. `name` is that of the backup file."""
    there = replaced.state
    told = [*_pause(replaced, backup.fleet, name)]
    told += _operations(backup.fleet)
    if there is not None:
        told += _tokens(there.fleet, backup.fleet)
        told += _lockouts(replaced.lockouts, now_us)
        told += _pace(there.fleet, backup.fleet)
        told += _endpoints(there.fleet, backup.fleet)
        told += _spending(there, backup, now_us)
    return told


def not_taken_over(replaced: Replaced, backup: State) -> list[str]:
    """What an operator may want to do again, in words: the restored log does not know it."""
    said = [f"the replaced log cannot be relied on ({replaced.doubt}): {UNREADABLE}"] if replaced.doubt else []
    there = replaced.state
    if there is None:
        return said
    known = {(token.name, token.sha256) for token in backup.fleet.operators.tokens}
    made = [it.name for it in there.fleet.operators.tokens if (it.name, it.sha256) not in known]
    if made:
        said.append(f"tokens made since the backup open nothing any more, make them anew: {', '.join(made)}")
    started = there.fleet.operations_started - backup.fleet.operations_started
    if started > 0:
        said.append(
            f"{started} operations since the backup are not in the restored log: a `fund` that was paid since would be paid"
            " again, look at the balances first"
        )
    return said


def _pause(replaced: Replaced, fleet: Fleet, name: str) -> Iterator[Told]:
    there = replaced.state.fleet.paused if replaced.state is not None else None
    if fleet.paused is not None:
        yield Told(
            (), f"the fleet is paused, as it was in the backup (by {fleet.paused.actor}): `ghost-fleet resume` ends it"
        )
        return
    if there is not None and there.actor == RESTORE_ACTOR:
        why = there.reason
    elif there is not None:
        because = f": {there.reason}" if there.reason else ""
        why = f"restored from {name}; the replaced log was paused by {there.actor} at {iso(there.since_us)}{because}"
    elif replaced.doubt:
        why = f"restored from {name}; whether the replaced log was paused is not known: {replaced.doubt}"
    else:
        return
    paused = ev.FleetPaused(actor=RESTORE_ACTOR, reason=why)
    yield Told(_in_fleet(paused), f"the fleet is paused ({why}): `ghost-fleet resume` ends it")


def _operations(fleet: Fleet) -> Iterator[Told]:
    """What was done for one since the backup is not in the log: an operator looks before it goes on. One that was suspended then
    may have gone on and ended since, so it says the same."""
    why = "restored from a backup: what was done since is not in the log"
    open_ = fleet.operations
    if open_:
        suspended = [ev.OperationSuspended(operation_id=it.id, actor=RESTORE_ACTOR, reason=why) for it in open_]
        named = ", ".join(it.id for it in open_)
        yield Told(
            _in_fleet(*suspended),
            f"operations were open in the backup and are suspended: {named}. Look at the balances, then ask for the same"
            " again, or `ghost-fleet operations abandon` it",
        )


def _tokens(there: Fleet, fleet: Fleet) -> Iterator[Told]:
    valid = {(token.name, token.sha256) for token in there.operators.tokens}
    ended = [it.name for it in fleet.operators.tokens if (it.name, it.sha256) not in valid]
    if ended:
        revoked = [ev.AdminTokenRevoked(name=it, actor=RESTORE_ACTOR) for it in ended]
        yield Told(_in_fleet(*revoked), f"tokens that the replaced log had ended stay ended: {', '.join(ended)}")


def _lockouts(lockouts: Sequence[ev.AdminLockedOut], now_us: int) -> Iterator[Told]:
    still = [it for it in lockouts if it.until_us > now_us]
    if still:
        yield Told(_in_fleet(*still), f"lock-outs are noted: {', '.join(sorted({it.remote for it in still}))}")


def _pace(there: Fleet, fleet: Fleet) -> Iterator[Told]:
    if there.pace < fleet.pace:
        why = "as in the log that a restore replaced"
        throttled = ev.FleetThrottled(actor=RESTORE_ACTOR, factor=there.pace, reason=why)
        yield Told(_in_fleet(throttled), f"the pace stays {there.pace:g}: `ghost-fleet throttle 1.0` ends it")


def _endpoints(there: Fleet, fleet: Fleet) -> Iterator[Told]:
    drained = [it for it in there.drained_endpoints if it not in fleet.drained_endpoints]
    if drained:
        why = "as in the log that a restore replaced"
        events = [ev.EndpointDrained(endpoint=it, actor=RESTORE_ACTOR, reason=why) for it in drained]
        yield Told(_in_fleet(*events), f"endpoints stay drained: {', '.join(drained)}")


def _in_fleet(*events: ev.Event) -> tuple[ev.NewEvent, ...]:
    return tuple(ev.NewEvent(ev.FLEET_STREAM, event) for event in events)


# --- what limits have counted -----------------------------------------------------------------------------------------


def _spending(there: State, backup: State, now_us: int) -> Iterator[Told]:
    events: list[ev.NewEvent] = []
    unknown = NOTHING
    for name, wallet in there.wallets.items():
        known = backup.wallets.get(name)
        open_here = _unknown_at_worst(wallet, known)
        unknown += open_here
        spent = ev.SpendingCarriedOver(
            actions=_more(wallet.actions, known.actions if known else None, 0, now_us),
            gas_wei=_more(wallet.gas_spent, known.gas_spent if known else None, open_here.gas_wei, now_us),
            value_wei=_more(wallet.value_spent, known.value_spent if known else None, open_here.value_wei, now_us),
            tokens=_more(wallet.tokens_spent, known.tokens_spent if known else None, open_here.tokens, now_us),
        )
        if spent != ev.SpendingCarriedOver():
            stream = ev.wallet_stream(name)
            events += [] if known else [ev.NewEvent(stream, _as_registered(wallet))]
            events.append(ev.NewEvent(stream, spent))
    ledger, before = there.fleet.ledger, backup.fleet.ledger
    fleet = ev.FleetSpendingCarriedOver(
        gas_wei=_more(ledger.gas, before.gas, unknown.gas_wei, now_us),
        value_wei=_more(ledger.value, before.value, unknown.value_wei, now_us),
        tokens=_more(ledger.tokens, before.tokens, unknown.tokens, now_us),
    )
    if fleet != ev.FleetSpendingCarriedOver():
        events.insert(0, ev.NewEvent(ev.FLEET_STREAM, fleet))
    if events:
        yield Told(tuple(events), "what was spent since the backup counts towards the limits of the day and hour")


def _more(window: Window, before: Window | None, open_now: int, now_us: int) -> Buckets:
    """The window's buckets that still count, where they are more than the backup has. What is open counts as spent now."""
    if open_now:
        window = window.add(now_us, open_now)
    oldest = now_us // (window.span_us // BUCKETS_PER_WINDOW) - BUCKETS_PER_WINDOW
    had = dict(before.buckets) if before is not None else {}
    return tuple(
        (number, amount) for number, amount in window.buckets if number >= oldest and amount > had.get(number, 0)
    )


def _unknown_at_worst(wallet: Wallet, known: Wallet | None) -> Spending:
    """What open transactions may spend that the backup does not know: the restored log finds only their nonces used."""
    slots = [it for it in wallet.slots if known is None or known.slot(it.nonce) is None]
    return sum([it.at_worst for it in slots], NOTHING)


def _as_registered(wallet: Wallet) -> ev.WalletRegistered:
    """The backup does not know this wallet yet; what it spent needs it. A start retires it where the settings do not name it."""
    return ev.WalletRegistered(
        address=wallet.address, profile=wallet.profile, plugin=wallet.plugin, first_turn_us=wallet.next_turn_us
    )
