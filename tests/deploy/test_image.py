"""The image, as far as a reader of its Dockerfile can tell. `make image` builds it and runs it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from ghostfleet.cli import main
from ghostfleet.config.environment import DATA_DIRECTORY_VARIABLE, DEFAULT_PATHS
from tests.deploy.dockerfile import DOCKERFILE, ROOT, environment, of, stages

BUILD, FINAL = stages()
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        assert os.environ.get("CI") != "true", "hadolint is a dependency of working on this: make setup"
        pytest.skip("hadolint is not installed: make setup")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_everything_that_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    """.dockerignore lets nothing through but what it names, and what it names is used."""
    copied = {word for each in of(BUILD, "COPY") for word in each.words[:-1]}
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert re.search(r"^\*$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert all(each.text.startswith("--from=build ") for each in of(FINAL, "COPY"))


def test_both_stages_are_one_distribution_and_nothing_is_built_in_the_second() -> None:
    assert of(BUILD, "FROM")[0].text.removesuffix(" AS build") == of(FINAL, "FROM")[0].text
    assert "slim" in of(FINAL, "FROM")[0].text
    assert not any(word in each.text for each in of(FINAL, "RUN") for word in ("pip", "apt-get", "curl"))


def test_dependencies_are_those_of_the_locks_by_hash() -> None:
    installs = [part for each in of(BUILD, "RUN") for part in each.text.split("&&") if "pip install" in part]
    assert len(installs) == 3
    assert all("--require-hashes -r requirements" in part or "--no-deps --no-index" in part for part in installs)
    for lock in LOCKS:
        entries = re.split(r"^(?=\S)", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
        assert entries
        assert [entry.split()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_the_locks_have_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.lock": project["project"]["dependencies"],
        "requirements-build.lock": project["build-system"]["requires"],
    }
    for lock, requirements in wanted.items():
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[\[><=; ]", requirement)[0] for requirement in requirements}
        assert names - locked == set(), f"{lock}: run make lock"


def test_it_runs_as_nobody_under_an_init_process_and_says_how_it_is() -> None:
    assert of(FINAL, "USER")[-1].text == "10001:10001"
    assert of(FINAL, "ENTRYPOINT")[0].words == ["/usr/bin/tini", "--", "ghost-fleet"]
    assert of(FINAL, "STOPSIGNAL")[0].text == "SIGTERM"
    check = of(FINAL, "HEALTHCHECK")[0].text.split(" CMD ")[1]
    assert check == '["ghost-fleet", "health"]'
    assert "health" in typer.main.get_command(main.app).commands  # type: ignore[attr-defined]


def test_the_log_is_on_the_volume_and_the_settings_are_where_the_service_looks() -> None:
    values, [volume] = environment(FINAL), of(FINAL, "VOLUME")[0].words
    assert values[DATA_DIRECTORY_VARIABLE] == volume == of(FINAL, "WORKDIR")[0].text
    assert Path(values["GHOST_FLEET_CONFIG"]) in DEFAULT_PATHS
    assert f"--owner=10001 --group=10001 --mode=0700 {volume}" in of(FINAL, "RUN")[0].text


def test_its_labels_say_what_it_is() -> None:
    labels = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", of(FINAL, "LABEL")[0].text))
    assert labels == {"title", "description", "version", "revision", "created", "base.name"}
    assert f'base.name="docker.io/library/{of(FINAL, "FROM")[0].text}"' in of(FINAL, "LABEL")[0].text
    script = (ROOT / "scripts" / "image.sh").read_text()
    assert all(f"{each.text.split('=')[0]}=" in script for each in of(FINAL, "ARG"))


def test_the_script_that_builds_it_is_a_script() -> None:
    assert subprocess.run(["bash", "-n", str(ROOT / "scripts" / "image.sh")]).returncode == 0
    assert "\nimage:\n\tscripts/image.sh" in (ROOT / "Makefile").read_text()
