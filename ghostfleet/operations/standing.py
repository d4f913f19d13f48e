"""How far is an operation? From the state and the log alone, so that whoever reads them can say it, with a service or without."""

from collections.abc import Mapping

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.values import JsonObject
from ghostfleet.errors import BadInput
from ghostfleet.operations.runner import summary_of
from ghostfleet.store.log import EventLog
from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, every

MAX_WAITING_TOLD = 20
"""Wallets that wait, named in one answer; the number is of all."""


class UnknownOperation(BadInput):
    """There is no operation of that id in the log."""


class Line(msgspec.Struct, frozen=True):
    """What the log has of an operation: the lines of its table so far, and its end."""

    rows: dict[str, JsonObject]
    ended: ev.OperationFinished | None


def progress(operation: Operation, waiting: Mapping[str, str]) -> JsonObject:
    """An open operation, with which of its wallets wait for what."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": "running" if operation.running else "suspended",
        "why": operation.suspended,
        "actor": operation.actor,
        "since_us": operation.since_us,
        "summary": summary_of(operation),
        "waiting": dict(list(waiting.items())[:MAX_WAITING_TOLD]),
        "waiting_count": len(waiting),
    }


async def one(log: EventLog, fleet: Fleet, operation_id: str, waiting: Mapping[str, str]) -> JsonObject:
    """An operation of this log, open or ended, with the lines of its table so far. Raises UnknownOperation."""
    operation = fleet.operation(operation_id)
    told = await _told(log, operation_id)
    if operation is not None:
        return {**progress(operation, waiting), "rows": told.rows}
    if told.ended is None:
        raise UnknownOperation(f"no operation {operation_id}")
    return {
        "id": operation_id,
        "kind": operation_id.partition("-")[0],
        "state": told.ended.outcome,
        "summary": told.ended.summary,
        "rows": told.rows,
    }


async def _told(log: EventLog, operation_id: str) -> Line:
    rows: dict[str, JsonObject] = {}
    ended: ev.OperationFinished | None = None
    query = EventQuery(
        correlation=operation_id, types=("OperationWalletDone", "OperationFinished"), limit=MAX_PAGE_ROWS
    )
    async for row in every(log.rows, query):
        event = log.decode(row).event
        if isinstance(event, ev.OperationWalletDone):
            rows[event.wallet] = event.result
        elif isinstance(event, ev.OperationFinished):
            ended = event
    return Line(rows, ended)
