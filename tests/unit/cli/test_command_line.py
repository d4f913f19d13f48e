"""The command line as its users meet it: what it prints where, and how it ends."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner

from ghostfleet.cli.main import app
from ghostfleet.config import loading
from ghostfleet.config.plugin_tables import InstalledPlugins
from ghostfleet.operations.rotation import ended, usual_directory

ROOT = Path(__file__).parents[3]
BARE_CONFIG = """
[service]
health_port = 1
[chain]
chain_id = 6343
rpc_url = "https://carrot.megaeth.com/rpc"
chain_type = "megaeth"
[plugins]
enabled = ["anything"]"""  # no final newline, on purpose: wallets.toml is appended to such files too
QUICK = ("--scrypt-n", "2")


class AnyTable(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.fixture(autouse=True)
def installed(monkeypatch, tmp_path):
    """One plugin that takes any table, and an environment without a word of ours."""
    monkeypatch.setattr(loading, "installed_plugins", lambda: InstalledPlugins({"anything": AnyTable}, {}))
    for name in [*os.environ]:
        if name.startswith("GHOST_FLEET") or name in ("CONFIG_PATH", "CREDENTIALS_DIRECTORY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(BARE_CONFIG)
    return path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_lines(result) -> list[str]:
    lines = result.stderr.splitlines()
    assert all(line.startswith("ghost-fleet: ") for line in lines), result.stderr
    return lines


def generate(*options: object):
    result = run("wallets", "generate", *options, *QUICK)
    assert result.exit_code == 0, result.stderr
    return result


def test_validate_says_what_it_found_and_ends_with_zero(config):
    result = run("--config", config, "validate")
    assert result.exit_code == 0
    assert "valid: chain 6343, 0 of 0 wallets enabled" in result.stdout
    assert error_lines(result) == ["ghost-fleet: warning: no wallet is enabled: the service will do nothing"]


def test_validate_prints_a_line_a_problem_and_ends_with_one(config):
    config.write_text(BARE_CONFIG.replace("6343", "4326").replace("rpc_url", "rpcurl"))
    result = run("--config", config, "validate")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(error_lines(result)) == 3
    assert f"{config}: chain.rpcurl: unknown key; did you mean `rpc_url`?" in result.stderr


def test_validate_answers_in_json_too(config):
    config.write_text(BARE_CONFIG.replace("6343", "1"))
    result = run("--config", config, "validate", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert not answer["valid"]
    assert [found["key"] for found in answer["problems"]] == ["chain.chain_id"]
    assert set(answer["problems"][0]) == {"file", "key", "wrong", "right"}


def test_validate_finds_the_file_by_the_environment(config, monkeypatch):
    monkeypatch.setenv("GHOST_FLEET_CONFIG", str(config))
    assert json.loads(run("validate", "--json").stdout)["file"] == str(config)


def test_deep_validation_opens_the_keystores(config, tmp_path):
    generate(2, "--out", tmp_path / "new")
    config.write_text(BARE_CONFIG + (tmp_path / "new/wallets.toml").read_text())
    assert run("--config", config, "validate", "--deep").exit_code == 0
    (tmp_path / "new/keystore-password").write_text("another\n")
    assert run("--config", config, "validate").exit_code == 0
    result = run("--config", config, "validate", "--deep")
    assert result.exit_code == 1
    assert len([line for line in error_lines(result) if "the password does not open keystore" in line]) == 2


def test_where_the_password_is_the_units_only_what_opens_keys_is_refused(config, tmp_path):
    generate(2, "--out", tmp_path / "new")
    tables = re.sub(r"password_file = .*\n", "", (tmp_path / "new/wallets.toml").read_text())
    config.write_text(BARE_CONFIG + '\n[keys]\ncredential = "keystore-password"\n' + tables)
    config.with_name("new.toml").write_text(config.read_text() + "[safety]\nglobal_pause = true\n")
    checked = run("--config", config, "validate")
    assert (checked.exit_code, "valid: chain 6343, 2 of 2" in checked.stdout) == (0, True)
    assert "the keystores' password is not here" in "".join(error_lines(checked))
    assert run("--config", config, "wallets", "list").exit_code == 0
    assert run("--config", config, "config", "diff", config.with_name("new.toml"), "--against", "file").exit_code == 1
    for arguments, code in (
        (("validate", "--deep"), 1),
        (("run",), 2),
        (("operations", "abandon", "extract-1", "--token-env", "X"), 2),
    ):
        refused = run("--config", config, *arguments)
        assert (refused.exit_code, "`systemd-run --pipe" in refused.stderr) == (code, True), refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("validat",), "validat"),
        (("validate", "--depp"), "--depp"),
        (("--log-level", "loud", "validate"), "--log-level loud"),
        (("wallets", "generate", "many", "--out", "x"), "count"),
        (("wallets", "generate", "1", "--out", "x", "--scrypt-n", "3"), "power of two"),
        (("wallets", "generate", "1", "--out", "x", "--profile", "a b"), "no name"),
        (("wallets", "generate", "1", "--out", "x", "--password-file", "none"), "cannot read the password"),
        (("validate",), "no settings file"),
        (("devnet", "--engine", "steam"), "auto, anvil, embedded"),
        (("--config", "none.toml", "wallets", "list"), "none.toml: cannot be read"),
    ],
)
def test_bad_usage_is_one_line_on_stderr(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(error_lines(result)) == 1
    assert words in result.stderr


def test_a_fault_of_ours_is_one_line_too_and_has_an_exit_code_of_its_own(config, monkeypatch):
    def broken() -> InstalledPlugins:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(loading, "installed_plugins", broken)
    result = run("--config", config, "validate")
    assert result.exit_code == 70
    assert "RuntimeError: unforeseen" in error_lines(result)[0]


def test_generated_wallets_appended_to_a_config_are_ready_to_run(config, tmp_path):
    generate(3, "--out", "new", "--profile", "degen")
    config.write_text(BARE_CONFIG + (tmp_path / "new/wallets.toml").read_text())
    result = run("--config", config, "wallets", "list", "--json")
    wallets = json.loads(result.stdout)["wallets"]
    assert [wallet["profile"] for wallet in wallets] == ["degen"] * 3
    assert {wallet["key"] for wallet in wallets} == {"keystore"}
    rows = list(csv.reader((tmp_path / "new/wallets.csv").read_text().splitlines()))
    assert rows[0] == ["address", "key", "id", "profile"]
    assert [row[0] for row in rows[1:]] == [wallet["address"] for wallet in wallets]
    assert all(row[1] == "" for row in rows[1:])


def test_two_lots_of_generated_wallets_do_not_clash(config):
    generate(2, "--out", "a", "--profile", "degen")
    generate(2, "--out", "b", "--profile", "degen")
    config.write_text(BARE_CONFIG + Path("a/wallets.toml").read_text() + Path("b/wallets.toml").read_text())
    assert run("--config", config, "validate").exit_code == 0


def test_ids_can_be_numbered(config):
    generate(2, "--out", "a", "--prefix", "wallet", "--start", "99")
    wallets = tomllib.loads(Path("a/wallets.toml").read_text())["wallets"]
    assert [wallet["id"] for wallet in wallets] == ["wallet-099", "wallet-100"]


def test_paths_can_be_relative_to_the_settings_file():
    Path("config").mkdir()
    generate(1, "--out", "config/keys", "--relative-to", "config")
    (wallet,) = tomllib.loads(Path("config/keys/wallets.toml").read_text())["wallets"]
    assert wallet["keyfile"] == f"keys/keystores/{wallet['id']}.json"
    assert wallet["password_file"] == "keys/keystore-password"
    Path("config/config.toml").write_text(BARE_CONFIG + Path("config/keys/wallets.toml").read_text())
    assert run("--config", "config/config.toml", "validate", "--deep").exit_code == 0


def test_a_password_of_the_environment_is_used_and_not_written(monkeypatch):
    monkeypatch.setenv("GHOST_FLEET_KEYSTORE_PASSWORD", "hunter2")
    generate(1, "--out", "new")
    assert not Path("new/keystore-password").exists()
    assert "password_file" not in Path("new/wallets.toml").read_text()
    Path("config.toml").write_text(BARE_CONFIG + Path("new/wallets.toml").read_text())
    assert run("validate", "--deep").exit_code == 0


def test_secrets_are_for_the_owner_alone_and_in_plain_text_only_when_asked():
    generate(1, "--out", "new")
    generate(1, "--out", "plain", "--plaintext-keys")
    private = ["new/keystore-password", *map(str, Path("new/keystores").iterdir()), "plain/wallets.csv"]
    assert {oct(Path(path).stat().st_mode & 0o777) for path in private} == {"0o600"}
    key = next(csv.reader(Path("plain/wallets.csv").read_text().splitlines()[1:]))[1]
    assert len(bytes.fromhex(key.removeprefix("0x"))) == 32


@pytest.mark.parametrize("name", ["wallets.toml", "wallets.csv", "keystores", "keystore-password"])
def test_nothing_is_overwritten(name):
    Path("new").mkdir()
    Path("new", name).write_text("mine")
    result = run("wallets", "generate", 1, "--out", "new", *QUICK)
    assert result.exit_code == 2
    assert f"new/{name} exists" in result.stderr
    assert [path.name for path in Path("new").iterdir()] == [name]
    assert Path("new", name).read_text() == "mine"


def test_the_script_of_the_runbook_and_its_loop_over_addresses(config):
    script = ROOT / "scripts/generate-wallets.sh"
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([script, "2", "./new-wallets", "degen", *QUICK], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run("cat new-wallets/wallets.toml >> config.toml", shell=True, check=True)
    assert run("--config", config, "validate", "--deep").exit_code == 0
    loop = "for addr in $(cat new-wallets/wallets.csv | cut -d',' -f1 | tail -n +2); do echo $addr; done"
    addresses = subprocess.run(loop, shell=True, capture_output=True, text=True, check=True).stdout.split()
    assert addresses == [wallet["address"] for wallet in tomllib.loads(config.read_text())["wallets"]]
    assert subprocess.run([script, "2"], capture_output=True, check=False).returncode == 2


def test_as_a_process_of_its_own():
    command = Path(sys.executable).parent / "ghost-fleet"
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("ghost-fleet 0.")
    refused = subprocess.run([command, "--config", "none", "validate"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("ghost-fleet: error: none: cannot be read")
    assert len(refused.stderr.splitlines()) == 1


def test_a_development_chain_answers_until_it_is_told_to_end():
    command = Path(sys.executable).parent / "ghost-fleet"
    chain = subprocess.Popen(
        [command, "devnet", "--engine", "embedded", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    with chain:
        assert chain.stdout is not None
        url = json.loads(chain.stdout.readline())["url"]
        request = urllib.request.Request(
            url, b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert int(json.loads(answer.read())["result"], 16) > 0
        chain.send_signal(signal.SIGINT)
        assert chain.wait(timeout=20) == 0


def test_a_rotation_without_a_name_goes_on_until_it_has_ended(tmp_path):
    first = usual_directory(tmp_path)
    assert (first.name, usual_directory(tmp_path)) == ("rotation-001", first)
    first.mkdir()
    assert usual_directory(tmp_path) == first
    ended(first)
    (tmp_path / "rotation-old").mkdir()
    assert usual_directory(tmp_path).name == "rotation-002"


@pytest.mark.parametrize(("keystores", "place"), [("log/keystores", "log"), ("config/keystores", "config")])
def test_rotations_lie_where_the_service_may_destroy_a_key(keystores, place, tmp_path):
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "config.toml"
    generate(2, "--out", tmp_path / keystores)
    treasury = '[treasury]\naddress = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"\nkey_env = "X"\n'
    store = f'\n[store]\nurl = "sqlite:///{tmp_path}/log/ghostfleet.db"\n'
    config.write_text(BARE_CONFIG + store + treasury + (tmp_path / keystores / "wallets.toml").read_text())
    planned = run("--config", config, "rotate", "--count", 1, "--plan")
    assert f"this rotation is {tmp_path / place / 'rotation-001'}" in planned.stderr, planned.stderr
