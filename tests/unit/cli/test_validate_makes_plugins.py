"""Settings that are valid can be started with: each plugin is made of its table before anybody says so."""

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.operations.doctor.patient import admitted
from tests.unit.plugins.foreign import PIGGY, install

CONFIG = """
[chain]
chain_id = {chain_id}
rpc_url = "http://127.0.0.1:1"
[service]
health_port = 1
[safety]
max_consecutive_errors = {errors}
[plugins]
enabled = ["piggy"]
[plugins.piggy]
bank = "{bank}"
"""
RIGHT = "0x" + "01" * 20


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    for name in [*os.environ]:
        if name.startswith("GHOST_FLEET") or name in ("CONFIG_PATH", "CREDENTIALS_DIRECTORY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign_piggy", raising=False)


def config(source: str, bank: str = RIGHT, errors: int = 5, chain_id: str = "6343") -> Path:
    here = Path.cwd()
    install(here, "piggy", source)
    path = here / "config.toml"
    path.write_text(CONFIG.format(bank=bank, errors=errors, chain_id=chain_id))
    return path


def told(path: Path, command: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--config", str(path), command])
    return result.exit_code, result.stderr


def test_settings_that_the_plugins_constructor_refuses_are_not_valid() -> None:
    path = config(PIGGY, bank="0x1234")
    words = (
        f"{path}: plugins.piggy: the plugin cannot be made of it: ValueError: expected an address: 0x and 40 hexadecimal"
        " digits (foreign_piggy.py:25); put its table right, or mend the plugin"
    )
    assert told(path, "validate") == (1, f"ghost-fleet: error: {words}\n")
    assert [str(it) for it in admitted(path, {}, lambda: "", lambda: "").problems] == [words]
    code, said = told(path, "run")
    assert code == 2
    assert words in said


def test_it_is_one_of_all_problems() -> None:
    code, said = told(config(PIGGY, bank="0x1234", errors=-1), "validate")
    assert code == 1
    assert "plugins.piggy: the plugin cannot be made of it" in said
    assert "safety.max_consecutive_errors" in said


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PIGGY.replace('name = "piggy"', 'name = "saver"'), "calls itself 'saver'; the names have to agree"),
        (PIGGY.replace("kinds = ", "sorts = "), "does not say its kinds"),
        (PIGGY.replace("def observe", "def look"), "does not define observe"),
        (PIGGY.replace("kinds = ", "kinds = = "), "SyntaxError: invalid syntax (foreign_piggy.py:19); mend the plugin"),
    ],
)
def test_a_class_that_a_start_would_refuse_is_refused(source: str, words: str) -> None:
    path = config(source)
    for command, exit_code in (("validate", 1), ("run", 2)):
        code, said = told(path, command)
        assert code == exit_code
        assert words in " ".join(said.split())


def test_what_is_right_is_valid_and_nothing_is_made_for_a_chain_that_is_not_known() -> None:
    path = config(PIGGY)
    assert told(path, "validate")[0] == 0
    path.write_text(path.read_text().replace("6343", '"mega"').replace(RIGHT, "0x1234"))
    code, said = told(path, "validate")
    assert code == 1
    assert "chain.chain_id" in said
    assert "cannot be made" not in said


def test_whoever_only_looks_is_not_kept_from_it() -> None:
    """An operator who wants to pause a fleet that runs needs no plugin that can be made."""
    code, said = told(config(PIGGY, bank="0x1234"), "stop")
    assert code != 2, said
    assert "cannot be made" not in said
