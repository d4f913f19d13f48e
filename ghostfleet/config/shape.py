"""Does each section have the keys, types and ranges it should? Answers with problems instead of exceptions.

Every table is looked at on its own, so that a mistake in one hides none in another.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ghostfleet.config.environment import ENVIRONMENT, KeyPath
from ghostfleet.config.problems import Problem, nearest, problem, shown
from ghostfleet.config.settings import LIKE_A_KEY, MAX_WALLETS, NAME, SECTIONS, ProfileSettings, Section, WalletSettings

ModelT = TypeVar("ModelT", bound=BaseModel)

_UNSHOWN = frozenset({"private_key", "password_file", "password_env", "rpc_url", "rpc_urls", "url", "sha256", "tokens"})
"""Keys whose values stay out of messages: secrets, or where one lands by mistake."""
_TOML_NAMES = {
    bool: "true/false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}
MAX_SHOWN = 60


class Shape:
    """The sections that have the right shape; the others are missing here and named in `problems`."""

    def __init__(self, file: str, origin: Mapping[KeyPath, str]) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.sections: dict[str, Section] = {}
        self.wallets: list[tuple[int, dict[str, Any], WalletSettings | None]] = []
        self.profiles: dict[str, ProfileSettings] = {}
        self.profile_names: set[str] = set()
        self.plugin_tables: dict[str, dict[str, Any]] = {}
        self._origin = origin

    def report(self, path: KeyPath, wrong: str, right: str) -> None:
        """Note a problem at a key, or at the variable that set it."""
        variable = self._origin.get(tuple(part for part in path if not part.startswith("[")))
        key = ".".join(path).replace(".[", "[")
        self.problems.append(problem(ENVIRONMENT if variable else self.file, variable or key, wrong, right))

    def read(self, model: type[ModelT], table: object, path: KeyPath) -> ModelT | None:
        """The table as its model, or None after noting everything that is wrong with it."""
        if not isinstance(table, dict):
            self.report(path, f"is {_kind(table)}, not a table", f"write it as [{'.'.join(path)}] with keys below")
            return None
        strict = model.model_config.get("extra") == "forbid"
        unknown = [key for key in table if key not in _keys_of(model)] if strict else []
        for key in unknown:
            self.report((*path, key), "unknown key", nearest(key, _keys_of(model)))
        try:
            return model.model_validate({key: value for key, value in table.items() if key not in unknown})
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=True):
                self._report_detail(model, path, detail)
        return None

    def _report_detail(self, model: type[BaseModel], path: KeyPath, detail: Any) -> None:
        location = tuple(f"[{part}]" if isinstance(part, int) else str(part) for part in detail["loc"])
        key = _secret_part(detail["loc"]) or (str(detail["loc"][0]) if detail["loc"] else "")
        field = _field_at(model, detail["loc"])
        context, kind, value = detail.get("ctx", {}), detail["type"], detail.get("input")
        wrong, right = "is not accepted", str(detail["msg"]).removeprefix("Value error, ")
        if kind == "missing":
            wrong = "is missing"
            right = f"it is: {field.description}" if field is not None and field.description else "add it"
        elif kind == "extra_forbidden":
            wrong, right = "unknown key", "remove it"
        elif kind.endswith(("_type", "_from_float", "_parsing")) and not _is_secret_key(key):
            wrong, right = (
                f"is {_kind(value)}",
                right.removeprefix("Input should be ")
                .replace("a valid integer", "a whole number")
                .replace("a valid", "a"),
            )
            right = f"expected {right}"
        elif kind == "literal_error":
            wrong = f"is {_value(key, value)}"
            right = f"expected {context.get('expected', 'one of the documented words')}"
        elif not _is_secret_key(key):
            wrong = f"is {_value(key, value)}"
            right = right.replace("Input should be", "expected a value")
        self.report((*path, *location), wrong, right)


def read_shape(table: dict[str, Any], file: str, origin: Mapping[KeyPath, str]) -> Shape:
    """Look at every section of the file, plugin tables excepted: those have models of their own."""
    shape = Shape(file, origin)
    for key in table:
        if key not in SECTIONS:
            shape.report((key,), "unknown section", nearest(key, SECTIONS))
    for name, model in SECTIONS.items():
        if name == "wallets":
            _read_wallets(shape, table.get(name, []))
        elif name == "profiles":
            _read_profiles(shape, table.get(name, {}))
        else:
            content = table.get(name, {})
            if name == "plugins":
                content = _split_plugins(shape, content)
            section = shape.read(model, content, (name,))
            if section is not None:
                shape.sections[name] = section
    return shape


def _read_wallets(shape: Shape, wallets: object) -> None:
    if not isinstance(wallets, list):
        shape.report(("wallets",), f"is {_kind(wallets)}", "write one [[wallets]] table for each wallet")
        return
    if len(wallets) > MAX_WALLETS:
        shape.report(("wallets",), f"has {len(wallets)} entries", f"at most {MAX_WALLETS}")
        return
    for index, wallet in enumerate(wallets):
        read = shape.read(WalletSettings, wallet, ("wallets", f"[{index}]"))
        if isinstance(wallet, dict):
            shape.wallets.append((index, wallet, read))


def _read_profiles(shape: Shape, profiles: object) -> None:
    if not isinstance(profiles, dict):
        shape.report(("profiles",), f"is {_kind(profiles)}", "write [profiles.NAME] tables")
        return
    for name, content in profiles.items():
        shape.profile_names.add(name)
        if not NAME.fullmatch(name) or LIKE_A_KEY.fullmatch(name):
            shape.report(("profiles", name), "is no name for a profile", "letters, digits, dots, dashes, underscores")
        read = shape.read(ProfileSettings, content, ("profiles", name))
        if read is not None:
            shape.profiles[name] = read


def _split_plugins(shape: Shape, content: object) -> object:
    """Take the plugins' own tables out of [plugins]."""
    if not isinstance(content, dict):
        return content
    shape.plugin_tables = {
        name: inner for name, inner in content.items() if isinstance(inner, dict) and name != "enabled"
    }
    return {key: value for key, value in content.items() if key not in shape.plugin_tables}


def _keys_of(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields
    return set(fields) | {field.alias for field in fields.values() if field.alias}


def _secret_part(location: Sequence[int | str]) -> str:
    """The part of a place below a section that is not to be shown, if there is one."""
    return next((part for part in location if isinstance(part, str) and _is_secret_key(part)), "")


def _field_at(model: type[BaseModel], location: Sequence[int | str]) -> FieldInfo | None:
    """The field a problem is about, in a table within a section too."""
    field: FieldInfo | None = None
    for part in location:
        field = model.model_fields.get(str(part))
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_model(kind)] if field else []
        if field is None or not inner:
            break
        model = inner[0]
    return field


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_secret_key(key: str) -> bool:
    return key in _UNSHOWN


def _kind(value: object) -> str:
    return _TOML_NAMES.get(type(value), "a date or time")


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = f"{value:g}" if isinstance(value, float) else str(value) if abs(value) < 10**30 else "a huge number"
    elif isinstance(value, str):
        text = repr(shown(value))  # hidden before it is cut: half a key is a secret too
    else:
        return _kind(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
