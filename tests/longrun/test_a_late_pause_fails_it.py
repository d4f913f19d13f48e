"""A pause that answers too late is not only printed: the long run ends with exit code 1 and keeps what it ran on."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.longrun import __main__ as command
from tests.longrun.run import ANSWER_MS, Summary


@pytest.mark.parametrize(
    ("answers_ms", "differences", "fails"),
    [
        ([3.1, ANSWER_MS], [], False),
        ([3.1, ANSWER_MS + 0.1, 4.0], [], True),
        ([3.1], ["2 sends left after a pause had answered"], True),
    ],
)
def test_the_run_fails_on_a_late_answer_or_a_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers_ms: list[float], differences: list[str], fails: bool
) -> None:
    async def ended(options: Namespace, out: Path) -> Summary:
        (out / "fleet").mkdir()
        return Summary(wallets=4, minutes=0.1, pause_answers_ms=answers_ms, differences=differences)

    monkeypatch.setattr(command, "whole_run", ended)
    monkeypatch.setattr(sys, "argv", ["longrun", "--out", str(tmp_path / "out")])
    if fails:
        with pytest.raises(SystemExit, match="1"):
            command.main()
    else:
        command.main()
    assert (tmp_path / "out" / "fleet").exists() == fails


def test_the_words_of_a_late_answer_name_the_time_it_took() -> None:
    summary = Summary(wallets=4, minutes=0.1, pause_answers_ms=[2_345.6, 5.0])
    assert summary.late_answers == ["a pause answered after 2345.6 ms"]
