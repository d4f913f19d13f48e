"""How is everything, now? Pause, wallets, breakers, slots, endpoints, the head of the log."""

from starlette.responses import Response

from ghostfleet.domain.breaker import Closed, Tripped
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.throttle import FULL_PACE, due_us
from ghostfleet.domain.values import JsonObject
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.http.contract import Answer, Ask, Operation, Parameter
from ghostfleet.http.health import json_response
from ghostfleet.store.rows import LogHead
from ghostfleet.telemetry.metrics import WALLET_STATES, wallet_state
from ghostfleet.telemetry.moments import iso

MAX_WALLETS_LISTED = 10_000
"""In one status; the counts are of all. `?state=tripped` lists those that matter."""


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
    missing = [f"{check.name}: {check.reason}" for check in service.checks() if not check.ok]
    return json_response(
        {
            **pause_status(fleet, service.unwritten_pause),
            "throttle": throttle_status(fleet),
            "dry_run": service.dry_run,
            "release": fleet.release,
            "config_digest": fleet.config_digest,
            "chain_id": fleet.chain_id,
            "uptime_secs": int(service.uptime_secs),
            "ready": not missing,
            "not_ready": missing,
            "log": log_status(ask.doors.log.head, fleet),
            "open_slots": open_slots,
            "in_flight": service.in_flight(),
            "operations": [
                {
                    "id": it.id,
                    "state": "running" if it.running else "suspended",
                    "wallets": len(it.wallets),
                    "done": len(it.done),
                }
                for it in fleet.operations
            ],
            "wallet_counts": counts,
            "wallets": [wallet_status(wallet, fleet) for wallet in chosen[:MAX_WALLETS_LISTED]],
            "wallets_left_out": max(0, len(chosen) - MAX_WALLETS_LISTED),
            "endpoints": list(service.endpoints()),
        }
    )


def log_status(head: LogHead, fleet: Fleet) -> JsonObject:
    """Where the log ends, and up to where a wallet of the fleet has signed it."""
    signed = fleet.signed_head
    return {
        "position": head.position,
        "hash": head.hash,
        "signed_position": signed and signed.position,
        "signed_at": signed and iso(signed.time_us),
    }


def pause_status(fleet: Fleet, unwritten: AdminCommand | None) -> JsonObject:
    """Whether the fleet is paused, by whom, and whether the log has that: one that it could not take is in force all the same."""
    told: JsonObject | None = None
    if fleet.paused is not None:
        told = {"actor": fleet.paused.actor, "reason": fleet.paused.reason, "since": iso(fleet.paused.since_us)}
    elif unwritten is not None:
        told = {"actor": unwritten.actor, "reason": unwritten.reason, "since": None}
    return {
        "paused": told is not None,
        "pause": told,
        "pause_unwritten": fleet.paused is None and unwritten is not None,
    }


def throttle_status(fleet: Fleet) -> JsonObject | None:
    """Who slowed the fleet down to what, since when; None at full pace."""
    if fleet.pace == FULL_PACE:
        return None
    last = fleet.throttles[-1]
    return {"factor": last.factor, "actor": last.actor, "reason": last.reason, "since": iso(last.since_us)}


def wallet_status(wallet: Wallet, fleet: Fleet | None = None) -> JsonObject:
    """A wallet for operators. Amounts in wei are texts: JSON readers round large numbers.

    Its next turn is at the pace of the fleet, or at full pace where the fleet is not given."""
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
        "next_turn": iso(due_us(wallet, fleet.throttles if fleet is not None else ())),
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


_STATUS: JsonObject = {
    "type": "object",
    "required": ["paused", "pause", "ready", "log", "open_slots", "wallet_counts", "wallets", "endpoints"],
    "properties": {
        "paused": {"type": "boolean"},
        "pause": {"type": ["object", "null"]},
        "pause_unwritten": {
            "type": "boolean",
            "description": "The pause is in force, but the log could not take it yet: it ends with the process.",
        },
        "throttle": {"type": ["object", "null"]},
        "dry_run": {"type": "boolean"},
        "ready": {"type": "boolean"},
        "not_ready": {"type": "array", "items": {"type": "string"}},
        "log": {
            "type": "object",
            "required": ["position", "hash", "signed_position", "signed_at"],
            "properties": {
                "position": {"type": "integer"},
                "hash": {"type": "string"},
                "signed_position": {"type": ["integer", "null"]},
                "signed_at": {"type": ["string", "null"]},
            },
        },
        "open_slots": {"type": "integer"},
        "wallet_counts": {"type": "object"},
        "wallets": {"type": "array", "items": {"type": "object", "required": ["id", "address", "state"]}},
        "endpoints": {"type": "array", "items": {"type": "object"}},
    },
}

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
)
