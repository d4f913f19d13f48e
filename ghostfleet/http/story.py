"""The whole story of one transaction: who decided what, why, with which bytes it was tried, what went wrong, how it ended."""

import asyncio
from collections.abc import Sequence

from starlette.responses import Response

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.http.contract import MAX_PAGE_ROWS, Ask
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.store.log import EventQuery
from ghostfleet.telemetry.moments import iso

MAX_STORY_EVENTS = 5000
"""A slot has a bounded number of attempts, but a node may refuse each many times; what is beyond is in /audit/events."""
MAX_CONFIGS = 1000
"""How many changes of the settings are looked through for the one a decision names."""

ERRORS = (
    ev.ActionRejected,
    ev.ActionFailed,
    ev.BroadcastFailed,
    ev.ErrorRecorded,
    ev.TransactionDropped,
    ev.TransactionReorged,
    ev.TransactionSuperseded,
)
"""What went wrong on the way, as far as it has an event type of its own; a reverted receipt counts too."""


async def transaction(ask: Ask) -> Response:
    """The story of the transaction with this hash, of any attempt."""
    tx: Hash = ask.params["hash"]
    mentions = await read(ask, EventQuery(tx=tx, limit=1), 1)
    if not mentions:
        raise Problem(404, f"the log knows no transaction {tx}: it was not sent from here, or not yet seen on chain")
    first = mentions[0]
    action_id = getattr(first.event, "action_id", None)
    if action_id is None:
        return json_response(_outside(tx, first))
    found = await read(ask, EventQuery(correlation=action_id, limit=MAX_PAGE_ROWS), MAX_STORY_EVENTS)
    decided = next((each for each in found if isinstance(each.event, ev.ActionDecided)), None)
    wallet = ask.doors.service.state.wallets.get(first.wallet or "")
    return json_response(
        {
            "hash": tx,
            "wallet": first.wallet,
            "address": wallet.address if wallet is not None else None,
            "action_id": action_id,
            "decision": None if decided is None else told(decided),
            "config": await _config(ask, decided),
            "attempts": attempts(found),
            "errors": [told(each) for each in found if went_wrong(each.event)],
            "outcome": outcome(found),
            "events": [told(each) for each in found],
            "complete": len(found) < MAX_STORY_EVENTS,
        }
    )


async def read(ask: Ask, query: EventQuery, most: int) -> list[ev.Recorded]:
    """The events of a query that this release knows, up to `most`, page after page."""
    found: list[ev.Recorded] = []
    while True:
        page = await ask.doors.log.rows(query)
        found += [recorded for recorded in (row.recorded() for row in page.rows) if recorded is not None]
        if page.next is None or len(found) >= most:
            return found[:most]
        query = query.following(page.next)
        await asyncio.sleep(0)


def told(recorded: ev.Recorded) -> JsonObject:
    """An event as a part of a story."""
    return {
        "position": recorded.position,
        "time": iso(recorded.time_us),
        "type": type(recorded.event).__name__,
        "correlation": recorded.correlation,
        "data": recorded.event,
    }


def went_wrong(event: ev.Event) -> bool:
    """Whether it belongs to the errors of a story."""
    return isinstance(event, ERRORS) or (isinstance(event, ev.TransactionMined) and not event.success)


def attempts(found: Sequence[ev.Recorded]) -> list[JsonObject]:
    """Every attempt at the nonce, with what became of it."""
    by_hash: dict[bytes, JsonObject] = {}
    for recorded in found:
        event = recorded.event
        if isinstance(event, ev.TransactionSigned):
            by_hash[event.hash] = _attempt(event, recorded)
            continue
        attempt = by_hash.get(getattr(event, "hash", b""))
        if attempt is None:
            continue
        match event:
            case ev.BroadcastAccepted():
                attempt["accepted_by"].append(event.endpoint)
            case ev.BroadcastFailed():
                attempt["refusals"] += 1
            case ev.TransactionMined():
                attempt.update(_mined(event, attempt["purpose"]))
            case ev.TransactionFinal():
                attempt["final"] = True
            case ev.TransactionReorged():
                attempt.update(status="open", block=None, gas_used=None, fee_wei=None)
            case ev.TransactionSuperseded():
                attempt["status"] = "superseded"
    return list(by_hash.values())


def _attempt(event: ev.TransactionSigned, recorded: ev.Recorded) -> JsonObject:
    return {
        "attempt": event.attempt,
        "purpose": event.purpose,
        "hash": event.hash,
        "nonce": event.nonce,
        "signed": iso(recorded.time_us),
        "gas": event.gas,
        "max_fee_wei": str(event.fees.max_fee_wei),
        "priority_fee_wei": str(event.fees.priority_fee_wei),
        "accepted_by": [],
        "refusals": 0,
        "status": "open",
        "final": False,
        "block": None,
        "gas_used": None,
        "fee_wei": None,
    }


def _mined(event: ev.TransactionMined, purpose: str) -> JsonObject:
    status = "reverted" if not event.success else "cancelled" if purpose == "cancel" else "mined"
    return {
        "status": status,
        "block": event.block,
        "gas_used": event.gas_used,
        "fee_wei": str(event.gas_used * event.gas_price_wei),
    }


def outcome(found: Sequence[ev.Recorded]) -> JsonObject:
    """How the action ended, as the log says last."""
    for recorded in reversed(found):
        match recorded.event:
            case ev.ActionSucceeded():
                return {"status": "succeeded", "position": recorded.position, "time": iso(recorded.time_us)}
            case ev.ActionFailed(reason=reason) | ev.ActionRejected(reason=reason):
                status = "failed" if isinstance(recorded.event, ev.ActionFailed) else "rejected"
                return {
                    "status": status,
                    "reason": reason,
                    "position": recorded.position,
                    "time": iso(recorded.time_us),
                }
            case ev.TransactionReorged():
                break
    return {"status": "open"}


async def _config(ask: Ask, decided: ev.Recorded | None) -> JsonObject | None:
    """The settings that were in force, as the log has them."""
    if decided is None or not isinstance(decided.event, ev.ActionDecided):
        return None
    digest = decided.event.config_digest
    applied = await read(ask, EventQuery(type="ConfigApplied", limit=MAX_PAGE_ROWS), MAX_CONFIGS)
    for recorded in reversed(applied):
        if (
            isinstance(recorded.event, ev.ConfigApplied)
            and recorded.event.digest == digest
            and recorded.position < decided.position
        ):
            return {
                "digest": digest,
                "position": recorded.position,
                "time": iso(recorded.time_us),
                "settings": recorded.event.settings,
            }
    return {"digest": digest, "position": None, "time": None, "settings": None}


def _outside(tx: Hash, seen: ev.Recorded) -> JsonObject:
    """A transaction of a wallet of ours that we did not send."""
    return {
        "hash": tx,
        "wallet": seen.wallet,
        "address": None,
        "action_id": None,
        "decision": None,
        "config": None,
        "attempts": [],
        "errors": [],
        "outcome": {"status": "not ours", "reason": "it was signed elsewhere with this wallet's key"},
        "events": [told(seen)],
        "complete": True,
    }


STORY_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["hash", "wallet", "action_id", "decision", "config", "attempts", "errors", "outcome", "events"],
    "properties": {
        "hash": {"type": "string"},
        "attempts": {"type": "array", "items": {"type": "object", "required": ["hash", "attempt", "status"]}},
        "errors": {"type": "array"},
        "outcome": {"type": "object", "required": ["status"]},
        "events": {"type": "array"},
    },
}
