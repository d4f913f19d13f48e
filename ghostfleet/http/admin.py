"""Commands and status: pause, resume, reset a wallet, and how everything is."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.responses import Response

from ghostfleet.domain.breaker import Closed, Tripped
from ghostfleet.domain.events import Recorded
from ghostfleet.domain.values import JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.errors import GhostFleetError
from ghostfleet.http.contract import Answer, Ask, Operation, Parameter, wallet_parameter
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.telemetry.metrics import WALLET_STATES, wallet_state
from ghostfleet.telemetry.moments import iso

MAX_REASON_CHARS = 500
MAX_WALLETS_LISTED = 10_000
"""In one status; the counts are of all. `?state=tripped` lists those that matter."""

Command = Callable[[AdminCommand], Awaitable[Recorded]]


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optional body of a command."""

    reason: str = ""


def read_reason(body: bytes) -> str:
    """The reason in a command's body; an empty body has none. Raises Problem."""
    if not body.strip():
        return ""
    try:
        why = msgspec.json.decode(body, type=Why)
        why.reason.encode()
    except msgspec.ValidationError as problem:
        raise Problem(422, f'the body does not fit: {problem}; expected {{"reason": "..."}} or nothing') from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Problem(400, 'the body is not JSON; expected {"reason": "..."} or nothing') from None
    if len(why.reason) > MAX_REASON_CHARS:
        raise Problem(422, f"the reason is longer than {MAX_REASON_CHARS} characters")
    return why.reason


def command_of(ask: Ask, name: str, target: str = "") -> AdminCommand:
    """What was asked, as the log will have it."""
    return AdminCommand(
        command=name,
        actor=ask.caller.actor,
        remote=ask.remote,
        request_id=ask.request_id,
        target=target,
        reason=read_reason(ask.body),
    )


def _done(ask: Ask, recorded: Recorded, **members: object) -> Response:
    return json_response(
        {
            **members,
            "actor": ask.caller.actor,
            "request_id": ask.request_id,
            "position": recorded.position,
            "time": iso(recorded.time_us),
        }
    )


async def pause(ask: Ask) -> Response:
    """No transaction leaves the process once this has answered, whatever the answer."""
    try:
        recorded = await ask.doors.service.pause(command_of(ask, "pause"))
    except GhostFleetError as problem:
        raise Problem(
            503,
            f"nothing leaves this process any more, but the pause could not be recorded and ends with the process: "
            f"{problem}. Ask again until this answers 200.",
            paused=True,
            headers={"Retry-After": "5"},
        ) from problem
    return _done(ask, recorded, status="paused", paused=True)


async def resume(ask: Ask) -> Response:
    """Ends a pause."""
    recorded = await ask.doors.service.resume(command_of(ask, "resume"))
    return _done(ask, recorded, status="running", paused=False)


async def reset(ask: Ask) -> Response:
    """Closes a wallet's breaker and ends its parking."""
    wallet = ask.params["wallet"]
    command = command_of(ask, "reset", target=wallet)
    if wallet not in ask.doors.service.state.wallets:
        raise Problem(404, f"there is no wallet {wallet}; GET /admin/status lists them")
    recorded = await ask.doors.service.reset(command)
    return _done(ask, recorded, status="reset", wallet=wallet)


async def status(ask: Ask) -> Response:
    """How everything is, now."""
    service = ask.doors.service
    state, fleet = service.state, service.state.fleet
    counts = dict.fromkeys(WALLET_STATES, 0)
    open_slots = 0
    for wallet in state.wallets.values():
        counts[wallet_state(wallet)] += 1
        open_slots += len(wallet.pending)
    wanted = ask.params["state"]
    chosen = [wallet for wallet in state.wallets.values() if wanted is None or wallet_state(wallet) == wanted]
    pause = fleet.paused
    return json_response(
        {
            "paused": pause is not None,
            "pause": pause and {"actor": pause.actor, "reason": pause.reason, "since": iso(pause.since_us)},
            "dry_run": service.dry_run,
            "release": fleet.release,
            "config_digest": fleet.config_digest,
            "chain_id": fleet.chain_id,
            "uptime_secs": int(service.uptime_secs),
            "ready": all(check.ok for check in service.checks()),
            "log": {"position": state.position},
            "open_slots": open_slots,
            "wallet_counts": counts,
            "wallets": [wallet_status(wallet) for wallet in chosen[:MAX_WALLETS_LISTED]],
            "wallets_left_out": max(0, len(chosen) - MAX_WALLETS_LISTED),
            "endpoints": list(service.endpoints()),
        }
    )


def wallet_status(wallet: Wallet) -> JsonObject:
    """A wallet for operators. Amounts in wei are texts: JSON readers round large numbers."""
    breaker = wallet.breaker
    return {
        "id": wallet.id,
        "address": wallet.address,
        "profile": wallet.profile,
        "plugin": wallet.plugin,
        "state": wallet_state(wallet),
        "breaker": {
            "state": type(breaker).__name__.lower(),
            "errors": breaker.errors if isinstance(breaker, Closed) else None,
            "until": iso(breaker.until_us) if isinstance(breaker, Tripped) else None,
        },
        "balance_wei": None if wallet.balance_wei is None else str(wallet.balance_wei),
        "needs_wei": None if wallet.parked_until_wei is None else str(wallet.parked_until_wei),
        "next_turn": iso(wallet.next_turn_us),
        "next_nonce": wallet.next_nonce,
        "open_slots": [
            {
                "nonce": slot.nonce,
                "action_id": slot.action_id,
                "attempts": len(slot.attempts),
                "hash": slot.newest.hash,
                "accepted_by": slot.accepted_by,
            }
            for slot in wallet.pending
        ],
        "actions": {
            "decided": wallet.decisions,
            "succeeded": wallet.totals.succeeded,
            "failed": wallet.totals.failed,
            "rejected": wallet.totals.rejected,
        },
        "rest": wallet.rest,
        "last_error": wallet.last_error,
    }


def _one_of_states(text: str) -> str:
    if text not in WALLET_STATES:
        raise ValueError(f"expected one of {', '.join(WALLET_STATES)}")
    return text


REASON_BODY: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"reason": {"type": "string", "maxLength": MAX_REASON_CHARS}},
}
_COMMANDED: JsonObject = {
    "type": "object",
    "required": ["status", "actor", "request_id", "position", "time"],
    "properties": {
        "status": {"type": "string"},
        "paused": {"type": "boolean"},
        "wallet": {"type": "string"},
        "actor": {"type": "string"},
        "request_id": {"type": "string"},
        "position": {"type": "integer"},
        "time": {"type": "string"},
    },
}
_STATUS: JsonObject = {
    "type": "object",
    "required": ["paused", "pause", "ready", "log", "open_slots", "wallet_counts", "wallets", "endpoints"],
    "properties": {
        "paused": {"type": "boolean"},
        "pause": {"type": ["object", "null"]},
        "dry_run": {"type": "boolean"},
        "ready": {"type": "boolean"},
        "log": {"type": "object", "required": ["position"]},
        "open_slots": {"type": "integer"},
        "wallet_counts": {"type": "object"},
        "wallets": {"type": "array", "items": {"type": "object", "required": ["id", "address", "state"]}},
        "endpoints": {"type": "array", "items": {"type": "object"}},
    },
}


def _command(name: str, path: str, text: str, respond: Callable[[Ask], Awaitable[Response]]) -> Operation:
    targets: tuple[Parameter, ...] = (wallet_parameter("path"),) if "{wallet}" in path else ()
    return Operation(
        method="POST",
        path=path,
        name=name,
        summary=text,
        needs="operator",
        respond=respond,
        answers={200: Answer(text="Done, and durably recorded.", schema=_COMMANDED)},
        problems=(404, 408, 409, 413, 422, 503) if targets else (408, 409, 413, 422, 503),
        parameters=targets,
        body=REASON_BODY,
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/admin/status",
        name="status",
        summary="Pause, wallets, breakers, slots, endpoints, head of the log",
        needs="viewer",
        respond=status,
        answers={200: Answer(text="How everything is.", schema=_STATUS)},
        parameters=(
            Parameter(
                name="state",
                text="Only wallets in this state.",
                schema={"enum": list(WALLET_STATES)},
                parse=_one_of_states,
            ),
        ),
    ),
    _command("pause", "/admin/pause", "Stop: no transaction leaves once this has answered", pause),
    _command("resume", "/admin/resume", "End a pause", resume),
    _command("reset", "/admin/reset/{wallet}", "Close a wallet's circuit breaker, end its parking", reset),
)
