"""docs/cli.md has every command, every option and every exit code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ghostfleet.cli import main
from ghostfleet.errors import GhostFleetError

DOCUMENT = (Path(__file__).parents[3] / "docs/cli.md").read_text()


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner_name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {inner_name}".strip())


COMMANDS = dict(commands(typer.main.get_command(main.app)))


ASKING = {option for parameter in COMMANDS["pause"].params for option in parameter.opts}
"""Options of every command that asks the running service: told once, where the first of them stand."""


def sections(name: str) -> str:
    """What is said of a command: the sections that its first word stands in as a command. The root's is the beginning."""
    first = name.split()[0] if name else "[--config"
    form = re.compile(rf"^## .*\b{re.escape(first)}\b|`ghost-fleet [^`]*{re.escape(first)}(?![\w-])", re.MULTILINE)
    return "".join(part for part in re.split(r"^(?=## )", DOCUMENT, flags=re.MULTILINE) if form.search(part))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_its_section_with_every_option_of_its_own(name: str):
    command = COMMANDS[name]
    if hasattr(command, "commands") and not command.invoke_without_command:
        return  # a word in front of others
    said = sections(name)
    assert said, f"docs/cli.md has no `ghost-fleet {name}`"
    for word in name.split():
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", said), f"docs/cli.md has no `ghost-fleet {name}`"
    for parameter in command.params:
        for option in parameter.opts:
            told = DOCUMENT if option in ASKING else said
            assert not option.startswith("--") or option == "--help" or option in told, f"{name} {option}"


def test_exit_codes_are_those_of_the_module():
    assert main.__doc__ is not None
    in_module = set(re.findall(r"^    (\d+) ", main.__doc__, flags=re.MULTILINE))
    assert set(re.findall(r"^\| (\d+) \|", DOCUMENT, flags=re.MULTILINE)) == in_module


def test_every_error_ends_with_a_documented_exit_code():
    waiting, codes = [GhostFleetError], set()
    for kind in waiting:
        codes.add(str(kind.exit_code))
        waiting += kind.__subclasses__()
    assert codes <= set(re.findall(r"^\| (\d+) \|", DOCUMENT, flags=re.MULTILINE))
