"""Operations over HTTP: extraction, funding, cancelling; asked for, planned, looked at, given up."""

import base64
import binascii
from pathlib import Path
from typing import Literal

import msgspec
from starlette.responses import Response

from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.commands import MAX_REASON_CHARS
from ghostfleet.http.access import is_local
from ghostfleet.http.commands import (
    checked_reason,
    command_of,
    command_operation,
    done,
    read_command_body,
)
from ghostfleet.http.contract import Answer, Ask, Operation, Parameter, matching
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.desk import Keyfile, NotNow, OperationDesk
from ghostfleet.operations.standing import UnknownOperation
from ghostfleet.operations.wishes import BadWish, Cancellation, Destruction, Extraction, Funding

PASSWORD_HEADER = "Keystore-Password"  # noqa: S105 - its name
MAX_OPERATION_BYTES = 2 * 2**20
"""A funding names each wallet with its address: some 60 bytes each, and so 30,000 of them. All of it becomes one event."""
EXPECTED = '{"kind": "extract", "extract": {"to": "0x..."}}, or fund, or cancel'
ID_PATTERN = r"^[a-z]{1,20}-[0-9]{1,12}$"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body: which kind, and the part of that name."""

    kind: Literal["extract", "fund", "cancel", "destroy"]
    extract: Extraction | None = None
    fund: Funding | None = None
    cancel: Cancellation | None = None
    destroy: Destruction | None = None
    keyfile: str = ""
    """A keystore on this machine that the funder's key is in, where the settings do not name it; its password is in a header."""
    reason: str = ""

    def wanted(self) -> Extraction | Funding | Cancellation | Destruction:
        """Raises Problem when the part is missing."""
        parts = {"extract": self.extract, "fund": self.fund, "destroy": self.destroy}
        part = self.cancel or Cancellation() if self.kind == "cancel" else parts[self.kind]
        if self.keyfile and self.kind != "fund":
            raise Problem(422, "a keyfile belongs to fund only")
        if part is None:
            raise Problem(422, f"the body has no {self.kind}: expected {EXPECTED}")
        return part


def desk_of(ask: Ask) -> OperationDesk:
    desk = ask.doors.desk
    if desk is None:
        raise Problem(409, "this service has no chain to operate on")
    return desk


async def start(ask: Ask) -> Response:
    """Starts an operation, or goes on with the same one where it is open."""
    asked = read_command_body(ask.body, Asked, EXPECTED)
    desk = desk_of(ask)
    command = command_of(ask, f"operation {asked.kind}", reason=checked_reason(asked.reason))
    try:
        wish = desk.wish(asked.wanted())
        keyfile = Keyfile(Path(asked.keyfile), Secret(_password(ask))) if asked.keyfile else None
        begun = await desk.start(command, wish, keyfile)
    except (NotNow, BadWish) as problem:
        raise Problem(409, str(problem)) from None
    return done(ask, begun.obeyed, status="done before" if begun.before else "started", operation=begun.operation)


async def plan(ask: Ask) -> Response:
    """What an operation would find now. Nothing is recorded or sent."""
    asked = read_command_body(ask.body, Asked, EXPECTED)
    if asked.kind == "destroy" and ask.caller.role != "operator":
        raise Problem(403, "whether files of this machine are there is told to an operator only")
    desk = desk_of(ask)
    try:
        wish = desk.wish(asked.wanted(), planned=True)
    except BadWish as problem:
        raise Problem(409, str(problem)) from None
    plans = await desk.plan(wish)
    return json_response({"kind": wish.kind, "wallets": list(wish.wallets), "params": wish.params, "plans": plans})


async def abandon(ask: Ask) -> Response:
    """Gives an open operation up. What it has sent is followed to its end."""
    desk = desk_of(ask)
    try:
        obeyed = await desk.abandon(command_of(ask, "abandon", target=ask.params["operation"]))
    except UnknownOperation as problem:
        raise Problem(404, str(problem)) from None
    return done(ask, obeyed, status="abandoned", operation=ask.params["operation"])


async def listed(ask: Ask) -> Response:
    """The open operations."""
    return json_response({"operations": desk_of(ask).open()})


async def one(ask: Ask) -> Response:
    """An operation, open or ended, with the table so far."""
    try:
        return json_response(await desk_of(ask).one(ask.params["operation"]))
    except UnknownOperation as problem:
        raise Problem(404, str(problem)) from None


def _password(ask: Ask) -> bytes:
    """The keystore's password: only from this machine, or over TLS."""
    local = is_local(ask.request.headers, ask.remote, ask.request.scope["http_version"])
    if not local and ask.request.url.scheme != "https":
        raise Problem(403, "a password is taken from this machine, or over TLS")
    try:
        return base64.b64decode(ask.request.headers.get(PASSWORD_HEADER, ""), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, f"{PASSWORD_HEADER} is not base64") from None


_AMOUNT: JsonObject = {"type": "string", "pattern": "^[0-9]{1,38}$"}
_ADDRESS: JsonObject = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
_WALLETS: JsonObject = {"type": "array", "items": {"type": "string"}}
_PARTS: dict[str, JsonObject] = {
    "extract": {
        "type": "object",
        "additionalProperties": False,
        "required": ["to"],
        "properties": {
            "to": _ADDRESS,
            "wallets": _WALLETS,
            "wait": {"type": "boolean"},
            "retire": {"type": "boolean"},
        },
    },
    "fund": {
        "type": "object",
        "additionalProperties": False,
        "required": ["funder", "targets"],
        "properties": {
            "funder": _ADDRESS,
            "targets": {"type": "object", "additionalProperties": _ADDRESS},
            "native_wei": _AMOUNT,
            "tokens": {"type": "object", "additionalProperties": _AMOUNT},
            "again": {"type": "string"},
        },
    },
    "destroy": {
        "type": "object",
        "additionalProperties": False,
        "required": ["keyfiles"],
        "properties": {"keyfiles": {"type": "object", "additionalProperties": {"type": "string"}}},
    },
    "cancel": {"type": "object", "additionalProperties": False, "properties": {"wallets": _WALLETS}},
}


def _body_of(kind: str) -> JsonObject:
    properties: JsonObject = {
        "kind": {"const": kind},
        kind: _PARTS[kind],
        "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
    }
    if kind == "fund":
        properties["keyfile"] = {"type": "string"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", kind] if kind != "cancel" else ["kind"],
        "properties": properties,
    }


_BODY: JsonObject = {"oneOf": [_body_of(kind) for kind in _PARTS]}
_STARTED: JsonObject = {
    "type": "object",
    "required": ["status", "operation", "actor", "request_id", "position", "time"],
    "properties": {
        "status": {"type": "string"},
        "operation": {"type": "string"},
        "actor": {"type": "string"},
        "request_id": {"type": "string"},
        "position": {"type": "integer"},
        "time": {"type": "string"},
    },
}
_ONE: JsonObject = {
    "type": "object",
    "required": ["id", "kind", "state", "summary"],
    "properties": {
        "id": {"type": "string"},
        "kind": {"type": "string"},
        "state": {"enum": ["running", "suspended", "done", "abandoned"]},
        "summary": {"type": "object"},
        "waiting": {"type": "object"},
        "rows": {"type": "object"},
    },
}
_OPERATION_PARAMETER = Parameter(
    name="operation",
    where="path",
    text="Id of the operation, such as extract-1.",
    schema={"type": "string", "pattern": ID_PATTERN},
    parse=matching(ID_PATTERN, "an operation's id, such as extract-1"),
)

OPERATIONS: tuple[Operation, ...] = (
    command_operation(
        "start_operation",
        "/admin/operations",
        "Start an extraction, a funding or a cancelling; or go on with the same one",
        start,
        body=_BODY,
        max_body_bytes=MAX_OPERATION_BYTES,
        schema=_STARTED,
    ),
    Operation(
        method="POST",
        path="/admin/operations/plan",
        name="plan_operation",
        summary="What an operation would find now; nothing is recorded or sent",
        needs="viewer",
        respond=plan,
        answers={200: Answer(text="What is there.", schema={"type": "object", "required": ["plans"]})},
        problems=(408, 409, 413, 422, 503),
        body=_BODY,
        max_body_bytes=MAX_OPERATION_BYTES,
        heavy=True,
    ),
    Operation(
        method="GET",
        path="/admin/operations",
        name="operations",
        summary="The open operations",
        needs="viewer",
        respond=listed,
        answers={
            200: Answer(
                text="Each with how far it is.",
                schema={
                    "type": "object",
                    "required": ["operations"],
                    "properties": {"operations": {"type": "array", "items": _ONE}},
                },
            )
        },
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/admin/operations/{operation}",
        name="operation",
        summary="An operation, open or ended, with its table",
        needs="viewer",
        respond=one,
        answers={200: Answer(text="How far it is.", schema=_ONE)},
        problems=(404, 409),
        parameters=(_OPERATION_PARAMETER,),
    ),
    command_operation(
        "abandon_operation",
        "/admin/operations/{operation}/abandon",
        "Give an open operation up; what it has sent is followed to its end",
        abandon,
        parameters=(_OPERATION_PARAMETER,),
        schema=_STARTED,
    ),
)
