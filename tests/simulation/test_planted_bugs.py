"""The simulator can fail: each of these bugs, planted in the engine, is found within its number of seeds."""

import re
from pathlib import Path

import pytest

from tests.simulation.planted import PLANTED, Planted
from tests.simulation.seeds import simulate

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.mark.long
@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in PLANTED])
def test_a_planted_bug_is_found(bug: Planted) -> None:
    for seed in range(1, bug.within + 1):
        with bug.plant():
            outcome = simulate(seed, families=bug.families)
        if outcome.violation is not None:
            assert outcome.violation.promise in bug.promises, outcome.violation
            return
    pytest.fail(f"{bug.name} was not found in {bug.within} seeds with {bug.families}")


def test_there_are_at_least_twenty() -> None:
    assert len({bug.name for bug in PLANTED}) >= 20


def test_the_documentation_says_how_many_there_are() -> None:
    said = re.search(r"It can fail: (\d+) bugs are planted", RELIABILITY.read_text())
    assert said is not None
    assert int(said[1]) == len(PLANTED)
