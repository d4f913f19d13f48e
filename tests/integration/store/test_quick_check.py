"""What the doctor asks SQLite about the pages of a log: quick, whoever has it open, and a damaged page is told."""

from pathlib import Path

import pytest

from ghostfleet.domain.events import FleetPaused, NewEvent, wallet_stream
from ghostfleet.operations.doctor import log as examined
from ghostfleet.operations.doctor.patient import admitted
from ghostfleet.store import sqlite
from ghostfleet.store.log import open_log
from ghostfleet.store.sqlite import as_one_file, quick_faults
from tests.unit.engine.live_stage import decided

PAGE_BYTES = 4096
SECS = 30.0


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A log of many pages, with no write-ahead file beside it."""
    path = tmp_path / "log.db"
    log = await open_log(f"sqlite:///{path}")
    for _ in range(20):
        events = [NewEvent(wallet_stream("w"), decided("w")) for _ in range(100)]
        await log.append(events, time_us=1)
    await log.close()
    as_one_file(path)
    return path


def damage(path: Path) -> None:
    """A page in the middle is not what was written."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // PAGE_BYTES // 2 * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)


def test_a_whole_log_has_no_fault_and_a_damaged_page_is_told(file: Path) -> None:
    assert quick_faults(file, SECS) == ""
    damage(file)
    assert quick_faults(file, SECS) != ""


async def test_a_log_that_is_being_written_is_looked_at_all_the_same(file: Path) -> None:
    log = await open_log(f"sqlite:///{file}")
    try:
        await log.append([NewEvent("fleet", FleetPaused(actor="ada", reason=""))], time_us=1)
        assert quick_faults(file, SECS) == ""
    finally:
        await log.close()


def test_no_answer_in_time_is_no_fault(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "STEPS_A_QUICK_LOOK", 1)
    damage(file)
    assert quick_faults(file, 0) == ""


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a 100% #1 file?.db"
    path.write_bytes(b"no database" * 1000)
    assert "not a database" in quick_faults(path, SECS)


async def test_the_doctor_says_of_a_damaged_log_what_to_do(file: Path) -> None:
    config = file.with_name("config.toml")
    config.write_text(f'[store]\nurl = "sqlite:///{file}"\n')
    patient = admitted(config, {}, lambda: "", lambda: "")
    assert (await examined.database(patient)).colour == "green"
    damage(file)
    found = await examined.database(patient)
    assert found.colour == "red"
    assert f"{file} is damaged" in found.told
