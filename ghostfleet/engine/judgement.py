"""What does a plugin say of what has happened? Its failure is written down, and keeps nobody from recording the rest."""

from collections.abc import Sequence
from typing import Any

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import JsonObject, LogEntry
from ghostfleet.engine.trouble import MAX_MESSAGE, describe
from ghostfleet.engine.world import World
from ghostfleet.plugins.api import Plugin, Verdict


async def judged(world: World, wallet: str, plugin: Plugin[Any], kind: str, reason: str) -> Verdict:
    """Whose fault a revert was. One that cannot be judged counts, like one of a plugin that judges nothing."""
    try:
        return plugin.judge(kind, reason)
    except Exception as defect:  # the boundary to plugin code
        await _note(world, wallet, plugin, "judge", defect)
        return Verdict()


async def decoded(
    world: World, wallet: str, plugins: Sequence[Plugin[Any]], entries: Sequence[LogEntry]
) -> tuple[JsonObject, ...]:
    """The entries that a plugin knows, each by the first that does. What one fails at is left out, and said once."""
    found: list[JsonObject] = []
    failed: dict[str, tuple[Plugin[Any], Exception]] = {}
    for entry in entries:
        for plugin in plugins:
            try:
                log = plugin.decode_log(entry)
            except Exception as defect:  # the boundary to plugin code
                failed.setdefault(plugin.name, (plugin, defect))
                continue
            if log is not None:
                found.append(log)
                break
    for plugin, problem in failed.values():
        await _note(world, wallet, plugin, "decode_log", problem)
    return tuple(found)


async def _note(world: World, wallet: str, plugin: Plugin[Any], asked: str, defect: Exception) -> None:
    words = f"{plugin.name}: {asked}: {describe(defect)}"[:MAX_MESSAGE]
    error = ev.ErrorRecorded(error_class="defect", message=words)
    await world.live.write(decisions.for_wallet(wallet, "", [error]))
