"""Which class is the plugin of this name, and can one be made of its settings? Asked in the same way by whoever checks settings
and by whoever runs by them.

This layer knows plugins only by their entry points, and by the name of the class that they have in common.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
from pydantic import BaseModel

from ghostfleet.config.foreign_code import beginning_of, place_of, words_of
from ghostfleet.config.problems import nearest, shown
from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput

ENTRY_POINT_GROUP = "ghostfleet.plugins"
PLUGIN = "ghostfleet.plugins.api.Plugin"
PARTS = ("name", "kinds", "Settings", "Observation")
"""What its class has to say."""
GUIDE = "see docs/plugins.md, The contract"


class PluginUnusable(BadInput):
    """A plugin cannot be used: it is not installed, or twice; does not import; is no plugin; does not take its settings.
    `key` is where the settings name it, `wrong` what is wrong with it, `right` what can be done."""

    def __init__(self, key: str, wrong: str, right: str) -> None:
        self.key, self.wrong, self.right = key, shown(wrong), shown(right)
        super().__init__(f"{key}: {self.wrong}; {self.right}")


def installed_points() -> dict[str, list[EntryPoint]]:
    """Every entry point by the name of its plugin; there should be one of each."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def class_of(name: str, points: Mapping[str, Sequence[EntryPoint]]) -> type[Any]:
    """The class of the plugin of this name. Raises PluginUnusable with what its author or its user can do."""
    candidates = points.get(name, ())
    if not candidates:
        raise _unusable(f"no plugin {name!r} is installed", nearest(name, points))
    if len(candidates) > 1:
        raise _unusable(
            f"plugin {name!r} is there more than once: {' and '.join(_origin(it) for it in candidates)}",
            "uninstall all but one of them, or have its author give it another name",
        )
    (point,) = candidates
    return _required(_loaded(point), point)


def made(name: str, found: type[Any], settings: BaseModel, chain_id: int) -> Any:
    """The plugin of this class with these settings, which can say all that a start asks it. Raises PluginUnusable."""
    try:
        plugin = found(settings, chain_id=chain_id)
    except Exception as problem:  # a boundary: whatever its constructor does
        raise _cannot(name, found, "__init__", problem) from problem
    for asked, addresses_in in _ASKED_AT_A_START.items():
        try:
            wrong = [it for it in addresses_in(getattr(plugin, asked)()) if not _is_address(it)]
        except Exception as problem:  # a boundary as well
            raise _cannot(name, found, asked, problem) from problem
        if wrong:
            told = f"{asked} names an Address of 20 bytes each time, got {type(wrong[0]).__name__}"
            raise PluginUnusable(f"[plugins.{name}]", f"{told}{_at(beginning_of(found, asked))}", "mend the plugin")
    return plugin


_ASKED_AT_A_START: Mapping[str, Callable[[Any], Iterable[object]]] = {
    "contracts": lambda contracts: contracts.values(),
    "tokens": lambda tokens: [token.address for token in tokens],
    "addresses": list,
}
"""What it is asked without a wallet, and the addresses in each answer."""


def _is_address(value: object) -> bool:
    return isinstance(value, Address) and len(value) == 20


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except Exception as problem:  # a boundary: foreign code may fail in any way when it is imported
        gone = isinstance(problem, ModuleNotFoundError) and problem.name == point.module
        raise _unusable(
            f"plugin {point.name!r} does not load from {point.value}: {words_of(problem)}"
            f"{_at(place_of(problem, point.module))}",
            "reinstall the plugin" if gone else "mend the plugin, or install what it needs",
        ) from problem


def _required(found: Any, point: EntryPoint) -> type[Any]:
    """It, once it says all that its class has to say."""
    named = f"plugin {point.name!r}: {point.value}"
    if not isinstance(found, type) or not any(f"{it.__module__}.{it.__qualname__}" == PLUGIN for it in found.__mro__):
        raise _unusable(f"{named} is no subclass of {PLUGIN}", "see docs/plugins.md")
    missing = [part for part in PARTS if not hasattr(found, part)]
    if missing:
        raise _unusable(f"{named} does not say its {', '.join(missing)}", GUIDE)
    parts = {part: getattr(found, part) for part in (*PARTS, "errors")}
    if parts["name"] != point.name:
        raise _unusable(f"{named} calls itself {parts['name']!r}", "the names have to agree")
    absent = sorted(getattr(found, "__abstractmethods__", ()))
    if absent:
        raise _unusable(f"{named} does not define {', '.join(absent)}", GUIDE)
    for part, wanted, fits in _SHAPES:
        if not fits(parts[part]):
            raise _unusable(f"{named}: {part} has to be {wanted}", GUIDE)
    return found


def _are_kinds(value: object) -> bool:
    return isinstance(value, tuple | list) and all(type(kind) is str and kind for kind in value)


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _is_view(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, msgspec.Struct) and not value.__struct_config__.array_like


def _are_errors(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(selector, bytes)
        and isinstance(error, tuple)
        and len(error) == 2
        and isinstance(error[0], str)
        and isinstance(error[1], tuple | list)
        and all(isinstance(kind, str) for kind in error[1])
        for selector, error in value.items()
    )


_SHAPES = (
    ("kinds", "a tuple of names (str)", _are_kinds),
    ("Settings", "a pydantic model", _is_model),
    ("Observation", "a msgspec Struct that is written as an object", _is_view),
    ("errors", "a name and the ABI types of the arguments by 4-byte selector", _are_errors),
)


def _cannot(name: str, found: type[Any], asked: str, problem: Exception) -> PluginUnusable:
    what = "the plugin cannot be made of it" if asked == "__init__" else f"the plugin fails at {asked}"
    place = place_of(problem, found.__module__)
    right = "put its table right, or mend the plugin"
    return PluginUnusable(f"[plugins.{name}]", f"{what}: {words_of(problem)}{_at(place)}", right)


def _unusable(wrong: str, right: str) -> PluginUnusable:
    return PluginUnusable("plugins.enabled", wrong, right)


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def _origin(point: EntryPoint) -> str:
    dist = point.dist
    return f"{dist.name} {dist.version} ({point.value})" if dist is not None else point.value
