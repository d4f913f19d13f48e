"""Which plugins are installed, and how do the enabled ones come to life? By the entry points of `ghostfleet.plugins`."""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from ghostfleet.config.problems import nearest
from ghostfleet.errors import BadInput
from ghostfleet.plugins.api import ENTRY_POINT_GROUP, Plugin


class PluginUnusable(BadInput):
    """A plugin cannot be used: it is not installed, does not import, is no plugin, or does not take its settings."""


def load_plugins(
    tables: Mapping[str, Mapping[str, Any]], enabled: Iterable[str], chain_id: int
) -> dict[str, Plugin[Any]]:
    """One instance of each enabled plugin, by name. `tables` has their `[plugins.NAME]`. Raises PluginUnusable."""
    points = _points()
    plugins: dict[str, Plugin[Any]] = {}
    for name in enabled:
        if name not in points:
            raise PluginUnusable(f"plugins.enabled: no plugin {name!r} is installed; {nearest(name, points)}")
        found = load_class(points[name])
        try:
            settings = found.Settings.model_validate(dict(tables.get(name, {})))
        except ValidationError as error:
            raise PluginUnusable(f"[plugins.{name}]: {_first_problem(error)}") from None
        plugins[name] = found(settings, chain_id=chain_id)
    return plugins


def settings_models() -> dict[str, type[BaseModel]]:
    """The settings model of every installed plugin that can be loaded; for reading a settings file."""
    models = {}
    for name, point in _points().items():
        try:
            models[name] = load_class(point).Settings
        except PluginUnusable:
            continue  # named with its reason when a settings file enables it
    return models


def load_class(point: EntryPoint) -> type[Plugin[Any]]:
    """The plugin's class. Raises PluginUnusable with what its author or its user can do."""
    try:
        found = point.load()
    except Exception as error:  # a boundary: foreign code may fail in any way when it is imported
        raise PluginUnusable(
            f"plugin {point.name!r} does not load from {point.value}: {type(error).__name__}: {error}; reinstall it"
        ) from error
    if not isinstance(found, type) or not issubclass(found, Plugin):
        raise PluginUnusable(
            f"plugin {point.name!r}: {point.value} is no subclass of ghostfleet.plugins.api.Plugin (see docs/plugins.md)"
        )
    missing = [part for part in ("name", "kinds", "Settings", "Observation") if not hasattr(found, part)]
    if missing:
        raise PluginUnusable(f"plugin {point.name!r}: {point.value} does not say its {', '.join(missing)}")
    if found.name != point.name:
        raise PluginUnusable(
            f"plugin {point.name!r}: {point.value} calls itself {found.name!r}; the names have to agree"
        )
    if found.__abstractmethods__:
        absent = ", ".join(sorted(found.__abstractmethods__))
        raise PluginUnusable(f"plugin {point.name!r}: {point.value} does not define {absent}")
    return found


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _first_problem(error: ValidationError) -> str:
    """The first of them, without the value: it may be a secret in the wrong place."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part) for part in details[0]["loc"])
    more = f" (and {len(details) - 1} more; `ghost-fleet validate` lists them)" if len(details) > 1 else ""
    return f"{where}: {details[0]['msg']}{more}" if where else f"{details[0]['msg']}{more}"
