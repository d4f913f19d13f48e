"""Asks a plugin. Whatever goes wrong in there becomes one failure that says which plugin, which method, what and where."""

import inspect
import logging
import traceback
from typing import Any

import msgspec

from ghostfleet.config.foreign_code import beginning_of, place_of
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.schedule import Random
from ghostfleet.domain.values import JsonObject, LogEntry
from ghostfleet.engine.trouble import MAX_MESSAGE, describe
from ghostfleet.errors import GhostFleetError, StopService, TryAgain
from ghostfleet.plugins import answers
from ghostfleet.plugins.answers import WrongAnswer
from ghostfleet.plugins.api import Action, ChainView, Plugin, Rest, Verdict, WalletFacts
from ghostfleet.telemetry.logs import LOGGER

MAX_TRACEBACK_ENTRIES = 30
"""The innermost ones are told."""


class PluginFailed(GhostFleetError):
    """A plugin's method raised, or answered what its contract does not allow: `piggy: decide: KeyError: 'nope' (piggy.py:64)`.
    The traceback is in the log output at level debug. Mend the plugin; the wallet asks it again at its next turn."""

    def __init__(self, plugin: Plugin[Any], asked: str, problem: Exception) -> None:
        self.asked = asked
        self.problem = problem
        place = place_of(problem, type(plugin).__module__)
        if isinstance(problem, WrongAnswer):
            place = place or beginning_of(type(plugin), asked)
        before, after = f"{plugin.name}: ", f" ({place})" if place else ""
        words = f"{asked}: {problem if isinstance(problem, WrongAnswer) else describe(problem)}"
        self.told = f"{words[: MAX_MESSAGE - len(before) - len(after)]}{after}"
        """Without the plugin's name."""
        super().__init__(f"{before}{self.told}")

    @property
    def error_class(self) -> str:
        """What the log calls it: what is not there to be read is no defect yet."""
        return "observation" if self.asked == "observe" and not isinstance(self.problem, WrongAnswer) else "defect"

    def tell_traceback(self) -> None:
        """At level debug, a record a line: lines of code, and no values of variables. Of a wrong answer there is none to tell."""
        logger = logging.getLogger(LOGGER)
        if not logger.isEnabledFor(logging.DEBUG) or isinstance(self.problem, WrongAnswer):
            return
        logger.debug("%s", self)
        found = traceback.TracebackException.from_exception(self.problem, limit=-MAX_TRACEBACK_ENTRIES)
        for entry in found.format():
            for line in entry.splitlines():
                logger.debug("%s", line)


class _Asking:
    """The boundary to plugin code: whatever is raised within, but what `passes`, is PluginFailed."""

    __slots__ = ("_asked", "_passes", "_plugin")

    def __init__(self, plugin: Plugin[Any], asked: str, *, passes: tuple[type[Exception], ...] = ()) -> None:
        self._plugin, self._asked, self._passes = plugin, asked, passes

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, problem: BaseException | None, _traceback: object) -> None:
        if isinstance(problem, Exception) and not isinstance(problem, self._passes):
            raise PluginFailed(self._plugin, self._asked, problem) from problem


async def observed(plugin: Plugin[Any], facts: WalletFacts, chain: ChainView) -> msgspec.Struct:
    """Raises PluginFailed, and errors of the chain that pass by themselves."""
    with _Asking(plugin, "observe", passes=(TryAgain, StopService)):
        observing: object = plugin.observe(facts, chain)
        if not inspect.isawaitable(observing):
            raise WrongAnswer(f"observe is an `async def`, got {type(observing).__name__}")
        seen: object = await observing
        return answers.view(seen, plugin.Observation)


def decided(plugin: Plugin[Any], view: Any, facts: WalletFacts, profile: Profile, random: Random) -> Action | Rest:
    """Raises PluginFailed."""
    with _Asking(plugin, "decide"):
        return answers.choice(plugin.decide(view, facts, profile, random), plugin.kinds)


def record_of(plugin: Plugin[Any], view: object, facts: WalletFacts) -> JsonObject:
    """What was seen, `wallet` and `view`, as a decision records it. Raises PluginFailed."""
    try:
        seen = answers.json_object({"wallet": facts, "view": view}, "the answer")
        if not isinstance(seen["view"], dict):
            raise WrongAnswer(f"the answer is a JSON object when it is written, got {type(seen['view']).__name__}")
        return seen
    except WrongAnswer as problem:
        raise PluginFailed(plugin, "observe", problem) from problem


def judged(plugin: Plugin[Any], kind: str, reason: str) -> Verdict:
    """Raises PluginFailed."""
    with _Asking(plugin, "judge"):
        return answers.verdict(plugin.judge(kind, reason))


def decoded(plugin: Plugin[Any], entry: LogEntry) -> JsonObject | None:
    """Raises PluginFailed."""
    with _Asking(plugin, "decode_log"):
        return answers.decoded_log(plugin.decode_log(entry))


def ways_out(plugin: Plugin[Any], view: Any, facts: WalletFacts) -> tuple[Action, ...]:
    """Raises PluginFailed."""
    with _Asking(plugin, "withdraw"):
        return answers.way_out(plugin.withdraw(view, facts), plugin.kinds)


def remarks(plugin: Plugin[Any], view: Any) -> tuple[str, ...]:
    """Raises PluginFailed."""
    with _Asking(plugin, "remarks"):
        return answers.remarks(plugin.remarks(view))


def coming(plugin: Plugin[Any], view: Any) -> str:
    """Raises PluginFailed."""
    with _Asking(plugin, "coming"):
        return answers.coming(plugin.coming(view))
