"""Commands to the fleet: pause, resume, reset a wallet or all of them, check in, stop."""

import os
import socket

import msgspec
from msgspec.structs import replace
from starlette.responses import Response

from ghostfleet.domain.events import BreakerReset, OperationStarted
from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.errors import BadInput, GhostFleetError
from ghostfleet.http.commands import REASON_BODY, checked_reason, command_of, command_operation, done, read_command_body
from ghostfleet.http.contract import MAX_PAGE_ROWS, Ask, Operation, wallet_parameter
from ghostfleet.http.problems import Problem
from ghostfleet.http.story import read
from ghostfleet.operations.wishes import BadWish, Cancellation
from ghostfleet.store.queries import EventQuery

EVERY_WALLET = "*"
"""The target of a command that is meant for all of them."""
MAX_WALLETS_NAMED = 10_000
"""In one answer; the log has the others, under the command's request id."""


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optional body of a pause. `cancel_open` gives the nonces of open transactions away, so that none of them happens."""

    reason: str = ""
    cancel_open: bool = False


PAUSE_BODY: JsonObject = {
    **REASON_BODY,
    "properties": {**REASON_BODY["properties"], "cancel_open": {"type": "boolean"}},
}


async def pause(ask: Ask) -> Response:
    """No transaction leaves the process once this has answered, whatever the answer; but for the cancelling that it asks for."""
    service = ask.doors.service
    body = read_command_body(ask.body, PauseBody, '{"reason": "...", "cancel_open": false} or nothing')
    command = command_of(ask, "pause", reason=checked_reason(body.reason))
    try:
        obeyed = await service.pause(command)
    except BadInput:
        raise
    except GhostFleetError as problem:
        raise Problem(
            503,
            f"nothing leaves this process any more, but the pause could not be recorded and ends with the process: "
            f"{problem}. Ask again until this answers 200.",
            paused=True,
            headers={"Retry-After": "5"},
        ) from problem
    paused = not obeyed.repeated or service.state.fleet.paused is not None
    open_slots = sum(len(wallet.pending) for wallet in service.state.wallets.values())
    cancelling = await _cancel_open(ask, command, obeyed) if body.cancel_open else {}
    return done(
        ask,
        obeyed,
        status="paused" if paused else "running",
        paused=paused,
        in_flight=service.in_flight(),
        open_slots=open_slots,
        **cancelling,
    )


async def _cancel_open(ask: Ask, command: AdminCommand, obeyed: Obeyed) -> JsonObject:
    """Starts the operation that replaces what is open by empty transfers; its wallets, and nobody else, may send for it.

    A repeated pause starts none where the first did, nor where the fleet was resumed since: what is open then is not what was
    open. Where the first was killed before it came to that, it is started now.
    """
    desk = ask.doors.desk
    if desk is None:
        return {}
    if obeyed.repeated:
        begun = await _operation_of(ask, obeyed)
        if begun or ask.doors.service.state.fleet.paused is None:
            return {"operation": begun}
    try:
        wish = desk.wish(Cancellation())
    except BadWish:
        return {"operation": ""}
    cancel = replace(command, command="operation cancel", idempotency_key="", request_id=obeyed.request_id)
    return {"operation": (await desk.start(cancel, wish)).operation}


async def _operation_of(ask: Ask, obeyed: Obeyed) -> str:
    """What this very command started when it came first; empty when it came to nothing."""
    query = EventQuery(types=(OperationStarted.__name__,), correlation=obeyed.request_id, limit=1)
    found = await read(ask.doors.log, query, 1)
    return found[0].event.operation_id if found and isinstance(found[0].event, OperationStarted) else ""


async def resume(ask: Ask) -> Response:
    """Ends a pause."""
    service = ask.doors.service
    obeyed = await service.resume(command_of(ask, "resume"))
    paused = obeyed.repeated and service.state.fleet.paused is not None
    return done(ask, obeyed, status="paused" if paused else "running", paused=paused)


async def reset(ask: Ask) -> Response:
    """Closes a wallet's breaker and ends its parking."""
    wallet = ask.params["wallet"]
    command = command_of(ask, "reset", target=wallet)
    if wallet not in ask.doors.service.state.wallets:
        raise Problem(404, f"there is no wallet {wallet}; GET /admin/status lists them")
    obeyed = await ask.doors.service.reset(command)
    return done(ask, obeyed, status="reset", wallet=wallet)


async def reset_all(ask: Ask) -> Response:
    """Resets every wallet that needs it, in one commit, and says which: also when asked again under the same key."""
    obeyed = await ask.doors.service.reset_all(command_of(ask, "reset", target=EVERY_WALLET))
    query = EventQuery(types=(BreakerReset.__name__,), correlation=obeyed.request_id, limit=MAX_PAGE_ROWS)
    wallets = [each.wallet for each in await read(ask.doors.log, query, MAX_WALLETS_NAMED)]
    return done(ask, obeyed, status="reset", wallets=wallets)


async def check_in(ask: Ask) -> Response:
    """Somebody is there."""
    obeyed = await ask.doors.service.check_in(command_of(ask, "checkin"))
    return done(ask, obeyed, status="checked in")


async def stop(ask: Ask) -> Response:
    """Ends the process. The answer goes out first: a server that stops lets what it has begun to answer go out."""
    obeyed = await ask.doors.service.stop(command_of(ask, "stop"))
    status = "running" if obeyed.repeated else "stopping"
    return done(ask, obeyed, status=status, pid=os.getpid(), host=socket.gethostname())


OPERATIONS: tuple[Operation, ...] = (
    command_operation(
        "pause", "/admin/pause", "Stop: no transaction leaves once this has answered", pause, body=PAUSE_BODY
    ),
    command_operation("resume", "/admin/resume", "End a pause", resume),
    command_operation(
        "reset",
        "/admin/reset/{wallet}",
        "Close a wallet's circuit breaker, end its parking",
        reset,
        parameters=(wallet_parameter("path"),),
    ),
    command_operation("reset_all", "/admin/reset", "Reset every wallet that is tripped, probing or parked", reset_all),
    command_operation("checkin", "/admin/checkin", "Say that an operator is there", check_in),
    command_operation("stop", "/admin/stop", "End the process, gracefully", stop),
)
