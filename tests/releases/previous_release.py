"""Which commit was the previous release, and how does it run? From git's history and what is installed already.

No tags, no registry, no network: what CI has after a clone is enough, as long as the clone is not shallow.
"""

import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

PREVIOUS = "0.1.0"
"""The release that has to be able to take over from this one, and the other way round."""
REPOSITORY = Path(__file__).parents[2]
PROJECT_FILE = "pyproject.toml"
BUILD_SECS = 300


class ReleaseNotInHistory(AssertionError):
    """The repository has no commit with the version. The message says what is there and what to do."""


@dataclass(frozen=True)
class Release:
    """A release, installed into a directory of its own beside the dependencies of the tests."""

    version: str
    site: Path

    @property
    def program(self) -> tuple[str, ...]:
        """What to run in the place of `ghost-fleet`."""
        return (*self._environment, str(self.site / "bin" / "ghost-fleet"))

    @property
    def python(self) -> tuple[str, ...]:
        """An interpreter that imports this release."""
        return (*self._environment, sys.executable, "-P")

    @property
    def _environment(self) -> tuple[str, ...]:
        return ("/usr/bin/env", f"PYTHONPATH={self.site}")


def find_release(repository: Path, version: str) -> str:
    """The last commit that had this version: the one before the next version was set. Raises ReleaseNotInHistory."""
    if _version_at(repository, "HEAD") == version:
        return _git(repository, "rev-parse", "HEAD").strip()
    commits = _git(repository, "log", "--format=%H", "--", PROJECT_FILE).split()
    for commit in commits:
        parent = _git(repository, "rev-parse", "--quiet", "--verify", f"{commit}^", check=False).strip()
        if parent and _version_at(repository, parent) == version and _version_at(repository, commit) != version:
            return parent
    shallow = _git(repository, "rev-parse", "--is-shallow-repository").strip() == "true"
    why = "this clone is shallow: git fetch --unshallow" if shallow else "is this the whole history of Ghost Fleet?"
    raise ReleaseNotInHistory(
        f"no commit in {repository} has version {version!r} in {PROJECT_FILE} ({len(commits)} commits touched it); {why}"
    )


def build_release(repository: Path, version: str, directory: Path) -> Release:
    """Build the release from its commit and install it into `directory`: a wheel, as operators get it, in 2 to 5 s."""
    commit = find_release(repository, version)
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", commit], check=True, capture_output=True, timeout=BUILD_SECS
    ).stdout
    source, site = directory / "source", directory / "site"
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(source, filter="data")
    install_wheel(source, site)
    return Release(version, site)


def install_wheel(source: Path, site: Path) -> None:
    """Build `source` and install the wheel into `site`, with its commands, without its dependencies."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)],
        capture_output=True,
        text=True,
        timeout=BUILD_SECS,
    )
    assert done.returncode == 0, done.stderr


def _version_at(repository: Path, commit: str) -> str | None:
    """The version that the project had at a commit; None before it had one."""
    text = _git(repository, "show", f"{commit}:{PROJECT_FILE}", check=False)
    found = tomllib.loads(text).get("project", {}).get("version")
    return found if isinstance(found, str) else None


def _git(repository: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, timeout=BUILD_SECS
    )
    if check and done.returncode:
        raise ReleaseNotInHistory(
            f"the previous release is built from git's history, and git has none here: {done.stderr.strip()}"
        )
    return done.stdout if done.returncode == 0 else ""
