"""The settings file as TOML, or the place where it is not."""

import tomllib
from pathlib import Path
from typing import Any

from ghostfleet.config.problems import ConfigInvalid, problem

MAX_FILE_BYTES = 64 * 1024 * 1024
"""A hundred thousand wallets fit in half of it."""


def read_table(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises ConfigInvalid with the place of a syntax error."""
    name = str(path)

    def invalid(wrong: str, right: str, key: str = "") -> ConfigInvalid:
        return ConfigInvalid([problem(name, key, wrong, right)])

    try:
        if path.is_dir():
            raise invalid("is a directory", "give the settings file itself")
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise invalid(f"cannot be read: {reason}", "give the path of a settings file the service may read") from None
    if len(octets) > MAX_FILE_BYTES:
        raise invalid(f"is larger than {MAX_FILE_BYTES} bytes", "give a settings file")
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise invalid("is not UTF-8", "settings files are TOML, saved as UTF-8", f"line {line}") from None
    except (ValueError, RecursionError) as error:
        wrong = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value no reader takes"
        raise invalid(f"is not TOML: {wrong}", "put the syntax right at that place") from None
