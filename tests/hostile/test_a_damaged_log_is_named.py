"""Whatever was done to the log's file, `ghost-fleet audit verify` says which row does not fit, and ends with an error."""

import asyncio
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ghostfleet.cli.main import app
from ghostfleet.domain.events import FLEET_STREAM, NewEvent, ServiceStopped
from ghostfleet.domain.state import FOLD_VERSION
from ghostfleet.store.log import open_log
from ghostfleet.store.rows import GENESIS, EventRow, hash_of
from tests.integration.store.log_stage import T0_US, a_day

CONFIG = """
[chain]
chain_id = 31337
rpc_url = "http://127.0.0.1:1"
[plugins]
enabled = ["transfer"]
[plugins.transfer]
to = "0x00000000000000000000000000000000000000aa"
[store]
url = "sqlite:///log.db"
"""
ROWS = len(a_day())
KEYS = {
    "events": "position",
    "log_head": "id",
    "transactions": "hash",
    "wallets": "wallet",
    "snapshots": "rowid",
    "log_meta": "key",
}
BITS_IN_THE_FILE = 150
ROW_OF_EACH_KIND = 28
GHOST_FLEET = Path(sys.executable).with_name("ghost-fleet")
UNPROVEN = (("release", "key"), ("release", "value"), ("level", "value"))
"""Of log_meta: which release wrote last is told, not proven. It is a hint in an error message."""


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("GHOST_FLEET"):
            monkeypatch.delenv(name)


async def written(path: Path) -> None:
    log = await open_log(f"sqlite:///{path}")
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    await keep_snapshots(path)


async def keep_snapshots(path: Path) -> None:
    log = await open_log(f"sqlite:///{path}")
    await log.save_snapshot(ROWS // 2, FOLD_VERSION, b"a state as it was")
    await log.save_snapshot(ROWS, FOLD_VERSION, b"a state as it is")
    await log.close()


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """A closed log with all that it keeps, its triggers removed, as one would who wants to edit it; settings beside it."""
    (tmp_path / "config.toml").write_text(CONFIG)
    path = tmp_path / "log.db"
    asyncio.run(written(path))
    with closing(sqlite3.connect(path)) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.commit()
    assert verify(path).exit_code == 0
    return path


def command(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--config", str(path.with_name("config.toml")), *arguments])


def verify(path: Path) -> Result:
    """The command as an auditor gives it."""
    return command(path, "audit", "verify")


def execute(path: Path, sql: str, *params: object) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(sql, params)
        database.commit()


def named(result: Result, *, position: int | None = None) -> str:
    """What the command complained of: one line, an exit code, and the row where it is one of the log."""
    assert result.exit_code in (1, 3), (result.exit_code, result.output, result.exception)
    assert "verified" not in result.stdout
    (line,) = [it for it in result.stderr.splitlines() if not it.startswith("ghost-fleet: warning: ")]
    assert line.startswith("ghost-fleet: error: "), line
    if position is not None:
        assert re.search(rf"position {position}\b", line), line
    return line


def flipped(value: object, bit: int) -> object:
    """The value with one bit changed, as a disk would; where there is none, a NUL came from somewhere."""
    if isinstance(value, int):
        return value ^ 1 << bit % 63
    assert isinstance(value, str | bytes)
    data = bytearray(value.encode() if isinstance(value, str) else value) or bytearray(1)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)


def copied(whole: Path) -> Path:
    """The log and what lies beside it, in a folder of their own."""
    folder = whole.parent / f"copy-{len(list(whole.parent.iterdir()))}"
    folder.mkdir()
    for name in ("config.toml", "log.db", "log.db.witness"):
        shutil.copy(whole.with_name(name), folder)
    return folder / "log.db"


def cells(path: Path, table: str) -> list[tuple[object, str, object]]:
    """(key, column, value) of all that a table holds."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(f"SELECT {KEYS[table]}, * FROM {table}")
        columns = [column for column, *_ in found.description][1:]
        return [
            (key, column, value)
            for key, *values in found.fetchall()
            for column, value in zip(columns, values, strict=True)
        ]


def damaged(path: Path, table: str, key: object, column: str, value: object, bit: int) -> bool:
    """Flip a bit of a cell. False where the table itself refuses it: a second row with the same key."""
    into = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
    try:
        execute(path, f"UPDATE {table} SET {column} = {into} WHERE {KEYS[table]} = ?", flipped(value, bit), key)
    except sqlite3.IntegrityError:
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize("table", KEYS)
def test_a_bit_changed_in_any_column_of_any_row_of_any_table_is_found(log_file: Path, table: str) -> None:
    chance = random.Random(table)
    missed = []
    for key, column, value in cells(log_file, table):
        path = copied(log_file)
        if value is None or not damaged(path, table, key, column, value, chance.randrange(2**16)):
            continue
        result = verify(path)
        if result.exit_code == 0:
            missed.append((key, column))
        else:
            named(result, position=int(str(key)) if table == "events" else None)
    assert [it for it in missed if it not in UNPROVEN] == []


def test_a_row_taken_out_put_in_or_in_the_place_of_another_is_named(log_file: Path) -> None:
    columns = "stream, version, type, type_version, critical, time_us, correlation, payload, hash"
    copy = f"INSERT INTO events SELECT {{at}}, stream, version + 90, {columns.partition('version, ')[2]} FROM events"
    for position, sql in (
        *((row, f"DELETE FROM events WHERE position = {row}") for row in range(1, ROWS + 1)),
        (12, "DELETE FROM events WHERE position IN (12, 14)"),
        (1, "DELETE FROM events"),
        (ROWS + 1, copy.format(at=ROWS + 1) + " WHERE position = 7"),
        (0, copy.format(at=0) + " WHERE position = 7"),
        (-3, copy.format(at=-3) + " WHERE position = 7"),
        (ROWS + 1, copy.format(at=2**63 - 1) + " WHERE position = 7"),
    ):
        path = copied(log_file)
        execute(path, sql)
        named(verify(path), position=position)
    for first, second in ((1, 2), (7, 8), (3, ROWS), (ROWS - 1, ROWS)):
        path = copied(log_file)
        execute(path, "UPDATE events SET position = -1 WHERE position = ?", first)
        execute(path, "UPDATE events SET position = ? WHERE position = ?", first, second)
        execute(path, "UPDATE events SET position = ? WHERE position = -1", second)
        named(verify(path), position=first)


def test_rows_that_somebody_chained_anew_are_told_by_the_end_of_the_log_and_by_the_witness(log_file: Path) -> None:
    """Whoever recomputes every hash still has to change the head, and the file beside the log."""
    change = "UPDATE events SET payload = replace(payload, 'start', 'begin') WHERE position = 1"
    execute(log_file, change)
    chain_anew(log_file)
    named(verify(log_file), position=ROWS)
    execute(log_file, "UPDATE log_head SET hash = (SELECT hash FROM events WHERE position = ?)", ROWS)
    assert ".witness" in named(verify(log_file), position=ROWS)


def chain_anew(path: Path) -> None:
    """Every hash recomputed, by the rule that the documentation gives."""
    with closing(sqlite3.connect(path)) as database:
        previous: bytes = GENESIS
        for row in database.execute("SELECT * FROM events ORDER BY position").fetchall():
            previous = hash_of(previous, EventRow(*row))
            database.execute("UPDATE events SET hash = ? WHERE position = ?", [previous, row[0]])
        database.commit()


@pytest.mark.parametrize("table", KEYS)
def test_a_value_of_another_kind_in_any_column_is_no_traceback(log_file: Path, table: str) -> None:
    strange: Sequence[object] = (None, -1, 2.5, "text", b"\xff", "", 2**63 - 1)
    chance = random.Random(table)
    for key, column, value in cells(log_file, table)[:ROW_OF_EACH_KIND]:
        path = copied(log_file)
        wrong = chance.choice([it for it in strange if it != value])
        try:
            execute(path, f"UPDATE {table} SET {column} = ? WHERE {KEYS[table]} = ?", wrong, key)
        except sqlite3.IntegrityError:
            continue
        result = verify(path)
        if result.exit_code or (key, column) not in UNPROVEN:
            named(result, position=int(str(key)) if table == "events" and column != "position" else None)


def contents(path: Path) -> object:
    """All that can be read, or what cannot."""
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        try:
            return [database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in KEYS]
        except sqlite3.Error as error:
            return str(error)


@pytest.mark.long
def test_a_bit_changed_anywhere_in_the_file_is_found_or_changes_nothing(log_file: Path) -> None:
    """Also where SQLite keeps lengths, kinds and pointers. Bits in pages that hold nothing change nothing."""
    whole, before = log_file.read_bytes(), contents(log_file)
    chance = random.Random(3)
    used = [at for at, byte in enumerate(whole) if byte]
    found = 0
    for _ in range(BITS_IN_THE_FILE):
        at = chance.choice(used)
        flip = bytearray(whole)
        flip[at] ^= 1 << chance.randrange(8)
        path = copied(log_file)
        path.write_bytes(flip)
        result = verify(path)
        if result.exit_code == 0:
            assert contents(path) == before, f"byte {at}"
        else:
            named(result)
            found += 1
    assert found > BITS_IN_THE_FILE // 2


@pytest.mark.parametrize("kept", [0, 1, 100, 4096, 5000, 3 * 4096, -4096, -1])
def test_a_file_cut_short_is_an_error_in_one_line(log_file: Path, kept: int) -> None:
    log_file.write_bytes(log_file.read_bytes()[:kept])
    named(verify(log_file))


def test_a_page_of_rubbish_is_an_error_in_one_line(log_file: Path) -> None:
    whole = log_file.read_bytes()
    for page in range(0, len(whole), 4096):
        for rubbish in (b"\xff" * 4096, bytes(4096), random.Random(page).randbytes(4096)):
            path = copied(log_file)
            path.write_bytes(whole[:page] + rubbish + whole[page + 4096 :])
            named(verify(path))


def test_an_older_copy_in_the_place_of_the_log_is_told_from_it(log_file: Path) -> None:
    old = log_file.read_bytes()

    async def append() -> None:
        log = await open_log(f"sqlite:///{log_file}")
        await log.append([NewEvent(FLEET_STREAM, ServiceStopped(reason="later"))], time_us=T0_US)
        await log.close()

    asyncio.run(append())
    log_file.write_bytes(old)
    named(verify(log_file), position=ROWS + 1)


def test_what_is_only_a_cache_is_told_from_the_log_and_mended(log_file: Path) -> None:
    for sql in (
        f"UPDATE snapshots SET state = x'00' WHERE position = {ROWS}",
        "UPDATE snapshots SET fold_version = fold_version + 1",
        "UPDATE transactions SET nonce = 99 WHERE signed_position = 4",
        "UPDATE wallets SET address = zeroblob(20)",
        "UPDATE transactions SET block_hash = 2000000000 WHERE block_hash IS NOT NULL",
    ):
        asyncio.run(keep_snapshots(log_file))
        execute(log_file, sql)
        assert "db rebuild" in named(verify(log_file))
        assert command(log_file, "db", "rebuild").exit_code == 0
        assert verify(log_file).exit_code == 0


def test_the_command_itself_names_the_row(log_file: Path) -> None:
    """As a process."""
    execute(log_file, "UPDATE events SET payload = replace(payload, 'end', 'END') WHERE position = ?", ROWS)
    broken = subprocess.run(
        [GHOST_FLEET, "--config", log_file.with_name("config.toml"), "audit", "verify", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert broken.returncode == 1
    assert f'"position":{ROWS}' in broken.stdout
    assert f"error: position {ROWS}: the row does not fit its hash" in broken.stderr
