"""The settings in force, and the command to read them again."""

from collections.abc import Sequence

from starlette.responses import Response

from ghostfleet.config.changes import Difference
from ghostfleet.config.plugin_classes import PluginUnusable
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.domain.events import ConfigApplied
from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.ports import Obeyed
from ghostfleet.engine.reloading import NotWhileRunning
from ghostfleet.http.commands import COMMANDED, command_of, command_operation, done
from ghostfleet.http.contract import Answer, Ask, Operation
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.http.story import read
from ghostfleet.keys.keyring import KeysUnusable
from ghostfleet.store.queries import EventQuery

MAX_LISTED = 1000
"""Problems and changes in one answer. The log has every change, `ghost-fleet validate` every problem."""


async def settings(ask: Ask) -> Response:
    """Everything in force, defaults included, without a secret."""
    service = ask.doors.service
    return json_response({"config_digest": service.state.fleet.config_digest, "settings": service.settings()})


async def reload(ask: Ask) -> Response:
    """All that differs comes into force, or nothing; what is in the way is listed, all of it."""
    command = command_of(ask, "reload")
    try:
        reloaded = await ask.doors.service.reload(command)
    except ConfigInvalid as invalid:
        problems = [{"file": it.file, "key": it.key, "wrong": it.wrong, "right": it.right} for it in invalid.problems]
        raise Problem(422, f"nothing was applied: {invalid}", problems=problems[:MAX_LISTED]) from None
    except PluginUnusable as unusable:
        raise Problem(422, f"nothing was applied: {unusable}") from None
    except KeysUnusable as unusable:
        raise Problem(409, f"nothing was applied: {unusable}", problems=unusable.problems[:MAX_LISTED]) from None
    except NotWhileRunning as refused:
        keys = [{**it.shown(), "applies": it.applies, "why": it.why} for it in refused.changes]
        raise Problem(409, str(refused), keys=keys[:MAX_LISTED]) from None
    changes: Sequence[JsonObject] = [it.shown() for it in reloaded.difference.changes]
    if reloaded.obeyed.repeated:
        changes = await _changes_of(ask, reloaded.obeyed)
    return done(
        ask,
        reloaded.obeyed,
        status="reloaded" if changes else "unchanged",
        config_digest=reloaded.digest,
        changes=changes[:MAX_LISTED],
        changes_left_out=max(0, len(changes) - MAX_LISTED),
        wallets=_wallets(reloaded.difference),
        unchecked_endpoints=reloaded.unchecked,
    )


async def _changes_of(ask: Ask, obeyed: Obeyed) -> Sequence[JsonObject]:
    """What the same command changed when it came first."""
    query = EventQuery(types=(ConfigApplied.__name__,), correlation=obeyed.request_id, limit=1)
    found = await read(ask.doors.log, query, 1)
    return found[0].event.changes if found and isinstance(found[0].event, ConfigApplied) else ()


def _wallets(difference: Difference) -> JsonObject:
    return {what: names[:MAX_LISTED] for what, names in difference.wallets().items()}


_SETTINGS: JsonObject = {
    "type": "object",
    "required": ["config_digest", "settings"],
    "properties": {"config_digest": {"type": "string"}, "settings": {"type": "object"}},
}
_RELOADED: JsonObject = {
    "type": "object",
    "required": [*COMMANDED["required"], "config_digest", "changes", "wallets", "unchecked_endpoints"],
    "properties": {
        **COMMANDED["properties"],
        "config_digest": {"type": "string"},
        "changes": {"type": "array", "items": {"type": "object", "required": ["key", "before", "after"]}},
        "changes_left_out": {"type": "integer"},
        "wallets": {"type": "object", "required": ["added", "removed", "changed"]},
        "unchecked_endpoints": {"type": "array", "items": {"type": "string"}},
    },
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/admin/settings",
        name="settings",
        summary="The settings in force, redacted",
        needs="viewer",
        respond=settings,
        answers={200: Answer(text="Every setting, defaults included.", schema=_SETTINGS)},
    ),
    command_operation("reload", "/admin/reload", "Read the settings file again", reload, schema=_RELOADED),
)
