"""docs/cli.md has every command, every option and every exit code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ghostfleet.cli import main

DOCUMENT = (Path(__file__).parents[3] / "docs/cli.md").read_text()


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner_name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {inner_name}".strip())


def test_every_command_and_option_stands_there():
    for name, command in commands(typer.main.get_command(main.app)):
        assert all(word in DOCUMENT for word in name.split()), name
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("--") or option == "--help" or option in DOCUMENT, f"{name} {option}"


def test_exit_codes_are_those_of_the_module():
    assert main.__doc__ is not None
    in_module = set(re.findall(r"^    (\d+) ", main.__doc__, flags=re.MULTILINE))
    assert set(re.findall(r"^\| (\d+) \|", DOCUMENT, flags=re.MULTILINE)) == in_module
