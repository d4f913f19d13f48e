"""The whole story of one transaction: who decided what, why, with which bytes it was tried, what went wrong, how it ended."""

from collections.abc import Sequence

from starlette.responses import Response

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.http.contract import MAX_PAGE_ROWS, Ask
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import EventQuery, every
from ghostfleet.telemetry.moments import iso

MAX_STORY_EVENTS = 5000
"""A slot has a bounded number of attempts, but a node may refuse each many times; what is beyond is in /audit/events."""
CONFIG_PAGE_ROWS = 20
MAX_CONFIGS = 200
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
    story = await story_of(ask.doors.log, tx)
    if story is None:
        raise Problem(404, f"the log knows no transaction {tx}: it was not sent from here, or not yet seen on chain")
    return json_response(story)


async def story_of(log: EventLog, tx: Hash) -> JsonObject | None:
    """The story of a transaction from the log alone, or None when the log knows nothing of it."""
    mentions = await read(log, EventQuery(tx=tx, limit=1), 1)
    if not mentions:
        return None
    first = mentions[0]
    action_id = getattr(first.event, "action_id", None)
    if action_id is None:
        return _outside(tx, first)
    found = await read(log, EventQuery(correlation=action_id, limit=MAX_PAGE_ROWS), MAX_STORY_EVENTS)
    decided = next((each for each in found if isinstance(each.event, ev.ActionDecided)), None)
    row = await log.transaction(tx)
    return {
        "hash": tx,
        "wallet": first.wallet,
        "address": row.address if row is not None else None,
        "action_id": action_id,
        "decision": None if decided is None else told(decided),
        "config": await _config(log, decided),
        "attempts": attempts(found),
        "errors": [told(each) for each in found if went_wrong(each.event)],
        "outcome": outcome(found),
        "events": [told(each) for each in found],
        "complete": len(found) < MAX_STORY_EVENTS and not log.missing(),
        **_missing(log),
    }


async def events_of(log: EventLog, tx: Hash) -> list[ev.Recorded]:
    """All that belongs to the action of this transaction, oldest first; of a stranger's what names it; empty when unknown."""
    mentions = await read(log, EventQuery(tx=tx, limit=1), 1)
    action_id = getattr(mentions[0].event, "action_id", None) if mentions else None
    if action_id is None:
        return mentions
    return await read(log, EventQuery(correlation=action_id, limit=MAX_PAGE_ROWS), MAX_STORY_EVENTS)


def _missing(log: EventLog) -> JsonObject:
    """What may be missing from a story, where archive files are not at hand."""
    return {"missing": missing} if (missing := tuple(log.missing())) else {}


async def read(log: EventLog, query: EventQuery, most: int) -> list[ev.Recorded]:
    """The events of a query that this release knows, up to `most`, page after page."""
    found: list[ev.Recorded] = []
    async for row in every(log.rows, query):
        recorded = log.decode(row)
        if not isinstance(recorded.event, ev.UnknownEvent):
            found.append(recorded)
        if len(found) >= most:
            break
    return found


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
                _all(by_hash, status="superseded")
                attempt.update(_mined(event, attempt["purpose"]))
            case ev.TransactionFinal():
                attempt["final"] = True
                attempt["status"] = "final" if attempt["status"] == "mined" else attempt["status"]
            case ev.TransactionReorged():
                _all(by_hash, status="open", block=None, gas_used=None, fee_wei=None)
            case ev.TransactionSuperseded():
                _all(by_hash, status="superseded")
    return list(by_hash.values())


def _all(by_hash: dict[bytes, JsonObject], **changes: object) -> None:
    """What concerns the nonce concerns every attempt at it."""
    for attempt in by_hash.values():
        attempt.update(changes)


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
    status = "cancelled" if purpose == "cancel" else "mined" if event.success else "reverted"
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


async def _config(log: EventLog, decided: ev.Recorded | None) -> JsonObject | None:
    """The settings that were in force, as the log has them."""
    if decided is None or not isinstance(decided.event, ev.ActionDecided):
        return None
    digest = decided.event.config_digest
    before = EventQuery(types=("ConfigApplied",), cursor=decided.position, descending=True, limit=CONFIG_PAGE_ROWS)
    for recorded in await read(log, before, MAX_CONFIGS):
        if isinstance(recorded.event, ev.ConfigApplied) and recorded.event.digest == digest:
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
        "missing": {"type": "array", "items": {"type": "string"}},
    },
}
