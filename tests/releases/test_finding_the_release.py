"""The commit of a release is found by what it did to the version, in histories that make it hard."""

import subprocess
from pathlib import Path

import pytest

from tests.releases.previous_release import PREVIOUS, REPOSITORY, ReleaseNotInHistory, find_release


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(repository: Path, version: str, note: str = "") -> str:
    (repository / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n# {note}\n')
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--no-verify", "--message", f"{version} {note}")
    return git(repository, "rev-parse", "HEAD")


def shallow_clone(repository: Path, clone: Path, depth: int) -> Path:
    git(repository, "clone", "--quiet", f"--depth={depth}", f"file://{repository}", str(clone))
    return clone


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, str]:
    """A version that was set, taken back, set again and worked on before the next one began."""
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet")
    commit(repository, "0.1.0", "too early")
    commit(repository, "0.1.0", "a dependency")
    commit(repository, "0.1.0.dev0", "not released yet")
    commit(repository, "0.1.0", "almost")
    (repository / "README.md").write_text("No word of a version.")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--no-verify", "--message", "the release")
    released = git(repository, "rev-parse", "HEAD")
    commit(repository, "0.2.0.dev0", "the next one begins")
    return repository, released


def test_the_last_commit_before_the_next_version_is_the_release(history: tuple[Path, str]) -> None:
    repository, released = history
    assert find_release(repository, "0.1.0") == released


def test_a_version_that_no_other_follows_is_where_the_history_stands(history: tuple[Path, str]) -> None:
    repository, _ = history
    git(repository, "checkout", "--quiet", "--orphan", "other")
    commit(repository, "7.0.0")
    newest = commit(repository, "7.0.0", "a word of its description")
    assert find_release(repository, "7.0.0") == newest


def test_a_version_that_nothing_had_is_said_to_be_missing(history: tuple[Path, str]) -> None:
    with pytest.raises(ReleaseNotInHistory, match=r"no commit in .* has version '0\.9\.0'.*5 commits touched it"):
        find_release(history[0], "0.9.0")


def test_a_shallow_clone_without_the_release_says_so(history: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotInHistory, match=r"this clone is shallow: git fetch --unshallow"):
        find_release(shallow_clone(history[0], tmp_path / "clone", depth=1), "0.1.0")


def test_a_shallow_clone_that_reaches_the_release_is_enough(history: tuple[Path, str], tmp_path: Path) -> None:
    repository, released = history
    assert find_release(shallow_clone(repository, tmp_path / "clone", depth=2), "0.1.0") == released


def test_a_folder_without_history_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotInHistory, match="git has none here"):
        find_release(tmp_path, "0.1.0")


def test_the_previous_release_is_in_the_history_of_this_repository() -> None:
    released = find_release(REPOSITORY, PREVIOUS)
    assert f'version = "{PREVIOUS}"' in git(REPOSITORY, "show", f"{released}:pyproject.toml")
    assert f'__version__ = "{PREVIOUS}"' in git(REPOSITORY, "show", f"{released}:ghostfleet/__init__.py")
