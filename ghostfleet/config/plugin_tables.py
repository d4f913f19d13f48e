"""Which plugins are installed, do their tables fit the models they bring along, and can they be made of them?"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ghostfleet.config.loaded import PluginTable
from ghostfleet.config.plugin_classes import PluginUnusable, class_of, installed_points, made
from ghostfleet.config.problems import nearest
from ghostfleet.config.settings import ChainSettings
from ghostfleet.config.shape import Shape
from ghostfleet.keys.addresses import parse_address

_PLACEHOLDER = re.compile(r"<[A-Z0-9_ ]*>")


class InstalledPlugins:
    """The plugins of this environment, loaded when the settings name them."""

    def __init__(
        self,
        models: Mapping[str, type[BaseModel]],
        failures: Mapping[str, PluginUnusable],
        classes: Mapping[str, type[Any]] | None = None,
    ) -> None:
        self.models = models
        self.failures = failures
        self.classes = classes or {}
        """Of which a plugin can be made."""

    @property
    def names(self) -> set[str]:
        return set(self.models) | set(self.failures)


def installed_plugins() -> InstalledPlugins:
    """Load every plugin's class. One that cannot be loaded is a problem only for settings that enable it."""
    classes: dict[str, type[Any]] = {}
    failures: dict[str, PluginUnusable] = {}
    points = installed_points()
    for name in points:
        try:
            classes[name] = class_of(name, points)
        except PluginUnusable as unusable:
            failures[name] = unusable
    return InstalledPlugins({name: found.Settings for name, found in classes.items()}, failures, classes)


def read_plugin_tables(
    shape: Shape, enabled: list[str], installed: InstalledPlugins, *, make: bool = False
) -> tuple[PluginTable, ...]:
    """The tables of the enabled plugins, in their order; what is wrong goes to the shape's problems. With `make` each plugin
    is made of its table, as a start does, where there is nothing wrong with that and the chain is known."""
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
            shape.report(("plugins", "enabled"), installed.failures[name].wrong, installed.failures[name].right)
            continue
        misplaced = _report_addresses(shape, name, table)
        before = len(shape.problems)
        settings = _read_settings(shape, name, table, installed.models[name])
        shape.problems[before:] = [found for found in shape.problems[before:] if found.key not in misplaced]
        if make and settings is not None and len(shape.problems) == before and not misplaced:
            _try_to_make(shape, name, settings, installed)
        tables.append(PluginTable(name=name, table=table, settings=settings))
    return tuple(tables)


def _read_settings(shape: Shape, name: str, table: dict[str, Any], model: type[BaseModel]) -> BaseModel | None:
    try:
        return shape.read(model, table, ("plugins", name))
    except Exception as error:  # a boundary: a plugin's own validator failed in its own way
        shape.report(("plugins", name), f"the plugin cannot read it ({type(error).__name__})", "see the plugin's guide")
        return None


def _try_to_make(shape: Shape, name: str, settings: BaseModel, installed: InstalledPlugins) -> None:
    """What is wrong with that, a start would end with."""
    chain, found = shape.sections.get("chain"), installed.classes.get(name)
    if not isinstance(chain, ChainSettings) or found is None:
        return
    try:
        made(name, found, settings, chain.chain_id)
    except PluginUnusable as unusable:
        shape.report(("plugins", name), unusable.wrong, unusable.right)


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
