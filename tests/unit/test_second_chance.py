"""Who is run again after a failure, and is it said? A suite of its own, with this one's conftest.py and settings."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def test_who_is_late_has_a_second_chance_and_a_broken_promise_has_none(tmp_path: Path) -> None:
    for name, fails in (("acceptance/test_late", LATE), ("acceptance/test_differs", DIFFERS), ("unit/test_late", LATE)):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FAILS_ONCE.format(fails=fails))
    for own in (TESTS / "conftest.py", TESTS / "findings.py"):
        shutil.copy(own, tmp_path / "tests")
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.findall("^RERUN (.*)::", done.stdout, re.MULTILINE) == ["tests/acceptance/test_late.py"]
    failed = set(re.findall("^FAILED (.*)::", done.stdout, re.MULTILINE))
    assert failed == {"tests/acceptance/test_differs.py", "tests/unit/test_late.py"}
    assert "2 failed, 1 passed, 1 rerun" in done.stdout
