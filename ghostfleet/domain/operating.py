"""What follows from an operator's wish that covers many wallets: start, go on, end, and the errands on the way. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import (
    Refused,
    at_pace,
    for_wallet,
    require_in_force,
    require_running,
    require_settled,
    require_wallet,
)
from ghostfleet.domain.operation import MAX_OPEN_OPERATIONS, Operation, wish_digest
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, JsonObject

OPERATIONS_PLUGIN = "operations"
"""What stands as plugin of a wallet that acts only for operations, and of their own transfers."""


class AlreadyPaid(Exception):
    """The very same funding is done: `operation` is its id. To pay once more it needs another name."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        super().__init__(f"{operation} paid this already")


def funder_id(address: Address) -> str:
    """The name in the log of a wallet that funds others: it follows from its address."""
    return f"funder-{address[:4].hex()}"


def same_wish(operation: Operation, kind: str, wallets: Sequence[str], params: JsonObject) -> bool:
    """Whether this is the open operation asked for once more."""
    return (operation.kind, operation.wallets, operation.params) == (kind, tuple(wallets), params)


def start(
    state: Candidate, now_us: int, *, wish: ev.OperationStarted, correlation: str, funder: Address | None = None
) -> list[ev.NewEvent]:
    """OperationStarted; or, where the same wish is open already, OperationContinued (nothing if it runs).

    `funder` is the address of a wallet that the log may not know yet. Raises Refused where it cannot be now.
    """
    open_ = next((it for it in state.fleet.operations if same_wish(it, wish.kind, wish.wallets, wish.params)), None)
    if open_ is not None and open_.running:
        return []
    digest = wish_digest(wish.kind, wish.params)
    paid = next((operation for known, operation in state.fleet.paid if known == digest), None)
    if open_ is None and paid is not None:
        raise AlreadyPaid(paid)
    for name in wish.wallets:
        _require_free(state, name)
    if open_ is not None:
        continued = ev.OperationContinued(operation_id=open_.id, actor=wish.actor, reason=wish.reason)
        return [ev.NewEvent(ev.FLEET_STREAM, continued, correlation)]
    if len(state.fleet.operations) >= MAX_OPEN_OPERATIONS:
        raise Refused(f"{MAX_OPEN_OPERATIONS} operations are open already: let them end, or abandon one")
    events = _registered(state, wish.wallets[0], funder) if funder is not None else []
    return [*events, ev.NewEvent(ev.FLEET_STREAM, wish, correlation)]


def open_errands(
    state: Candidate,
    now_us: int,
    *,
    name: str,
    operation_id: str,
    errands: Sequence[tuple[ev.ActionDecided, ev.TransactionSigned]],
) -> list[ev.NewEvent]:
    """Decisions and signed bytes of an operation's errands, in one commit. Limits of turns do not apply: an operator asked."""
    require_running(state, name)
    wallet = require_wallet(state, name)
    _require_asked(state, name, operation_id)
    require_settled(wallet)
    nonce = wallet.next_nonce
    events: list[ev.NewEvent] = []
    for decided, signed in errands:
        require_in_force(state, decided)
        if nonce is not None and signed.nonce != nonce:
            raise Refused(f"nonce {signed.nonce} is not the next of {name}: {nonce}")
        nonce = signed.nonce + 1
        events += for_wallet(name, decided.action_id, [at_pace(decided, state), signed])
    return events


def reject_errand(
    state: Candidate, now_us: int, *, name: str, decided: ev.ActionDecided, rejected: ev.ActionRejected
) -> list[ev.NewEvent]:
    """An errand that took no nonce: the node says it would fail."""
    require_running(state, name)
    _require_asked(state, name, decided.operation)
    require_in_force(state, decided)
    return for_wallet(name, decided.action_id, [at_pace(decided, state), rejected])


def wallet_done(
    state: Candidate, now_us: int, *, name: str, operation_id: str, results: Mapping[str, JsonObject]
) -> list[ev.NewEvent]:
    """Nothing more is asked of this wallet; it retires where the operation says so. `results` has its line of the final table,
    and those of the wallets it paid."""
    operation = _require_asked(state, name, operation_id)
    assert name in results
    events = [
        ev.NewEvent(
            ev.FLEET_STREAM,
            ev.OperationWalletDone(operation_id=operation_id, wallet=wallet, result=result),
            operation_id,
        )
        for wallet, result in results.items()
    ]
    wallet = state.wallet(name)
    if operation.params.get("retire") and wallet is not None and not wallet.retired:
        events += for_wallet(name, operation_id, [ev.WalletRetired(reason=f"emptied by {operation_id}")])
    return events


def suspend(state: Candidate, now_us: int, *, operation_id: str, actor: str, reason: str) -> list[ev.NewEvent]:
    """OperationSuspended, unless it is suspended already or over."""
    operation = state.fleet.operation(operation_id)
    if operation is None or not operation.running:
        return []
    suspended = ev.OperationSuspended(operation_id=operation_id, actor=actor, reason=reason)
    return [ev.NewEvent(ev.FLEET_STREAM, suspended, operation_id)]


def finish(
    state: Candidate,
    now_us: int,
    *,
    operation_id: str,
    outcome: Literal["done", "abandoned"],
    actor: str,
    summary: JsonObject,
) -> list[ev.NewEvent]:
    """The end of an operation. Raises Refused when it is not open."""
    operation = state.fleet.operation(operation_id)
    if operation is None:
        raise Refused(f"no open operation {operation_id}")
    finished = ev.OperationFinished(operation_id=operation_id, outcome=outcome, actor=actor, summary=summary)
    return [ev.NewEvent(ev.FLEET_STREAM, finished, operation_id)]


def still_to_cancel(state: Candidate, operation: Operation) -> bool:
    """Whether anything is open of what a cancel was asked for: what its plan names, or, without one, what was signed before."""
    for name in operation.left:
        wallet = state.wallet(name)
        if wallet is None:
            continue
        plan = operation.plans.get(name)
        named = None if plan is None else {slot["action_id"] for slot in plan.get("open_slots", ())}
        for slot in wallet.pending:
            if slot.action_id in named if named is not None else slot.attempts[0].signed_us <= operation.since_us:
                return True
    return False


def end_cancel(
    state: Candidate,
    now_us: int,
    *,
    operation_id: str,
    actor: str,
    results: Mapping[str, JsonObject],
    summary: JsonObject,
) -> list[ev.NewEvent]:
    """The end of a suspended cancel of which nothing is open any more: nobody has to continue it for that. `results` are the
    lines of the wallets that it was not done with. Raises Refused where it has gone on, or something is open."""
    operation = state.fleet.operation(operation_id)
    if operation is None or operation.running or still_to_cancel(state, operation):
        raise Refused(f"{operation_id} is over, goes on, or has something open")
    lines = [
        ev.OperationWalletDone(operation_id=operation_id, wallet=name, result=result)
        for name, result in results.items()
        if name not in operation.done
    ]
    finished = ev.OperationFinished(operation_id=operation_id, outcome="done", actor=actor, summary=summary)
    return [ev.NewEvent(ev.FLEET_STREAM, event, operation_id) for event in (*lines, finished)]


def _require_free(state: Candidate, name: str) -> None:
    operation = state.fleet.operation_of(name)
    if operation is not None:
        raise Refused(f"{name} does the errands of {operation.id}: let that end, pause it, or abandon it")


def _require_asked(state: Candidate, name: str, operation_id: str) -> Operation:
    operation = state.fleet.operation_of(name)
    if operation is None or operation.id != operation_id:
        raise Refused(f"{operation_id} asks nothing of {name} any more")
    return operation


def _registered(state: Candidate, name: str, address: Address) -> list[ev.NewEvent]:
    """A wallet that acts for operations only: known to the log, and retired from turns of its own at once."""
    if state.wallet(name) is not None:
        return []
    registered = ev.WalletRegistered(
        address=address, profile=OPERATIONS_PLUGIN, plugin=OPERATIONS_PLUGIN, first_turn_us=0
    )
    return for_wallet(name, "", [registered, ev.WalletRetired(reason="acts for operations only")])
