"""Backup, restore, archive and upgrade, killed before each of their steps: whole before and after, and done when run again."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from lived_log import live, rows_of
from log_stage import a_day
from test_upgrade_plan import log_of_release_0_1_0

from ghostfleet.domain.events import FLEET_STREAM, FleetPaused, NewEvent
from ghostfleet.domain.state import fold
from ghostfleet.operations.backup import back_up
from ghostfleet.store.codec import CODEC
from ghostfleet.store.log import open_log
from tests.simulation.memory_recorder import Commit

ROOT = Path(__file__).parents[3]
LEAST_STEPS = 10
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


async def prepared(directory: Path, url: str, commits: tuple[Commit, ...]) -> dict[str, str]:
    """A log, and a backup of its first half. The log was killed itself: its newest events are in the write-ahead file.

    In the end it is paused, which the backup does not know."""
    half = next(n for n in range(len(commits) // 2, len(commits)) if not _paused(commits[:n]))
    await live(url, commits[:half])
    await back_up(url, directory / "backup.gz")
    await live(url, commits[half:])
    rows = rows_of(commits)
    log = await open_log(url)
    paused = NewEvent(FLEET_STREAM, FleetPaused(actor="operator", reason="stolen key?"))
    await log.append([paused], time_us=rows[-1].time_us)
    await log.close()
    if url.startswith("sqlite"):
        log = await open_log(url)
        for name in ("log.db", "log.db-wal", "log.db.witness"):
            if (directory / name).exists():
                shutil.copy(directory / name, directory / f"{name}.copy")
        await log.close()
        for copy in directory.glob("*.copy"):
            copy.rename(copy.with_suffix(""))
    return {
        "LENGTH": str(len(rows) + 1),
        "OLD_BACKUP": str(rows_of(commits[:half])[-1].position),
        "CUT_US": str(rows[len(rows) // 2].time_us),
    }


def _paused(commits: Sequence[Commit]) -> bool:
    return fold(map(CODEC.decode, rows_of(commits))).fleet.paused is not None


async def killed_at_each_step(
    operation: str, directory: Path, known: dict[str, str], *url: str, stride: int = 1
) -> int:
    """How many steps the operation has. Fails where one of the deaths leaves something that it may not.

    STRIDE in the environment (1: each of them) goes before the stride that keeps this test quick.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.crashtest.files", operation, str(directory), *url),
        cwd=ROOT,
        env={"STRIDE": str(stride), **os.environ, **known},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()[-3000:]
    return int(out)


@pytest.mark.parametrize(("operation", "stride"), [("backup", 4), ("restore", 1), ("archive", 3)])
async def test_on_sqlite(operation: str, stride: int, tmp_path: Path, commits: tuple[Commit, ...]) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    known = await prepared(directory, f"sqlite:///{directory}/log.db", commits)
    assert await killed_at_each_step(operation, directory, known, stride=stride) >= LEAST_STEPS


@pytest.mark.postgres
@pytest.mark.parametrize("operation", ["restore", "archive"])
async def test_on_postgresql(operation: str, tmp_path: Path, postgres_url: str, commits: tuple[Commit, ...]) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    known = await prepared(directory, postgres_url, commits)
    assert await killed_at_each_step(operation, directory, known, postgres_url, stride=12) >= LEAST_STEPS


async def test_an_upgrade_from_release_0_1_0(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    await log_of_release_0_1_0(directory / "log.db")
    known = {"LENGTH": str(len(a_day()))}
    assert await killed_at_each_step("upgrade", directory, known) >= 4
