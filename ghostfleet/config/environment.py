"""What the environment adds to the settings file, and where the file is.

GHOST_FLEET_CONFIG (or CONFIG_PATH) names the file; GHOST_FLEET_RPC_URL replaces every endpoint; GHOST_FLEET_LOG_LEVEL,
GHOST_FLEET_JSON_LOGS and GHOST_FLEET_DRY_RUN are options of the run; GHOST_FLEET__SECTION__KEY overrides any single key.
An empty variable counts as not set.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from ghostfleet.config.loaded import RunOptions
from ghostfleet.config.problems import Problem, nearest, problem, shown
from ghostfleet.config.settings import KEYS_TABLES, SECTIONS
from ghostfleet.errors import BadInput
from ghostfleet.keys.passwords import PASSWORD_VARIABLE

ENVIRONMENT = "environment"
"""Stands as the file of a problem whose cause is a variable."""
CONFIG_VARIABLES = ("GHOST_FLEET_CONFIG", "CONFIG_PATH")
DEFAULT_PATHS = (Path("config.toml"), Path("/etc/ghost-fleet/config.toml"))
RPC_URL_VARIABLE = "GHOST_FLEET_RPC_URL"
LOG_LEVEL_VARIABLE = "GHOST_FLEET_LOG_LEVEL"
DRY_RUN_VARIABLE = "GHOST_FLEET_DRY_RUN"
JSON_LOGS_VARIABLE = "GHOST_FLEET_JSON_LOGS"
ADMIN_TOKEN_VARIABLE = "GHOST_FLEET_ADMIN_TOKEN"  # noqa: S105 - the name of it
DATA_DIRECTORY_VARIABLE = "GHOST_FLEET_DATA_DIRECTORY"
KNOWN_VARIABLES = (
    "GHOST_FLEET_CONFIG",
    RPC_URL_VARIABLE,
    LOG_LEVEL_VARIABLE,
    DRY_RUN_VARIABLE,
    JSON_LOGS_VARIABLE,
    ADMIN_TOKEN_VARIABLE,
    DATA_DIRECTORY_VARIABLE,
    PASSWORD_VARIABLE,
)
OVERRIDE_PREFIX = "GHOST_FLEET__"
LOG_LEVELS = ("debug", "info", "warning", "error")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

KeyPath = tuple[str, ...]


class NoConfig(BadInput):
    """No settings file was named and none is in the usual places."""


def config_path(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The file to load: the one given, that of the environment, or the first of the usual places. Raises NoConfig."""
    if given is not None:
        return given
    for variable in CONFIG_VARIABLES:
        if environ.get(variable):
            return Path(environ[variable])
    for path in DEFAULT_PATHS:
        if path.is_file():
            return path
    places = " and ".join(str(path) for path in DEFAULT_PATHS)
    raise NoConfig(f"no settings file: give --config FILE, set GHOST_FLEET_CONFIG, or write one at {places}")


def run_options(environ: Mapping[str, str], log_level: str = "info") -> tuple[RunOptions, list[Problem]]:
    """The options of this run; `log_level` is what the settings file says where the environment says nothing."""
    problems: list[Problem] = []

    def switch(variable: str) -> bool:
        word = environ.get(variable, "").strip().lower()
        if word and word not in _TRUE + _FALSE:
            problems.append(problem(ENVIRONMENT, variable, "is neither yes nor no", "set it to true or false"))
        return word in _TRUE

    level = environ.get(LOG_LEVEL_VARIABLE, "").strip().lower() or log_level
    level = {"warn": "warning", "trace": "debug"}.get(level, level)
    if level not in LOG_LEVELS:
        problems.append(problem(ENVIRONMENT, LOG_LEVEL_VARIABLE, f"no log level {level!r}", nearest(level, LOG_LEVELS)))
    dry_run, json_logs = switch(DRY_RUN_VARIABLE), switch(JSON_LOGS_VARIABLE)
    return RunOptions(dry_run=dry_run, log_level=level, json_logs=json_logs), problems


def apply_overrides(
    table: dict[str, Any], environ: Mapping[str, str], plugin_models: Mapping[str, type[BaseModel]]
) -> tuple[dict[KeyPath, str], list[Problem]]:
    """Put the overrides into `table`. Returns which variable set which key, and what could not be applied."""
    origin: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    if environ.get(RPC_URL_VARIABLE) and isinstance(table.setdefault("chain", {}), dict):
        table["chain"]["rpc_url"] = environ[RPC_URL_VARIABLE]
        table["chain"].pop("rpc_urls", None)
        origin["chain", "rpc_url"] = RPC_URL_VARIABLE
    for variable in sorted(name for name in environ if name.startswith(OVERRIDE_PREFIX) and environ[name]):
        path = tuple(variable.removeprefix(OVERRIDE_PREFIX).lower().split("__"))
        wrong = _refusal(path)
        target = None if wrong else _inner_table(table, path[:-1])
        if target is None:
            right = nearest(path[0], SECTIONS) if path[0] not in SECTIONS else "use GHOST_FLEET__SECTION__KEY"
            problems.append(problem(ENVIRONMENT, variable, wrong or "overrides a key that is no table", right))
            continue
        target[path[-1]] = _typed(environ[variable], _model_of(path, plugin_models), path[-1])
        origin[path] = variable
    return origin, problems


def suspicious_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like a misspelt one of ours (Kubernetes adds some of its own that do not)."""
    warnings = []
    for name in sorted(environ):
        if not name.startswith("GHOST_FLEET_") or name.startswith(OVERRIDE_PREFIX) or name in KNOWN_VARIABLES:
            continue
        close = difflib.get_close_matches(name, KNOWN_VARIABLES, n=1, cutoff=0.88)
        if close:
            warnings.append(f"environment variable {shown(name)} has no meaning; did you mean {close[0]}?")
    return warnings


def _refusal(path: KeyPath) -> str | None:
    if path[0] not in SECTIONS:
        return f"there is no section {path[0]!r}"
    if path[0] == "wallets":
        return "wallets cannot be overridden from the environment"
    depths = {"profiles": (3,), "plugins": (2, 3), "keys": (2, 3)}.get(path[0], (2,))
    if len(path) not in depths or not all(path):
        return "does not name one key"
    return None


def _inner_table(table: dict[str, Any], path: KeyPath) -> dict[str, Any] | None:
    inner: Any = table
    for part in path:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return None
    return inner if isinstance(inner, dict) else None


def _model_of(path: KeyPath, plugin_models: Mapping[str, type[BaseModel]]) -> type[BaseModel] | None:
    if path[0] == "plugins" and len(path) == 3:
        return plugin_models.get(path[1])
    if path[0] == "keys" and len(path) == 3:
        return KEYS_TABLES.get(path[1])
    return SECTIONS[path[0]]


def _typed(text: str, model: type[BaseModel] | None, key: str) -> object:
    """The text as the type the key has; what does not fit stays text and is reported with the rest of the file."""
    field = model.model_fields.get(key) if model is not None else None
    if field is None:
        return _toml_value(text)
    annotation: Any = field.annotation
    if get_origin(annotation) in (list, dict, tuple):
        value = _toml_value(text)
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    try:
        return TypeAdapter(annotation).validate_python(text, strict=False)
    except (ValidationError, ValueError):
        return text


def _toml_value(text: str) -> object:
    if not re.match(r"[\[{\"'0-9+-]|true$|false$", text):
        return text
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if list(document) == ["value"] else text
