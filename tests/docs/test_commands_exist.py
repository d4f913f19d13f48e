"""Every command in a document exists as it stands there: `make` with its variables, ghost-fleet with its options, scripts."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ghostfleet.cli import main
from tests.docs.documents import ROOT, Document, documents

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
COMMAND = re.compile(
    r"(?:^|[|;&(] *|-- )((?:\./)?(?:scripts/[\w-]+\.\w+|ghost-fleet|make)(?= |$)(?:(?! [|&>]|[;)]).)*)"
)
"""At the beginning, or behind what begins a command in a shell; to its end. `status|pause` is a choice, ` | ` a pipe."""
PLACEHOLDERS = re.compile(r"\[|\]|\.\.\.|…")
ROOT_COMMAND = typer.main.get_command(main.app)


def commands(document: Document) -> Iterator[str]:
    """Shell commands of blocks, and inline code that begins like one. What is told of a command's form comes as it stands."""
    for code in [*document.shell, *document.inline]:
        for command in COMMAND.findall(code):
            yield PLACEHOLDERS.sub(" ", command).strip()


def words_of(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def problem_of_make(words: list[str]) -> str | None:
    variables = [word for word in words if "=" in word]
    for target in (word for word in words if word not in variables):
        if target not in TARGETS:
            return f"no target {target}"
    for name in (variable.partition("=")[0] for variable in variables):
        if f"$({name})" not in MAKEFILE:
            return f"the Makefile does not read {name}"
    return None


def problem_of_ghost_fleet(words: list[str]) -> str | None:
    """Walk down the commands; each option has to be one of a command on the way, whatever its value."""
    command: Any = ROOT_COMMAND
    options = _options(command)
    waiting = [*words]
    while waiting:
        word = waiting.pop(0)
        if word.startswith("--"):
            names = [name for name in word.partition("=")[0].split("|") if name.startswith("--")]
            for name in names:
                if name not in options:
                    return f"{command.name} has no option {name}"
            if not options[names[0]] and "=" not in word and waiting and not waiting[0].startswith("--"):
                waiting.pop(0)
            continue
        below = getattr(command, "commands", None)
        if below is None or word.isupper():
            continue
        for name in word.split("|"):
            if name not in below:
                return f"{command.name} has no command {name}"
            options |= _options(below[name])
        command = below[name]
    return None


def _options(command: Any) -> dict[str, bool]:
    """Name to whether it is a flag."""
    found = {
        name: parameter.is_flag
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name[0] == "-"
    }
    return found | {"--help": True}


def problem_of(command: str) -> str | None:
    program, *words = words_of(command)
    if program == "make":
        return problem_of_make(words)
    if program == "ghost-fleet":
        return problem_of_ghost_fleet(words)
    return None if Path(ROOT, program).is_file() else "no such script"


@pytest.mark.parametrize("document", [it for it in documents() if it.path.name != "CHANGELOG.md"], ids=str)
def test_every_command_of_a_document_exists(document: Document) -> None:
    problems = {command: problem for command in commands(document) if (problem := problem_of(command))}
    assert problems == {}


def test_every_target_is_declared_and_documented() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS
    documented = {words_of(command)[1] for it in documents() for command in commands(it) if command.startswith("make ")}
    assert documented >= TARGETS


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make demo ARGS='--seconds 45'", None),
        ("make sim-sed SEED=1", "no target sim-sed"),
        ("make sim SEDS=1", "the Makefile does not read SEDS"),
        ("ghost-fleet --config FILE validate --deep --json", None),
        ("ghost-fleet --config config.toml audit verifi", "audit has no command verifi"),
        ("ghost-fleet status|puase --json", "ghost-fleet has no command puase"),
        ("ghost-fleet audit events --tpye T", "events has no option --tpye"),
        ("scripts/none.sh", "no such script"),
    ],
)
def test_it_would_see_a_wrong_one(command: str, problem: str | None) -> None:
    assert problem_of(command) == problem
