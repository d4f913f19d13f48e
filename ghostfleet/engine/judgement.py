"""What does a plugin say of what has happened? Its failure is written down, and keeps nobody from recording the rest."""

from collections.abc import Sequence
from typing import Any

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import JsonObject, LogEntry
from ghostfleet.engine import asking
from ghostfleet.engine.asking import PluginFailed
from ghostfleet.engine.world import World
from ghostfleet.plugins.api import Plugin, Verdict


async def judged(world: World, wallet: str, plugin: Plugin[Any], kind: str, reason: str) -> Verdict:
    """Whose fault a revert was. One that cannot be judged counts, like one of a plugin that judges nothing."""
    try:
        return asking.judged(plugin, kind, reason)
    except PluginFailed as failure:
        await _note(world, wallet, failure)
        return Verdict()


async def decoded(
    world: World, wallet: str, plugins: Sequence[Plugin[Any]], entries: Sequence[LogEntry]
) -> tuple[JsonObject, ...]:
    """The entries that a plugin knows, each by the first that does. What one fails at is left out, and said once."""
    found: list[JsonObject] = []
    failed: dict[str, PluginFailed] = {}
    for entry in entries:
        for plugin in plugins:
            try:
                log = asking.decoded(plugin, entry)
            except PluginFailed as failure:
                failed.setdefault(plugin.name, failure)
                continue
            if log is not None:
                found.append(log)
                break
    for it in failed.values():
        await _note(world, wallet, it)
    return tuple(found)


async def _note(world: World, wallet: str, failure: PluginFailed) -> None:
    failure.tell_traceback()
    error = ev.ErrorRecorded(error_class=failure.error_class, message=str(failure))
    await world.live.write(decisions.for_wallet(wallet, "", [error]))
