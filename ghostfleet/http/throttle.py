"""The command that slows the fleet down, and lets it go again."""

import msgspec
from starlette.responses import Response

from ghostfleet.domain.throttle import FULL_PACE, MIN_FACTOR
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
from ghostfleet.http.contract import Ask, Operation
from ghostfleet.http.problems import Problem


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of the command."""

    factor: float
    reason: str = ""


async def throttle(ask: Ask) -> Response:
    """From here on the fleet goes at this factor of its pace; 1 is full pace."""
    wanted = read_command_body(ask.body, Pace, '{"factor": 0.25, "reason": "..."}')
    if not MIN_FACTOR <= wanted.factor <= FULL_PACE:
        raise Problem(422, f"the factor is a number from {MIN_FACTOR:g} to {FULL_PACE:g}; to stop the fleet, pause it")
    command = command_of(ask, "throttle", target=f"{wanted.factor:g}", reason=checked_reason(wanted.reason))
    obeyed = await ask.doors.service.throttle(command, wanted.factor)
    factor = ask.doors.service.state.fleet.pace
    return done(ask, obeyed, status="running" if factor == FULL_PACE else "throttled", factor=factor)


_BODY: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["factor"],
    "properties": {
        "factor": {"type": "number", "minimum": MIN_FACTOR, "maximum": FULL_PACE},
        "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
    },
}

OPERATIONS: tuple[Operation, ...] = (
    command_operation(
        "throttle",
        "/admin/throttle",
        "Let the fleet go at a factor of its pace",
        throttle,
        body=_BODY,
        schema={**COMMANDED, "properties": {**COMMANDED["properties"], "factor": {"type": "number"}}},
    ),
)
