"""docs/benchmarks.md has every benchmark with its goals and the competitors; and all of them run, if only for a moment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import append, end_to_end, extract, replay, signing
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


def test_what_an_emergency_may_take_stands_there() -> None:
    assert (extract.GOAL_SECS, extract.WALLETS) == (120, 1_000)
    assert "two minutes for 1,000 wallets" in DOCUMENT


@pytest.mark.parametrize(
    ("secs", "left", "code"),
    [(extract.GOAL_SECS, [], 0), (extract.GOAL_SECS + 0.1, [], 1), (1.0, ["w1: 1 wei, 0 of DATA"], 1)],
)
def test_an_extraction_that_takes_too_long_or_leaves_something_fails(
    monkeypatch: pytest.MonkeyPatch, secs: float, left: list[str], code: int
) -> None:
    async def measured(wallets: int, profile: Path | None) -> extract.Extracted:
        return extract.Extracted(wallets=wallets, secs=secs, transactions=9, steps={}, failed=0, left=left)

    monkeypatch.setattr(extract, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["extract"])
    with pytest.raises(SystemExit) as ended:
        extract.main()
    assert ended.value.code == code


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
