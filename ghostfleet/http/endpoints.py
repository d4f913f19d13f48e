"""The RPC endpoints: how each of them is, and the commands that keep requests away from one."""

import msgspec
from starlette.responses import Response

from ghostfleet.chain.endpoints import handle_of
from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.commands import MAX_REASON_CHARS
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

HANDLE_PATTERN = r"^[A-Za-z0-9._:~\[\]-]{1,300}$"


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of the command; `last` says that nobody may be left to ask."""

    reason: str = ""
    last: bool = False


async def endpoints(ask: Ask) -> Response:
    """Every endpoint, in order of preference."""
    return json_response({"endpoints": list(ask.doors.service.endpoints())})


async def drain(ask: Ask) -> Response:
    """No new request goes there; those under way finish."""
    wanted = read_command_body(ask.body, Drain, '{"reason": "...", "last": false} or nothing')
    service, name = ask.doors.service, _named(ask)
    command = command_of(ask, "drain_endpoint", target=name, reason=checked_reason(wanted.reason))
    obeyed = await service.drain(command, last=wanted.last)
    under_way = sum(it.in_flight for it in service.endpoints() if it.name == name)
    return done(ask, obeyed, status="drained", endpoint=name, in_flight=under_way)


async def restore(ask: Ask) -> Response:
    """It may be asked again."""
    name = _named(ask)
    obeyed = await ask.doors.service.restore(command_of(ask, "restore_endpoint", target=name))
    return done(ask, obeyed, status="restored", endpoint=name)


def _named(ask: Ask) -> str:
    """The endpoint that the path means, configured or drained while it was. Raises Problem."""
    service, handle = ask.doors.service, ask.params["endpoint"]
    known = dict.fromkeys((*(it.name for it in service.endpoints()), *service.state.fleet.drained_endpoints))
    names = [name for name in known if handle_of(name) == handle]
    if not names:
        there = ", ".join(handle_of(name) for name in known)
        raise Problem(404, f"there is no endpoint {handle}; there are {there}")
    if len(names) > 1:
        raise Problem(409, f"{handle} may be {' or '.join(names)}: leave one of them in the settings")
    return names[0]


_ENDPOINT = Parameter(
    name="endpoint",
    where="path",
    text="Its handle: host and port, and ~2 for the second one there, as GET /admin/endpoints tells it.",
    schema={"type": "string", "pattern": HANDLE_PATTERN},
    parse=matching(HANDLE_PATTERN, "the handle of an endpoint, such as 127.0.0.1:8545"),
)
_STATUS: JsonObject = {
    "type": "object",
    "required": ["endpoints"],
    "properties": {
        "endpoints": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "handle", "healthy", "drained", "reason", "requests", "in_flight", "faults"],
            },
        }
    },
}
_DRAIN_BODY: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"reason": {"type": "string", "maxLength": MAX_REASON_CHARS}, "last": {"type": "boolean"}},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/admin/endpoints",
        name="endpoints",
        summary="How each RPC endpoint is",
        needs="viewer",
        respond=endpoints,
        answers={200: Answer(text="Every endpoint, in order of preference.", schema=_STATUS)},
    ),
    command_operation(
        "drain_endpoint",
        "/admin/endpoints/{endpoint}/drain",
        "Send an RPC endpoint no new request",
        drain,
        parameters=(_ENDPOINT,),
        body=_DRAIN_BODY,
    ),
    command_operation(
        "restore_endpoint",
        "/admin/endpoints/{endpoint}/restore",
        "Ask a drained RPC endpoint again",
        restore,
        parameters=(_ENDPOINT,),
    ),
)
