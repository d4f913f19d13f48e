"""deploy/ghost-fleet.service says what the service does, and systemd understands all of it."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import typer

from ghostfleet import lifetime, systemd
from ghostfleet.cli import main
from ghostfleet.config.environment import DEFAULT_PATHS
from ghostfleet.errors import BadInput, StopService
from ghostfleet.http import server
from ghostfleet.keys.passwords import DEFAULT_CREDENTIAL, where_it_is

UNIT = Path(__file__).parents[2] / "deploy" / "ghost-fleet.service"
MOST_EXPOSED = 1.1
"""By `systemd-analyze security`, from 0 (shut) to 10. The unit of release 0.1.0 had 3.8."""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found[name].append(value)
    return found


def secs(name: str) -> float:
    return float(settings()[name][0])


def test_it_starts_the_service_with_the_usual_settings_file() -> None:
    _, option, path, command = settings()["ExecStart"][0].split()
    assert option == "--config"
    assert Path(path) in DEFAULT_PATHS
    assert command in typer.main.get_command(main.app).commands  # type: ignore[attr-defined]
    assert settings()["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_its_times_are_those_of_the_service() -> None:
    assert settings()["Type"] == ["notify"]
    assert systemd.beat_secs({"WATCHDOG_USEC": str(round(secs("WatchdogSec") * 1e6))}) * 2 < secs("WatchdogSec")
    assert systemd.BEGINNING_BEAT_SECS < systemd.PATIENCE_SECS <= secs("TimeoutStartSec")
    assert lifetime.SENDS_SECS + server.STOP_SECS + lifetime.LAST_WORDS_SECS < 10 < secs("TimeoutStopSec")


def test_it_is_not_started_again_where_that_would_not_help() -> None:
    codes = {int(code) for code in settings()["RestartPreventExitStatus"][0].split()}
    assert codes == {BadInput.exit_code, StopService.exit_code}
    assert settings()["Restart"] == ["on-failure"]


def test_the_password_is_a_credential_of_the_name_that_the_service_looks_for() -> None:
    assert settings()["LoadCredentialEncrypted"][0].split(":")[0] == DEFAULT_CREDENTIAL


def test_it_may_destroy_keystores_where_the_documents_put_them() -> None:
    document = (UNIT.parents[1] / "docs" / "deploy.md").read_text()
    state = f"/var/lib/{settings()['StateDirectory'][0]}"
    assert f"| `{state}/keystores` |" in document
    assert settings()["ReadWritePaths"] == ["-/etc/ghost-fleet/keystores"]
    owner = f"-o {settings()['User'][0]} -g {settings()['Group'][0]}"
    assert f"install -d {owner} -m 0700 {state} {state}/keystores" in document
    assert f"install {owner} -m 0600 config/production.toml /etc/ghost-fleet/config.toml" in document
    assert "readable by group" not in document


@pytest.mark.parametrize(
    "line",
    [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StateDirectory=ghost-fleet",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "LimitCORE=0",
        "UMask=0077",
    ],
)
def test_it_is_shut_in(line: str) -> None:
    assert f"\n{line}\n" in UNIT.read_text()


@pytest.mark.skipif(shutil.which("systemd-run") is None, reason="systemd is not installed")
def test_what_opens_keys_outside_of_it_gets_the_same_credential_from_systemd(tmp_path: Path) -> None:
    """The line that the runbook prints and the program says: options of systemd-run, properties that a unit may have, this unit's
    credential, user and program."""
    line = where_it_is(DEFAULT_CREDENTIAL, Path(settings()["ExecStart"][0].split()[2]))
    words = re.search(r"`(.*) COMMAND`", line)
    assert words is not None
    assert words[1] in " ".join((UNIT.parents[1] / "RUNBOOK.md").read_text().split())
    _, *options = words[1].split(" /opt/")[0].split()
    properties = [options[at + 1] for at, it in enumerate(options) if it == "-p"]
    told = subprocess.run(["systemd-run", "--help"], capture_output=True, text=True).stdout
    assert [it for it in options if it.startswith("--") and it.split("=")[0] not in told] == []
    assert f"LoadCredentialEncrypted={settings()['LoadCredentialEncrypted'][0]}" in properties
    assert f"UMask={settings()['UMask'][0]}" in properties
    assert f"--uid={settings()['User'][0]}" in options
    assert words[1].split()[-3:] == settings()["ExecStart"][0].split()[:3]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line_and_finds_it_hardly_exposed(tmp_path: Path) -> None:
    """`verify` prints what it does not know and exits 0 all the same. The program is put where there is one."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/ghost-fleet/bin/ghost-fleet", "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert verified.stdout + verified.stderr == ""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert exposure is not None, told
    assert float(exposure[1]) <= MOST_EXPOSED
