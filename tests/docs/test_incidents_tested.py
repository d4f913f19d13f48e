"""Every incident of docs/incidents.md has its test, and every test that cites one is in that table."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/incidents.md").read_text().splitlines()
    if line.startswith("| ") and "/" in line.split("|")[1]
]
INCIDENTS = 22
"""As many as the design names; a row that is taken out is missed."""


def citations(text: str) -> dict[str, set[int]]:
    """Repository to the numbers of its issues and pulls: "a/b issue 1, pull 2" is {"a/b": {1, 2}}."""
    found: dict[str, set[int]] = defaultdict(set)
    for repository, numbers in re.findall(r"([\w.-]+/[\w.-]+) ((?:(?:issues?|pulls?|and|\d+)[ ,.:]*)+)", text):
        found[repository] |= {int(number) for number in re.findall(r"\d+", numbers)}
    return dict(found)


def cited() -> dict[str, dict[str, set[int]]]:
    """Test to what its docstring cites."""
    found = {}
    for path in (ROOT / "tests/incidents").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] = citations(ast.get_docstring(node) or "")
    return found


CITED = cited()


def test_no_incident_is_forgotten() -> None:
    assert len(ROWS) == INCIDENTS


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_an_incident_has_its_test(row: list[str]) -> None:
    where, _, tests = row
    names = re.findall(r"`(test_\w+)`", tests)
    assert names, f"no test stands beside {where}"
    for repository, numbers in citations(where).items():
        there = {number for name in names for number in CITED.get(name, {}).get(repository, ())}
        assert numbers <= there, f"{repository} {sorted(numbers - there)} is cited by none of {names}"


def test_every_test_of_an_incident_cites_one_of_the_table() -> None:
    known = {repository for row in ROWS for repository in citations(row[0])}
    assert {name for name, found in CITED.items() if not set(found) & known} == set()
    assert {repository for found in CITED.values() for repository in found} <= known
