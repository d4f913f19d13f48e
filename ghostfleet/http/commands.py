"""What have all commands in common? A reason, a name for the log, an Idempotency-Key, and the answer once it is done.

The header is draft-ietf-httpapi-idempotency-key-header: the same actor's same key twice has one effect.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.commands import KEY_PATTERN, KEY_WORDS, MAX_REASON_CHARS, fingerprint
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.http.contract import Answer, Ask, Operation, Parameter
from ghostfleet.http.edge import MAX_BODY_BYTES
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.telemetry.moments import iso

KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
COMMAND_PROBLEMS = (408, 409, 413, 422, 503)

BodyT = TypeVar("BodyT")


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optional body of a command."""

    reason: str = ""


def read_reason(body: bytes) -> str:
    """The reason in a command's body; an empty body has none. Raises Problem."""
    return checked_reason(read_command_body(body, Why, '{"reason": "..."} or nothing').reason)


def read_command_body(body: bytes, kind: type[BodyT], expected: str) -> BodyT:
    """The JSON body of a command; an empty one is an empty object. Raises Problem."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as problem:
        raise Problem(422, f"the body does not fit: {problem}; expected {expected}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Problem(400, f"the body is not JSON; expected {expected}") from None


def checked_reason(reason: str) -> str:
    """A reason that the log takes. Raises Problem."""
    try:
        reason.encode()
    except UnicodeError:
        raise Problem(400, "the reason is not Unicode text") from None
    if len(reason) > MAX_REASON_CHARS:
        raise Problem(422, f"the reason is longer than {MAX_REASON_CHARS} characters")
    return reason


def command_of(ask: Ask, name: str, target: str = "", reason: str | None = None) -> AdminCommand:
    """What was asked, as the log will have it. The reason is read from the body where it is not given."""
    return AdminCommand(
        command=name,
        actor=ask.caller.actor,
        remote=ask.remote,
        request_id=ask.request_id,
        target=target,
        reason=read_reason(ask.body) if reason is None else reason,
        idempotency_key=idempotency_key(ask.request.headers),
        fingerprint=fingerprint(ask.request.url.path, ask.request.url.query, ask.body),
    )


def idempotency_key(headers: Headers) -> str:
    """The key in the request's head, without quotes; empty where there is none. Raises Problem 400."""
    given = headers.getlist(KEY_HEADER)
    if not given:
        return ""
    if len(given) > 1 or not re.fullmatch(KEY_PATTERN, given[0]):
        raise Problem(
            400,
            f"{KEY_HEADER} is given once, and {KEY_WORDS}",
            parameter=KEY_HEADER,
        )
    return given[0].strip('"')


def done(ask: Ask, obeyed: Obeyed, **members: object) -> Response:
    """The answer to a command: what it did, and where it stands in the log. A repeated one tells of the first."""
    response = json_response(
        {
            **members,
            "actor": ask.caller.actor,
            "request_id": obeyed.request_id,
            "position": obeyed.position,
            "time": iso(obeyed.time_us),
        }
    )
    if obeyed.repeated:
        response.headers[REPLAYED_HEADER] = "true"
    return response


REASON_BODY: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"reason": {"type": "string", "maxLength": MAX_REASON_CHARS}},
}
COMMANDED: JsonObject = {
    "type": "object",
    "required": ["status", "actor", "request_id", "position", "time"],
    "properties": {
        "status": {"type": "string"},
        "paused": {"type": "boolean"},
        "in_flight": {"type": "object"},
        "open_slots": {"type": "integer"},
        "operation": {"type": "string"},
        "wallet": {"type": "string"},
        "wallets": {"type": "array", "items": {"type": "string"}},
        "actor": {"type": "string"},
        "request_id": {"type": "string"},
        "position": {"type": "integer"},
        "time": {"type": "string"},
    },
}


def command_operation(
    name: str,
    path: str,
    text: str,
    respond: Callable[[Ask], Awaitable[Response]],
    *,
    parameters: Sequence[Parameter] = (),
    body: JsonObject = REASON_BODY,
    max_body_bytes: int = MAX_BODY_BYTES,
    schema: JsonObject = COMMANDED,
) -> Operation:
    """The description of a command."""
    return Operation(
        method="POST",
        path=path,
        name=name,
        summary=text,
        needs="operator",
        respond=respond,
        answers={200: Answer(text="Done, and durably recorded.", schema=schema)},
        problems=(404, *COMMAND_PROBLEMS) if parameters else COMMAND_PROBLEMS,
        parameters=tuple(parameters),
        body=body,
        max_body_bytes=max_body_bytes,
    )
