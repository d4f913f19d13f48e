"""The stand-in for docker lets nothing pass that an engine would refuse or not do: what the runbook forgets has to fail here."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runbook.stage import ENGINE

Docker = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """docker, where an image's program prints its environment."""
    place, program = tmp_path / "engine", tmp_path / "docker"
    place.mkdir()
    program.symlink_to(ENGINE)
    for folder in ("settings", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "password").write_text("pw")
    (tmp_path / "Dockerfile").write_text(
        "ENV GHOST_FLEET_CONFIG=/etc/it/config.toml \\\n    CREDENTIALS_DIRECTORY=/run/secrets\n"
    )

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        environ = os.environ | {"RUNBOOK_ENGINE": str(place), "GHOST_FLEET_CONFIG": "the shell's own"}
        return subprocess.run(
            [sys.executable, "-I", "-S", str(program), *words],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    run("build", "-t", "it:new", "-f", "Dockerfile", ".")
    images = json.loads((place / "images.json").read_text())
    images["it:new"]["program"] = ["env"]
    (place / "images.json").write_text(json.dumps(images))
    mounts = (
        "-v",
        "settings:/etc/it",
        "-v",
        f"{tmp_path}/password:/run/secrets/pw:ro",
        "-v",
        "log:/var/lib/ghost-fleet",
    )
    assert run("run", "-d", "--name", "old", "-e", "GHOST_FLEET_SAID=so", *mounts, "it:new").returncode == 0
    return run


def printed(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    pairs = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return {name: value for name, value in pairs.items() if name.startswith(("GHOST_FLEET", "CREDENTIALS"))}


def test_the_mounts_of_another_come_along_and_its_variables_do_not(docker: Docker) -> None:
    seen = printed(docker("run", "--volumes-from", "old", "it:new"))
    assert set(seen) == {"GHOST_FLEET_CONFIG", "CREDENTIALS_DIRECTORY"}
    assert seen["GHOST_FLEET_CONFIG"].endswith("/settings/config.toml")
    assert Path(seen["CREDENTIALS_DIRECTORY"], "pw").read_text() == "pw"


def test_what_is_not_mounted_is_not_there(docker: Docker) -> None:
    seen = printed(docker("run", "it:new"))
    assert not any(Path(value).exists() for value in seen.values())


def test_a_tag_is_there_once_it_was_given_and_not_before(docker: Docker) -> None:
    assert "No such image: it:previous" in docker("run", "it:previous").stderr
    assert docker("tag", "it:nothing", "it:previous").returncode != 0
    image = docker("inspect", "--format", "{{.Image}}", "old").stdout.strip()
    assert docker("tag", image, "it:previous").returncode == 0
    docker("image", "prune", "-f")
    assert printed(docker("run", "it:previous"))
