"""Which plugins are installed, and how do the enabled ones come to life? By the entry points of `ghostfleet.plugins`."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ghostfleet.config.plugin_classes import PluginUnusable, class_of, installed_points, made
from ghostfleet.plugins.api import Plugin

__all__ = ["PluginUnusable", "load_plugins", "settings_models"]


def load_plugins(
    tables: Mapping[str, Mapping[str, Any]], enabled: Iterable[str], chain_id: int
) -> dict[str, Plugin[Any]]:
    """One instance of each enabled plugin, by name. `tables` has their `[plugins.NAME]`. Raises PluginUnusable."""
    points = installed_points()
    plugins: dict[str, Plugin[Any]] = {}
    for name in enabled:
        found: type[Plugin[Any]] = class_of(name, points)
        try:
            settings = found.Settings.model_validate(dict(tables.get(name, {})))
        except ValidationError as error:
            raise PluginUnusable(f"[plugins.{name}]", _first_problem(error), "put its table right") from None
        plugins[name] = made(name, found, settings, chain_id)
    return plugins


def settings_models() -> dict[str, type[BaseModel]]:
    """The settings model of every installed plugin that can be loaded; for reading a settings file."""
    models: dict[str, type[BaseModel]] = {}
    points = installed_points()
    for name in points:
        try:
            models[name] = class_of(name, points).Settings
        except PluginUnusable:
            continue  # named with its reason when a settings file enables it
    return models


def _first_problem(error: ValidationError) -> str:
    """The first of them, without the value: it may be a secret in the wrong place."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part) for part in details[0]["loc"])
    more = f" (and {len(details) - 1} more; `ghost-fleet validate` lists them)" if len(details) > 1 else ""
    return f"{where}: {details[0]['msg']}{more}" if where else f"{details[0]['msg']}{more}"
