"""Decision 0038 names every file with tests that `make test` leaves out, and what it leaves out runs before a change lands."""

import re

from tests.docs.documents import ROOT

TESTS = ROOT / "tests"
RECORD = (ROOT / "docs/decisions/0038-long-tests-run-by-themselves.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
KILLS = TESTS / "crashtest"
"""Its conftest marks all of it."""


def test_every_file_with_a_long_test_stands_in_the_table_and_no_other() -> None:
    marked = {
        it for it in TESTS.rglob("test_*.py") if re.search(r"^[^#\n]*\bmark\.long\b", it.read_text(), re.MULTILINE)
    }
    told = re.findall(r"^\| `(tests/[\w/]+\.py)` \|", RECORD, re.MULTILINE)
    assert sorted(told) == sorted(str(it.relative_to(ROOT)) for it in marked | {*KILLS.glob("test_*.py")})


def test_what_one_target_leaves_out_the_other_runs_and_a_landing_needs_both() -> None:
    marks = dict(
        re.findall(r"^(test|test-long): setup\n.*pytest .*-m (\"not long\"|long) tests", MAKEFILE, re.MULTILINE)
    )
    assert marks == {"test": '"not long"', "test-long": "long"}
    landing = re.findall(r"^(?:timeout \d+ )?make ([\w-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert {"test", "test-long"} <= set(landing)
