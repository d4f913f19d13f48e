"""What happened, and when? Events by filter, a wallet's timeline, a wallet as it was, the whole log as a stream.

Every read is a page of its own: no transaction of the database stays open while a client reads, and the loop turns in between.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response, StreamingResponse

from ghostfleet.domain import wallet as wallets
from ghostfleet.domain.events import CATALOGUE
from ghostfleet.domain.values import HOUR_US, JsonObject, encode_json
from ghostfleet.http.contract import (
    AFTER,
    DEFAULT_PAGE_ROWS,
    LIMIT,
    MAX_POSITION,
    MAX_VALUE_CHARS,
    MOMENT_SCHEMA,
    Answer,
    Ask,
    Operation,
    Parameter,
    hash_parameter,
    matching,
    moment,
    wallet_parameter,
)
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.http.status import wallet_status
from ghostfleet.http.story import STORY_SCHEMA, transaction
from ghostfleet.operations.errors import errors_between, errors_document
from ghostfleet.store.errors import ArchiveMissing
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import EventQuery, Page, every
from ghostfleet.store.rows import EventRow
from ghostfleet.telemetry.moments import iso

EXPORT_PAGE_ROWS = 500
FOLD_PAGE_ROWS = 1000
FOLD_SECS = 20.0
"""A wallet's past is folded for so long at most; the command line has no such bound."""


def event_json(row: EventRow) -> JsonObject:
    """A row as operators read it: all that its hash covers, and the time in words."""
    return {
        "position": row.position,
        "stream": row.stream,
        "version": row.version,
        "type": row.type,
        "type_version": row.type_version,
        "critical": bool(row.critical),
        "time": iso(row.time_us),
        "time_us": row.time_us,
        "correlation": row.correlation,
        "data": msgspec.Raw(row.payload.encode()),
        "hash": row.hash,
    }


def page_json(page: Page[EventRow]) -> JsonObject:
    """A page and the cursor of the one after it, null at the end; and what it lacks, where archive files are not at hand."""
    document: JsonObject = {"events": [event_json(row) for row in page.items], "next": page.next}
    return document | ({"missing": page.missing} if page.missing else {})


async def events(ask: Ask) -> Response:
    """Events by filter, oldest first."""
    given = ask.params
    if given["wallet"] is not None:
        _require_known(ask, given["wallet"])
    query = EventQuery(
        wallet=given["wallet"],
        types=(given["type"],) if given["type"] is not None else (),
        since_us=given["since"],
        until_us=given["until"],
        correlation=given["correlation"],
        tx=given["tx"],
        cursor=given["after"],
        limit=given["limit"] or DEFAULT_PAGE_ROWS,
    )
    return json_response(page_json(await ask.doors.log.rows(query)))


async def timeline(ask: Ask) -> Response:
    """A wallet's events, oldest first; with `at` the wallet as it was then."""
    wallet, at = ask.params["wallet"], ask.params["at"]
    _require_known(ask, wallet)
    if at is not None:
        return await _as_it_was(ask, wallet, at)
    query = EventQuery(wallet=wallet, cursor=ask.params["after"], limit=ask.params["limit"] or DEFAULT_PAGE_ROWS)
    return json_response({"wallet": wallet, **page_json(await ask.doors.log.rows(query))})


def _require_known(ask: Ask, wallet: str) -> None:
    """That nothing is found of a misspelt one would be read as that nothing happened. Raises Problem."""
    if wallet not in ask.doors.service.state.wallets:
        raise Problem(404, f"the log knows no wallet {wallet}; GET /admin/status lists them")


async def _as_it_was(ask: Ask, wallet: str, at: int) -> Response:
    try:
        async with asyncio.timeout(FOLD_SECS):
            state, position = await wallet_at(ask.doors.log, wallet, at)
    except TimeoutError:
        raise Problem(
            503, f"folding the past of {wallet} takes longer than {FOLD_SECS:.0f} s; ask `ghost-fleet audit wallet`"
        ) from None
    return json_response(
        {
            "wallet": wallet,
            "position": position,
            "state": state,
            "summary": None if state is None else wallet_status(state),
        }
    )


async def wallet_at(log: EventLog, wallet: str, at: int) -> tuple[wallets.Wallet | None, int]:
    """The fold of a wallet's stream up to a position or moment, and the position of the last event in it.

    Raises ArchiveMissing when the stream begins in an archive file that is not at hand.
    """
    state: wallets.Wallet | None = None
    position = 0
    async for row in every(log.rows, EventQuery(wallet=wallet, limit=FOLD_PAGE_ROWS)):
        if (row.position if at <= MAX_POSITION else row.time_us) > at:
            break
        if state is None and row.version > 1:
            raise ArchiveMissing(f"the first events of {wallet} are archived; {'; '.join(log.missing())}: put it there")
        state = wallets.evolve(state, log.decode(row))
        position = row.position
    return state, position


async def export(ask: Ask) -> Response:
    """The log up to where it is now, one JSON object a line."""
    end = ask.doors.service.state.position
    after = ask.params["after"] or 0
    missing, anchor = ask.doors.log.missing(), ask.doors.log.anchor.position
    if missing and after < anchor:
        raise Problem(503, f"{'; '.join(missing)}: put it there, or ask for what follows with ?after={anchor}")
    headers = {"content-disposition": 'attachment; filename="ghost-fleet-log.jsonl"'}
    if ask.request.method == "HEAD":
        end = after
    return StreamingResponse(_lines(ask, after, end), media_type="application/x-ndjson", headers=headers)


async def _lines(ask: Ask, after: int, end: int) -> AsyncIterator[bytes]:
    """A page at a time: what a slow client has not taken is not read yet. A failure breaks the stream, visibly."""
    while after < end:
        page = await ask.doors.log.rows(EventQuery(cursor=after, limit=EXPORT_PAGE_ROWS))
        lines = [export_line(row) for row in page.items if row.position <= end]
        if not lines:
            return
        after = page.items[-1].position
        yield b"".join(lines)


def export_line(row: EventRow) -> bytes:
    """A row with its nine hashed columns as they are stored, `payload` a text: enough to compute the chain again."""
    return encode_json(row) + b"\n"


async def errors(ask: Ask) -> Response:
    """The breakdown of errors between two moments; the last hour if left out."""
    now_us = ask.doors.clock.now_us()
    since_us = ask.params["since"] if ask.params["since"] is not None else now_us - HOUR_US
    until_us = ask.params["until"] if ask.params["until"] is not None else now_us
    try:
        async with asyncio.timeout(FOLD_SECS):
            groups = await errors_between(ask.doors.log, since_us, until_us)
    except TimeoutError:
        raise Problem(
            503,
            f"reading these errors takes longer than {FOLD_SECS:.0f} s; ask for a shorter time or `ghost-fleet errors`",
        ) from None
    return json_response(errors_document(groups, since_us, until_us))


def position_or_moment(text: str) -> int:
    """A position, or microseconds; the two do not overlap."""
    return moment(text)


def _known_type(text: str) -> str:
    if text not in CATALOGUE:
        raise ValueError("expected the name of an event type, see docs/events.md")
    return text


CORRELATION_PATTERN = f"^[!-~]{{1,{MAX_VALUE_CHARS}}}$"
EVENT_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["position", "stream", "version", "type", "time", "time_us", "correlation", "data", "hash"],
    "properties": {
        "position": {"type": "integer", "minimum": 1},
        "stream": {"type": "string"},
        "version": {"type": "integer", "minimum": 1},
        "type": {"type": "string"},
        "type_version": {"type": "integer"},
        "critical": {"type": "boolean"},
        "time": {"type": "string"},
        "time_us": {"type": "integer"},
        "correlation": {"type": "string"},
        "data": {"type": "object"},
        "hash": {"type": "string"},
    },
}
PAGE_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["events", "next"],
    "properties": {
        "events": {"type": "array", "items": EVENT_SCHEMA},
        "next": {"type": ["integer", "null"]},
        "missing": {"type": "array", "items": {"type": "string"}},
    },
}
TIMELINE_SCHEMA: JsonObject = {
    "anyOf": [
        PAGE_SCHEMA,
        {"type": "object", "required": ["wallet", "position", "state", "summary"]},
    ]
}

_COUNTED: JsonObject = {"type": "object", "required": ["count", "first", "last", "example", "position"]}
ERRORS_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["since", "until", "total", "by_class", "by_wallet", "by_endpoint", "groups"],
    "properties": {
        "total": {"type": "integer", "minimum": 0},
        **{name: {"type": "array", "items": _COUNTED} for name in ("by_class", "by_wallet", "by_endpoint", "groups")},
    },
}


def _moment(name: str, text: str) -> Parameter:
    return Parameter(name=name, text=text, schema=MOMENT_SCHEMA, parse=moment)


OPERATIONS = (
    Operation(
        method="GET",
        path="/audit/events",
        name="events",
        summary="Events by filter, oldest first, in pages",
        needs="viewer",
        respond=events,
        answers={200: Answer(text="A page of events.", schema=PAGE_SCHEMA)},
        problems=(404, 503),
        parameters=(
            wallet_parameter("query"),
            Parameter(name="type", text="Events of this type.", schema={"enum": sorted(CATALOGUE)}, parse=_known_type),
            _moment("since", "Recorded at this time or later."),
            _moment("until", "Recorded before this time."),
            Parameter(
                name="correlation",
                text="Events of this action (wallet/n) or command (its request_id).",
                schema={"type": "string", "pattern": CORRELATION_PATTERN},
                parse=matching(CORRELATION_PATTERN, f"1 to {MAX_VALUE_CHARS} printable ASCII characters"),
            ),
            hash_parameter("query", "tx"),
            AFTER,
            LIMIT,
        ),
    ),
    Operation(
        method="GET",
        path="/audit/wallets/{wallet}",
        name="wallet",
        summary="What a wallet did, oldest first; with `at` how it was then",
        needs="viewer",
        respond=timeline,
        answers={200: Answer(text="A page of the timeline, or the state.", schema=TIMELINE_SCHEMA)},
        problems=(404,),
        parameters=(
            wallet_parameter("path"),
            Parameter(
                name="at",
                text="A time, or a position in the log (whole numbers up to 10^12): the state as it was then.",
                schema=MOMENT_SCHEMA,
                parse=position_or_moment,
            ),
            AFTER,
            LIMIT,
        ),
        heavy=True,
    ),
    Operation(
        method="GET",
        path="/audit/transactions/{hash}",
        name="transaction",
        summary="The whole story of one transaction: decision, inputs, profile, config, attempts, errors, outcome",
        needs="viewer",
        respond=transaction,
        answers={200: Answer(text="The story.", schema=STORY_SCHEMA)},
        problems=(404, 503),
        parameters=(hash_parameter("path", "hash"),),
    ),
    Operation(
        method="GET",
        path="/audit/errors",
        name="errors",
        summary="Errors by class, wallet and endpoint, with counts, first, last and an example",
        needs="viewer",
        respond=errors,
        answers={200: Answer(text="The breakdown.", schema=ERRORS_SCHEMA)},
        problems=(503,),
        parameters=(
            _moment("since", "Recorded at this time or later; an hour ago if left out."),
            _moment("until", "Recorded before this time; now if left out."),
        ),
        heavy=True,
    ),
    Operation(
        method="GET",
        path="/audit/export",
        name="export",
        summary="The log as JSON lines with its hashes, up to where it is when asked",
        needs="viewer",
        respond=export,
        answers={200: Answer(text="One event a line.", media_type="application/x-ndjson", schema={})},
        problems=(503,),
        parameters=(AFTER,),
        heavy=True,
    ),
)
