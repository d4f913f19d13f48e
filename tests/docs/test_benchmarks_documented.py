"""docs/benchmarks.md has every benchmark with its goals and the competitors; and all of them run, if only for a moment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import append, end_to_end, replay, signing
from benchmarks.__main__ import BENCHMARKS
from tests.docs.documents import ROOT

DOCUMENT = (ROOT / "docs/benchmarks.md").read_text()
GOALS = {"append": append.GOAL, "replay": replay.GOAL, "signing": signing.GOAL, "end-to-end": end_to_end.GOAL}
RUN_SECS = 400


def test_every_benchmark_stands_there_with_its_goal_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (\d+) %(?: and at least ([\d,]+)/s)? \|$", DOCUMENT, re.MULTILINE)
    assert {name: int(goal) / 100 for name, goal, _ in rows} == GOALS
    assert set(GOALS) == set(BENCHMARKS)
    assert [least for name, _, least in rows if name == "end-to-end"] == [f"{end_to_end.LEAST:,.0f}"]


def test_competitors_stand_there() -> None:
    for name in ("web3.py tasks", "viem, batch transport"):
        assert name in DOCUMENT


@pytest.mark.anvil
@pytest.mark.timeout(RUN_SECS + 30)
def test_all_of_them_run_and_say_so_in_json(tmp_path: Path) -> None:
    """Tiny sizes: the figures mean nothing, but every line is there, with the competitors and a comparison with the chain."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/bench.json").read_text()) == json.loads(done.stdout)
    lines = json.loads(done.stdout)["lines"]
    assert {line["benchmark"] for line in lines} == {"append", "replay", "signing", "end to end"}
    assert all(line["rate"] > 0 and line["limit"] > 0 and line["ratio"] > 0 for line in lines)
    cases = {line["case"].partition(",")[0]: line for line in lines if line["benchmark"] == "end to end"}
    assert "0 differences to the chain" in cases["ghost-fleet"]["note"]
    assert set(cases) == {"ghost-fleet", *(name.partition(",")[0] for name in end_to_end._competitors())}
