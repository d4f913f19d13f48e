"""IR-002 says of every error class what is to be done: every one that the code can write, and no other."""

import ast
import re
from collections.abc import Iterator

import pytest

from ghostfleet.domain.values import AnswerClass
from ghostfleet.engine.signing import ERROR_CLASSES
from tests.runbook.lines import ROOT, RUNBOOK

PACKAGE = ROOT / "ghostfleet"
NO_ERROR = {AnswerClass.ACCEPTED, AnswerClass.ALREADY_KNOWN}
BY_NAME = {
    "ErrorRecorded": "error_class",
    "ActionRejected": "error_class",
    "BroadcastFailed": "error_class",
    "Wrong": "cls",
}
"""Who is given a class under a name."""
BY_PLACE = {"NoReplacement": 0, "_trouble": 0, "Refuse": 1, "_say_once": 2, "_reject": -2}
"""Who is given one among the arguments without a name; counted from the end where two of that name differ in the beginning."""
HANDED_ON = {"error_class"}
"""Variables in which somebody hands on what he was given, and properties that say which one it is."""


class NoClass(Exception):
    """An expression of which nobody knows here which classes it may be: teach this test."""


def named_in_the_runbook() -> list[str]:
    """The words before the colon of each line of the list under `What to do, by class`."""
    text = RUNBOOK.read_text().split("2. What to do, by class", 1)[1].split("\n3. ", 1)[0]
    heads = re.findall(r"^   - ((?:\**`\w+`\**(?:, )?)+):", text, re.MULTILINE)
    return [name for head in heads for name in re.findall(r"`(\w+)`", head)]


def in_the_code(source: str) -> Iterator[str]:
    """Every class that a module can write."""
    tree = ast.parse(source)
    for made in (it for it in ast.walk(tree) if isinstance(it, ast.FunctionDef) and it.name in HANDED_ON):
        for returned in (it for it in ast.walk(made) if isinstance(it, ast.Return) and it.value is not None):
            yield from classes_of(returned.value)
    for call in (it for it in ast.walk(tree) if isinstance(it, ast.Call)):
        callee = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if callee in BY_NAME:
            for keyword in call.keywords:
                if keyword.arg == BY_NAME[callee]:
                    yield from classes_of(keyword.value)
        elif callee in BY_PLACE and len(call.args) > BY_PLACE[callee]:
            yield from classes_of(call.args[BY_PLACE[callee]])


def classes_of(expression: ast.expr) -> Iterator[str]:
    match expression:
        case ast.Constant(value=str() as name):
            yield name
        case ast.Attribute(value=ast.Name(id="AnswerClass"), attr=member):
            yield AnswerClass[member]
        case ast.Attribute(attr="cls"):
            yield from set(AnswerClass) - NO_ERROR
        case ast.Subscript(value=ast.Name(id="ERROR_CLASSES")):
            yield from ERROR_CLASSES.values()
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in HANDED_ON:
            return
        case ast.IfExp(body=one, orelse=other):
            yield from classes_of(one)
            yield from classes_of(other)
        case _:
            raise NoClass(ast.unparse(expression))


def every_class() -> set[str]:
    found = {name for file in PACKAGE.rglob("*.py") for name in in_the_code(file.read_text())}
    lines = (PACKAGE / "telemetry" / "lines.py").read_text()
    return found | set(re.findall(r"class=([a-z_]+)", lines))


def test_every_class_that_the_code_can_write_is_named_once_with_what_to_do() -> None:
    named = named_in_the_runbook()
    assert sorted(named) == sorted(every_class())


def test_classes_that_are_known_are_found() -> None:
    known = {
        "endpoint_tripped",
        "log_unavailable",
        "fee_cap",
        "node_fee_cap",
        "defect",
        "observation",
        "wrong_signature",
    }
    assert (
        known | {"superseded", "nonce_used", "receipt_missing", "no_key", "signer_unavailable", "limit", "dry_run"}
        <= every_class()
    )


@pytest.mark.parametrize(
    ("source", "classes"),
    [
        ("ev.ErrorRecorded(error_class='new', message='')", {"new"}),
        ("self._say_once(slot, pursuit, 'new', 'words')", {"new"}),
        ("self._reject(decided, 'new', 'words', counts=True)", {"new"}),
        ("_reject(world, name, duty, errand, 'new', 'words')", {"new"}),
        ("NoReplacement(AnswerClass.POOL_FULL, 'words')", {"pool_full"}),
        ("ev.ErrorRecorded(error_class=error_class, message='')", set()),
    ],
)
def test_it_would_see_a_new_one(source: str, classes: set[str]) -> None:
    assert set(in_the_code(source)) == classes


def test_it_would_see_what_it_cannot_judge() -> None:
    with pytest.raises(NoClass):
        set(in_the_code("ev.ErrorRecorded(error_class=some(thing), message='')"))
