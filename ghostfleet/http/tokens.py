"""Tokens by command: made, listed, revoked while the service runs. What is made is told once, in the answer to its asker."""

import msgspec
from starlette.responses import Response

from ghostfleet.domain.operators import RANKS, exceeds
from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.commands import MAX_REASON_CHARS
from ghostfleet.http.commands import (
    COMMANDED,
    checked_reason,
    command_of,
    command_operation,
    done,
    read_command_body,
)
from ghostfleet.http.contract import WALLET_PATTERN, Answer, Ask, Operation, Parameter, matching
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.operations.tokens import (
    NoToken,
    listed,
    random_token,
    require_not_of_settings,
    token_created,
    told,
)

NAME_PATTERN = WALLET_PATTERN


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a token."""

    name: str
    role: str = "viewer"
    expires: str | None = None
    reason: str = ""


async def tokens(ask: Ask) -> Response:
    """Those of the settings and of the log."""
    of_log = ask.doors.service.state.fleet.operators.tokens
    return json_response(listed(ask.doors.admin, of_log, ask.doors.clock.now_us()))


async def create(ask: Ask) -> Response:
    """A new token, told this once. A repeated request is not told it again: revoke it and ask for another."""
    wanted = read_command_body(ask.body, Wanted, '{"name": "...", "role": "viewer", "expires": "30d"}')
    token = random_token()
    try:
        created = token_created(
            token,
            name=wanted.name,
            role=wanted.role,
            expires=wanted.expires,
            actor=ask.caller.actor,
            now_us=ask.doors.clock.now_us(),
        )
    except NoToken as problem:
        raise Problem(422, f"the body does not fit: {problem}") from None
    more = exceeds(created.role, created.expires_us, ask.caller.role, ask.caller.expires_us)
    if more is not None:
        raise Problem(403, more)
    require_not_of_settings(created.name, ask.doors.admin)
    command = command_of(ask, "create_token", target=created.name, reason=checked_reason(wanted.reason))
    obeyed = await ask.doors.service.create_token(command, created)
    return done(ask, obeyed, **told(created, token, repeated=obeyed.repeated))


async def revoke(ask: Ask) -> Response:
    """Not valid from here on."""
    name = ask.params["name"]
    command = command_of(ask, "revoke_token", target=name)
    require_not_of_settings(name, ask.doors.admin)
    obeyed = await ask.doors.service.revoke_token(command)
    return done(ask, obeyed, status="revoked", name=name)


_TOKENS: JsonObject = {
    "type": "object",
    "required": ["tokens"],
    "properties": {
        "tokens": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "role", "source", "expires", "expired", "created", "created_by"],
                "properties": {
                    "name": {"type": "string"},
                    "role": {"type": "string"},
                    "source": {"enum": ["settings", "log"]},
                    "expires": {"type": ["string", "null"]},
                    "expired": {"type": "boolean"},
                    "created": {"type": ["string", "null"]},
                    "created_by": {"type": ["string", "null"]},
                },
            },
        }
    },
}
_WANTED: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": NAME_PATTERN},
        "role": {"enum": list(RANKS)},
        "expires": {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": "^[0-9]{1,9}[smhdw]$"},
                {"type": "null"},
            ]
        },
        "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
    },
}
_CREATED: JsonObject = {
    **COMMANDED,
    "properties": {
        **COMMANDED["properties"],
        "name": {"type": "string"},
        "role": {"type": "string"},
        "expires": {"type": ["string", "null"]},
        "token": {"type": ["string", "null"]},
    },
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/admin/tokens",
        name="tokens",
        summary="Who has a token, with which role, until when",
        needs="viewer",
        respond=tokens,
        answers={200: Answer(text="All tokens, without what they are.", schema=_TOKENS)},
    ),
    command_operation("create_token", "/admin/tokens", "Make a token", create, body=_WANTED, schema=_CREATED),
    command_operation(
        "revoke_token",
        "/admin/tokens/{name}/revoke",
        "Revoke a token",
        revoke,
        parameters=(
            Parameter(
                name="name",
                where="path",
                text="Name of the token.",
                schema={"type": "string", "pattern": NAME_PATTERN},
                parse=matching(NAME_PATTERN, "the name of a token"),
            ),
        ),
    ),
)
