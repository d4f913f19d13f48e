"""Which plugins are installed, and do their tables fit the models they bring along?

This layer knows plugins only by their entry points: a class with `Settings`, a pydantic model.
"""

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from ghostfleet.config.loaded import PluginTable
from ghostfleet.config.problems import nearest
from ghostfleet.config.shape import Shape
from ghostfleet.keys.addresses import parse_address

ENTRY_POINT_GROUP = "ghostfleet.plugins"
_PLACEHOLDER = re.compile(r"<[A-Z0-9_ ]*>")


class InstalledPlugins:
    """The plugins of this environment, loaded when the settings name them."""

    def __init__(self, models: Mapping[str, type[BaseModel]], failures: Mapping[str, str]) -> None:
        self.models = models
        self.failures = failures

    @property
    def names(self) -> set[str]:
        return set(self.models) | set(self.failures)


def installed_plugins() -> InstalledPlugins:
    """Load every plugin's class. One that cannot be loaded is a problem only for settings that enable it."""
    models: dict[str, type[BaseModel]] = {}
    failures: dict[str, str] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        model = _settings_model(point)
        if isinstance(model, str):
            failures[point.name] = model
        else:
            models[point.name] = model
    return InstalledPlugins(models, failures)


def _settings_model(point: EntryPoint) -> type[BaseModel] | str:
    try:
        model = getattr(point.load(), "Settings", None)
    except Exception as error:  # a boundary: foreign code, and its failure becomes a problem the operator reads
        return f"cannot be loaded: {type(error).__name__}: {error}"
    if isinstance(model, type) and issubclass(model, BaseModel):
        return model
    return "has no Settings model"


def read_plugin_tables(shape: Shape, enabled: list[str], installed: InstalledPlugins) -> tuple[PluginTable, ...]:
    """The tables of the enabled plugins, in their order; what is wrong goes to the shape's problems."""
    for name in shape.plugin_tables:
        if name not in installed.names:
            shape.report(("plugins", name), "no such plugin", nearest(name, {"enabled", *installed.names}))
    tables = []
    for name in dict.fromkeys(enabled):
        table = shape.plugin_tables.get(name, {})
        if name not in installed.names:
            shape.report(("plugins", "enabled"), f"no such plugin {name!r}", nearest(name, installed.names))
            continue
        if name in installed.failures:
            shape.report(("plugins", "enabled"), f"plugin {name!r} {installed.failures[name]}", "reinstall the plugin")
            continue
        misplaced = _report_addresses(shape, name, table)
        before = len(shape.problems)
        settings = _read_settings(shape, name, table, installed.models[name])
        shape.problems[before:] = [found for found in shape.problems[before:] if found.key not in misplaced]
        tables.append(PluginTable(name=name, table=table, settings=settings))
    return tuple(tables)


def _read_settings(shape: Shape, name: str, table: dict[str, Any], model: type[BaseModel]) -> BaseModel | None:
    try:
        return shape.read(model, table, ("plugins", name))
    except Exception as error:  # a boundary: a plugin's own validator failed in its own way
        shape.report(("plugins", name), f"the plugin cannot read it ({type(error).__name__})", "see the plugin's guide")
        return None


def _report_addresses(shape: Shape, name: str, table: dict[str, Any]) -> set[str]:
    """A contract's address is never zero, and its checksum fits, whatever the plugin. Returns the keys reported."""
    reported = set()
    for key, value in table.items():
        if isinstance(value, str) and _PLACEHOLDER.fullmatch(value):
            shape.report(("plugins", name, key), f"is the placeholder {value}", "put its value here")
            reported.add(shape.problems[-1].key)
        if not isinstance(value, str) or len(value) != 42 or not value.lower().startswith("0x"):
            continue
        try:
            zero = not any(parse_address(value))
        except ValueError as error:
            shape.report(("plugins", name, key), f"{value} is no address", str(error))
        else:
            if not zero:
                continue
            shape.report(("plugins", name, key), "is the zero address", "give the contract's address")
        reported.add(shape.problems[-1].key)
    return reported
