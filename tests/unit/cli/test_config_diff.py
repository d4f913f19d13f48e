"""`ghost-fleet config diff` says what other settings would change, in words and as JSON, with an exit code for scripts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ghostfleet.cli.main import app

SETTINGS = """
[service]
health_port = 0
[chain]
chain_id = 31337
rpc_url = "https://rpc.example.org/canary-one"
[[wallets]]
id = "wallet-001"
address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
profile = "casual"
enabled = false
[plugins]
enabled = ["transfer"]
[plugins.transfer]
to = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
amount_wei = "1"
"""


@pytest.fixture
def diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Compares SETTINGS with what replacements make of them."""
    for name in ("GHOST_FLEET_CONFIG", "CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    current = tmp_path / "config.toml"
    current.write_text(SETTINGS)

    def run(*replacements: tuple[str, str], options: tuple[str, ...] = ("--against", "file")) -> Any:
        text = SETTINGS
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        new_file = tmp_path / "elsewhere" / "new.toml"
        new_file.parent.mkdir(exist_ok=True)
        new_file.write_text(text)
        return CliRunner().invoke(app, ["--config", str(current), "config", "diff", str(new_file), *options])

    return run


def test_nothing_differs_although_the_new_file_lies_elsewhere(diff: Callable[..., Any]) -> None:
    result = diff()
    assert (result.exit_code, "nothing differs" in result.stdout) == (0, True), result.output


def test_what_differs_is_told_key_by_key_with_what_becomes_of_it(diff: Callable[..., Any]) -> None:
    result = diff(("chain_id = 31337", "chain_id = 31338"), ('"wallet-001"', '"wallet-002"'), ('"1"', '"2"'))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any("chain.chain_id" in line and "needs a restart" in line for line in lines)
    assert any("plugins.transfer.amount_wei" in line and "while running" in line for line in lines)
    assert "wallets added: 1: wallet-002" in lines
    assert "wallets removed: 1: wallet-001" in lines
    assert lines[-1] == "4 changes; `ghost-fleet reload` refuses: chain.chain_id"


def test_a_secret_that_differs_is_told_and_not_shown(diff: Callable[..., Any]) -> None:
    result = diff(("canary-one", "canary-two"), options=("--against", "file", "--json"))
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [it["key"] for it in answer["changes"]] == ["chain.rpc_url"]
    assert (answer["secrets_compared"], answer["needs_restart"]) == (True, False)
    assert answer["before_digest"] == answer["after_digest"]
    assert "canary" not in result.output


def test_settings_that_cannot_be_used_are_told_with_every_problem(diff: Callable[..., Any]) -> None:
    wrong = (("chain_id = 31337", "chain_id = 0"), ('"casual"', '"casul"'))
    result = diff(*wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "chain.chain_id" in result.stderr
    assert "did you mean `casual`?" in result.stderr
    as_json = diff(*wrong, options=("--against", "file", "--json"))
    answer = json.loads(as_json.stdout)
    assert (as_json.exit_code, answer["valid"], len(answer["problems"])) == (2, False, 2)


def test_without_a_service_it_is_compared_with_the_file_and_says_so(diff: Callable[..., Any]) -> None:
    result = diff(('"1"', '"2"'), options=())
    assert result.exit_code == 1
    assert "no service answers: compared with" in result.stderr
    insisted = diff(options=("--against", "service"))
    assert insisted.exit_code == 2
    assert "health_port = 0" in insisted.stderr


def test_a_word_that_is_neither_is_refused(diff: Callable[..., Any]) -> None:
    assert diff(options=("--against", "log")).exit_code == 2
