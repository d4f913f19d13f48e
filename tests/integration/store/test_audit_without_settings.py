"""Months later an auditor has a file and this program, and no settings: every question of `audit` can be asked of it."""

import asyncio
import json
from pathlib import Path

import pytest
from lived_log import live, lived
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.operations.backup import back_up

QUESTIONS = (
    ("events", "--json"),
    ("transactions", "--json"),
    ("export",),
    ("verify", "--json"),
    ("state",),
    ("checkpoints",),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The log that a fleet has lived, as it is and as a backup of it."""
    folder = tmp_path_factory.mktemp("evidence")
    log, backup = folder / "log.db", folder / "ghost-fleet.db.gz"
    commits = lived()

    async def make() -> None:
        await live(f"sqlite:///{log}", commits)
        await back_up(f"sqlite:///{log}", backup)

    asyncio.run(make())
    return {"log": log, "backup": backup}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GHOST_FLEET_CONFIG", raising=False)


def ask(*arguments: object) -> tuple[int, str, str]:
    answer = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    return answer.exit_code, answer.stdout, answer.stderr


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda it: it[0])
def test_a_file_answers_and_so_does_its_backup(files: dict[str, Path], question: tuple[str, ...]) -> None:
    code, told, errors = ask("--log", files["log"], *question)
    assert code == 0, errors
    assert told or question[0] == "checkpoints"
    assert ask("--log", files["backup"], *question) == (0, told, errors)
    assert ask("--log", f"sqlite:///{files['log']}", *question)[1] == told


def test_nothing_is_left_beside_the_evidence(files: dict[str, Path]) -> None:
    folder = files["backup"].parent
    before = {it.name: it.read_bytes() for it in folder.iterdir() if it.suffix != ".db-shm"}
    assert ask("--log", files["backup"], "verify")[0] == 0
    assert {it.name: it.read_bytes() for it in folder.iterdir() if it.suffix != ".db-shm"} == before


def test_what_is_no_log_is_told_so(files: dict[str, Path], tmp_path: Path) -> None:
    assert ask("events")[0] == 2, "no settings, and no log named"
    code, _, errors = ask("--log", tmp_path / "nothing.db", "events")
    assert (code, "nothing.db cannot be read" in errors) == (2, True)
    (tmp_path / "half.db.gz").write_bytes(files["backup"].read_bytes()[:-100])
    code, _, errors = ask("--log", tmp_path / "half.db.gz", "verify")
    assert (code, "half.db.gz is damaged, or no backup" in errors) == (1, True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:canary@127.0.0.1:1/db?sslmode=require", "a parameter sslmode; write ssl=require"),
        ("mysql://ada:canary@h/db", "sqlite:///FILE"),
        ("sqlite://", "sqlite:///FILE"),
    ],
)
def test_a_url_that_no_log_is_at_is_told_as_the_settings_would_be(url: str, words: str) -> None:
    code, told, errors = ask("--log", url, "events")
    assert (code, told, len(errors.splitlines())) == (2, "", 1), errors
    assert words in errors
    assert "canary" not in errors


def test_one_wallet_and_one_transaction(files: dict[str, Path]) -> None:
    lines = [json.loads(line) for line in ask("--log", files["backup"], "transactions", "--json")[1].splitlines()]
    first = lines[0]
    code, told, _ = ask("--log", files["backup"], "wallet", first["wallet"], "--json")
    assert (code, first["wallet"] in told) == (0, True)
    code, told, _ = ask("--log", files["backup"], "transaction", first["hash"], "--json")
    assert (code, json.loads(told)["action_id"]) == (0, first["action_id"])


def test_what_is_cut_off_is_said_to_be(files: dict[str, Path]) -> None:
    """A hundred lines of a thousand look like all of them."""
    everything = ask("--log", files["log"], "events", "--limit", 10**12, "--json")
    assert everything[2] == ""
    lines = everything[1].splitlines()
    code, told, notice = ask("--log", files["log"], "events", "--limit", 3, "--json")
    assert (code, told.splitlines()) == (0, lines[:3])
    position = json.loads(lines[2])["position"]
    assert f"note: that is not all: --after {position} goes on" in notice
    rest = ask("--log", files["log"], "events", "--after", position, "--limit", len(lines) - 3, "--json")
    assert (rest[1].splitlines(), rest[2]) == (lines[3:], "")
    wallet = next(it["stream"].partition("/")[2] for it in map(json.loads, lines) if it["stream"] != "fleet")
    assert "note: these are the newest 1 only" in ask("--log", files["log"], "wallet", wallet, "--limit", 1)[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("events", "--since", "2026-11-02", "--until", "2026-11-01"), "is later than --until"),
        (("events", "--since", "9" * 30), "expected ISO 8601"),
        (("events", "--until", "\u00b2"), "expected ISO 8601"),
        (("events", "--after", "9" * 30), "--after"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(
    files: dict[str, Path], arguments: tuple[str, ...], words: str
) -> None:
    code, told, errors = ask("--log", files["log"], *arguments)
    assert (code, told, words in errors) == (2, "", True), errors


@pytest.mark.parametrize(
    "question",
    [
        ("events", "--since", "9" * 26),
        ("events", "--until", "²"),
        ("events", "--after", 10**20),
        ("export", "--after", 10**20),
        ("wallet", "w1", "--at", "9" * 26),
    ],
)
def test_a_moment_or_position_that_is_none_is_bad_input(files: dict[str, Path], question: tuple[object, ...]) -> None:
    code, out, _ = ask("--log", files["log"], *question)
    assert (code, out) == (2, "")
