"""The package that operators upgrade by: a wheel that needs nothing of the repository, its migrations included."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import ghostfleet
from tests.acceptance.service_process import listening_port
from tests.releases.previous_release import REPOSITORY

START_SECS = 180
HEALTH_EVERY_SECS = 0.5


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel of this checkout. It sees the dependencies of the tests, and not the checkout."""
    place = tmp_path_factory.mktemp("installed")
    wheel = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(place), str(REPOSITORY))
    pip(*wheel)
    venv.create(place / "venv", with_pip=False, symlinks=True)
    site = next((place / "venv" / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", str(place / "venv"), "install", "--no-deps", "--no-index", *map(str, place.glob("*.whl")))
    return place / "venv"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return Path(shutil.copy(REPOSITORY / "config" / "development.toml", tmp_path / "config.toml"))


def pip(*arguments: str) -> None:
    command = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(installed: Path, *arguments: str) -> str:
    """What an installed command prints."""
    done = subprocess.run(
        [str(installed / "bin" / "ghost-fleet"), *arguments], capture_output=True, text=True, cwd=installed
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def started(installed: Path, settings: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(installed / "bin" / "ghost-fleet"), "--config", str(settings), "run"],
        cwd=installed,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_is_this_release_and_stands_alone(installed: Path) -> None:
    assert run(installed, "--version").strip() == f"ghost-fleet {ghostfleet.__version__}"
    where = "import ghostfleet; print(ghostfleet.__file__)"
    done = subprocess.run([str(installed / "bin" / "python"), "-c", where], capture_output=True, text=True, cwd="/")
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_it_brings_every_migration_and_makes_a_log_with_them(installed: Path, settings: Path) -> None:
    [packaged] = installed.glob("lib/python*/site-packages/ghostfleet/_migrations")
    names = {path.relative_to(REPOSITORY / "migrations") for path in (REPOSITORY / "migrations").rglob("*.py")}
    assert {path.relative_to(packaged) for path in packaged.rglob("*.py")} == names
    assert "up to date" in run(installed, "--config", str(settings), "db", "upgrade")
    assert "events: 0" in run(installed, "--config", str(settings), "db", "status")


async def test_the_service_starts_from_it_answers_and_stops(installed: Path, settings: Path) -> None:
    """Without a chain: it lives, and waits for one."""
    port = listening_port()
    settings.write_text(settings.read_text().replace("health_port = 8080", f"health_port = {port}"))
    with started(installed, settings) as process:
        deadline = time.monotonic() + START_SECS
        while (await asyncio.to_thread(health, installed, settings)).returncode:
            assert process.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(HEALTH_EVERY_SECS)
        process.terminate()
        assert await asyncio.to_thread(process.wait, START_SECS) == 0


def health(installed: Path, settings: Path) -> subprocess.CompletedProcess[bytes]:
    command = [str(installed / "bin" / "ghost-fleet"), "--config", str(settings), "health"]
    return subprocess.run(command, capture_output=True, cwd=installed, env=os.environ)
