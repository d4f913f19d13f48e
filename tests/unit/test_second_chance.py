"""Who is run again after a failure, and is it said? A suite of its own, with this one's conftest.py and settings."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FAILS_ONCE = """
from pathlib import Path
from tests.findings import nothing

def test_it():
    been_here = Path(__file__).with_suffix(".ran")
    if not been_here.exists():
        been_here.touch()
        {fails}
"""
LATE = "raise AssertionError('not within 40 s')"
DIFFERS = "nothing(['wallet-001 nonce 3: mined, says the log; the chain has never seen it'])"


def summary_of(directory: Path, *options: str, **tests: str) -> str:
    """What a suite of such tests says in the end: how each, by the name of its file, fails once."""
    for name, fails in tests.items():
        file = directory / "tests" / f"{name.replace('__', '/test_')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FAILS_ONCE.format(fails=fails))
    for own in (TESTS / "conftest.py", TESTS / "findings.py"):
        shutil.copy(own, directory / "tests")
    shutil.copy(TESTS.parent / "pyproject.toml", directory)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", *options, "tests"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_who_is_late_has_a_second_chance_and_a_broken_promise_has_none(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    said = summary_of(tmp_path, *options, acceptance__late=LATE, acceptance__differs=DIFFERS, unit__late=LATE)
    assert re.findall("^RERUN (.*)::", said, re.MULTILINE) == ["tests/acceptance/test_late.py"]
    assert "not within 40 s" in said.partition("rerun test summary info")[2], "why it failed is not lost"
    failed = set(re.findall("^FAILED (.*)::", said, re.MULTILINE))
    assert failed == {"tests/acceptance/test_differs.py", "tests/unit/test_late.py"}
    assert "2 failed, 1 passed, 1 rerun" in said


def test_a_suite_has_five_second_chances(tmp_path: Path) -> None:
    said = summary_of(tmp_path, **{f"acceptance__late_{each}": LATE for each in range(6)})
    assert "1 failed, 5 passed, 5 rerun" in said
