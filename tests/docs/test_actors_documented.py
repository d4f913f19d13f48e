"""docs/events.md has every word that the code can write as actor, and no other; none of them can be a token's name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ghostfleet
from ghostfleet.domain.operators import NAMES_OF_OTHERS

PACKAGE = Path(ghostfleet.__file__).parent
MODULES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
DOCUMENT = (PACKAGE.parent / "docs" / "events.md").read_text()
TABLE = DOCUMENT.split("\n## Actors\n")[1].split("\n## ")[0]
PASSED_ON = {"actor", "_actor", "refused_actor"}
"""Names of variables and fields through which an actor goes that was found where it came from."""
TOKENS = {"known.name", "created_by"}
"""What holds the name of a token."""


def constants() -> dict[str, str]:
    """Every text with a name of its own, in whichever module."""
    found: dict[str, str] = {}
    for tree in MODULES.values():
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                found |= {it.id: node.value.value for it in node.targets if isinstance(it, ast.Name)}
    return found


CONSTANTS = constants()


FUNCTIONS = [
    it for tree in MODULES.values() for it in ast.walk(tree) if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)
]


def places() -> dict[str, int]:
    """Every function that may be given an actor by its place, and the place."""
    parameters = [(each.name, [it.arg for it in each.args.args if it.arg != "self"]) for each in FUNCTIONS]
    return {name: names.index("actor") for name, names in parameters if "actor" in names}


def defaults() -> Iterator[ast.expr]:
    for each in FUNCTIONS:
        pairs = zip(each.args.args[::-1], each.args.defaults[::-1], strict=False)
        yield from (default for argument, default in pairs if argument.arg == "actor")


def given() -> Iterator[ast.expr]:
    """Every expression that becomes an actor."""
    by_place = places()
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield from (it.value for it in node.keywords if it.arg == "actor")
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if len(node.args) > (place := by_place.get(name, len(node.args))) and is_word(node.args[place]):
                    yield node.args[place]
            elif isinstance(node, ast.Assign):
                targets = [getattr(it, "attr", getattr(it, "id", "")) for it in node.targets]
                if any(it in PASSED_ON for it in targets):
                    yield node.value
    yield from defaults()


def is_word(expression: ast.expr) -> bool:
    """Functions are told apart by name only: of what is given by its place, words count, and what has one for a value."""
    if isinstance(expression, ast.Name | ast.Attribute):
        return named(expression) in CONSTANTS
    return isinstance(expression, ast.Constant) and isinstance(expression.value, str)


def named(expression: ast.Name | ast.Attribute) -> str:
    """Without the module that it is of."""
    return expression.id if isinstance(expression, ast.Name) else expression.attr


def words(expression: ast.expr) -> Iterator[str]:
    """The words that an expression can be. Fails on one that this test cannot follow: make it a constant with a name."""
    match expression:
        case ast.Constant(value=str(word)):
            yield word
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in CONSTANTS:
            yield CONSTANTS[name]
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in PASSED_ON:
            return
        case ast.JoinedStr(values=[ast.Constant(value=prefix), ast.FormattedValue()]):
            yield f"{prefix}USER"
        case ast.BoolOp(values=values):
            for value in values:
                yield from words(value)
        case ast.IfExp(body=body, orelse=other):
            yield from words(body)
            yield from words(other)
        case _ if ast.unparse(expression) in TOKENS | {"lockout.name"}:
            return
        case _:
            pytest.fail(f"who is {ast.unparse(expression)}?")


def written() -> set[str]:
    return {word for expression in given() for word in words(expression) if word}


def test_every_actor_that_code_writes_is_in_the_table_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([\w:]+)` \| \S.* \|$", TABLE, flags=re.MULTILINE))
    assert documented == written()


def test_no_token_can_have_the_name_of_one_of_them() -> None:
    assert {it for it in written() if ":" not in it} == NAMES_OF_OTHERS
