"""Old events move to a file, and nothing that they proved or explained is lost: on SQLite and on PostgreSQL."""

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lived_log import everything, live, rows_of
from log_stage import note

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import FOLD_VERSION, encode_state
from ghostfleet.engine import recovery
from ghostfleet.engine.clock import SystemClock
from ghostfleet.engine.recovery import keep_anchor, recover
from ghostfleet.operations.archive import NotCompacted, NotThisLog, archive
from ghostfleet.operations.doctor.patient import admitted
from ghostfleet.operations.offline import log_alone
from ghostfleet.operations.tokens import list_alone
from ghostfleet.store.errors import ArchiveMissing, LogCorrupt, LogHeld, LogUnavailable, SchemaTooNew
from ghostfleet.store.log import EventLog, open_log, verify_log
from ghostfleet.store.queries import EventQuery, TransactionQuery
from ghostfleet.store.sqlite import SqliteDatabase
from tests.simulation.memory_recorder import Commit

DECISION = Path(__file__).parents[3] / "docs/decisions/0007-hash-chain.md"
SETTINGS = """
[chain]
chain_id = 6343
rpc_url = "http://127.0.0.1:1"
[plugins]
enabled = ["transfer"]
[plugins.transfer]
to = "0x00000000000000000000000000000000000000aa"
[store]
url = "{url}"
[archive]
dir = "{archives}"
"""
LAST_US = 2**62
"""A moment after everything."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the archive files lie."""
    place = tmp_path / "archives"
    place.mkdir()
    return place


def moment(commits: tuple[Commit, ...], share: float) -> int:
    """The time of the event so far into the log."""
    rows = rows_of(commits)
    return rows[int(len(rows) * share)].time_us


async def answers(log: EventLog) -> list[Any]:
    """What the log says to every kind of question, LogArchived left out."""
    rows = [it for it in (await log.rows(EventQuery(limit=1000))).items if it.type != "LogArchived"]
    backwards = [
        it for it in (await log.rows(EventQuery(limit=1000, descending=True))).items if it.type != "LogArchived"
    ]
    attempts = (await log.transactions(TransactionQuery(limit=1000))).items
    stories = [(await log.rows(EventQuery(tx=it.hash, limit=1000))).items for it in attempts]
    wallets = [(await log.rows(EventQuery(wallet=name, limit=1000))).items for name in ("w1", "w2")]
    return [rows, backwards[::-1] == rows, attempts, stories, wallets]


async def test_what_was_archived_is_still_read_verified_folded_and_explained(
    url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    await live(url, commits)
    log = await open_log(url, read_only=True)
    before, state, told = await answers(log), encode_state(await recover(log)), await everything(log)
    await log.close()

    first = await archive(url, moment(commits, 0.4), place / "first.db", archives=place)
    second = await archive(url, moment(commits, 0.7), place / "second.db", archives=place)
    assert first.events > 0
    assert second.first_position == first.last_position + 1
    assert second.in_place

    log = await open_log(url, archives=place)
    assert log.missing() == []
    assert await answers(log) == before
    moved = [it for it in await everything(log) if isinstance(it.event, ev.LogArchived)]
    assert [it for it in await everything(log) if not isinstance(it.event, ev.LogArchived)] == told
    assert [(it.event.first_position, it.event.last_position) for it in moved] == [
        (1, first.last_position),
        (first.last_position + 1, second.last_position),
    ]
    by_anchor, whole = await recover(log), await recover(log, use_snapshot=False)
    assert encode_state(by_anchor) == encode_state(whole)
    assert whole.wallets == recovery.decode_state(state).wallets
    found = await log.verify()
    assert (found.ok, found.rows, found.after, found.missing) == (True, log.head.position, 0, ())
    assert (await log.schema())["min_level"] == "2"
    await log.append([note("goes on")], time_us=LAST_US)
    await log.rebuild_projections()
    assert (await log.verify()).ok
    await log.close()


async def test_without_the_file_the_log_goes_on_and_says_what_is_missing(
    url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    await live(url, commits)
    done = await archive(url, moment(commits, 0.5), place / "old.db", archives=place)
    log = await open_log(url, archives=place)
    whole = encode_state(await recover(log, use_snapshot=False))
    await log.close()
    (place / "old.db").rename(place / "elsewhere.db")

    log = await open_log(url, archives=place)
    assert encode_state(await recover(log)) == encode_state(await recover(log, use_snapshot=False)) == whole
    assert log.missing() == [f"positions 1 to {done.last_position} are in archive old.db, which is not in {place}"]
    page = await log.rows(EventQuery(limit=1000))
    assert page.items[0].position == done.last_position + 1
    with pytest.raises(ArchiveMissing, match=f"positions 1 to {done.last_position} are in archive old.db"):
        await everything(log)
    with pytest.raises(ArchiveMissing, match=r"archive old\.db"):
        await log.rebuild_projections()
    written = await log.append([note("goes on")], time_us=LAST_US)
    await log.save_snapshot(written[0].position, FOLD_VERSION, encode_state(await recover(log)))
    found = await log.verify()
    assert (found.ok, found.after, list(found.missing)) == (True, done.last_position, list(log.missing()))
    assert found.rows == log.head.position - done.last_position
    await log.close()
    reopened = await open_log(url, archives=place)
    assert reopened.head.position == written[0].position
    await reopened.close()


async def test_a_newer_fold_reads_the_archive_once_and_says_which_file_it_needs(
    url: str, place: Path, commits: tuple[Commit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    await live(url, commits)
    done = await archive(url, moment(commits, 0.5), place / "old.db", archives=place)
    monkeypatch.setattr(recovery, "FOLD_VERSION", FOLD_VERSION + 1)  # the next release
    (place / "old.db").rename(place / "elsewhere.db")
    log = await open_log(url, archives=place)
    with pytest.raises(ArchiveMissing, match=rf"positions 1 to {done.last_position} are in archive old\.db"):
        await recover(log)
    (place / "elsewhere.db").rename(place / "old.db")
    state = encode_state(await recover(log))
    await keep_anchor(log)
    (place / "old.db").unlink()
    assert encode_state(await recover(log)) == state
    monkeypatch.undo()  # and back: the state of this release's fold is still there
    assert encode_state(await recover(log)) == state
    await log.close()


async def test_while_the_service_is_down_its_log_is_read_with_the_archives_of_its_settings(
    sqlite_url: str, place: Path, tmp_path: Path, commits: tuple[Commit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an upgrade and its first start, tokens are made and ended, backups noted and the fleet examined."""
    await live(sqlite_url, commits)
    await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    (tmp_path / "config.toml").write_text(SETTINGS.format(url=sqlite_url, archives=place))
    monkeypatch.setattr(recovery, "FOLD_VERSION", FOLD_VERSION + 1)
    patient = admitted(tmp_path / "config.toml", {}, unhealthy=str, unready=str)
    assert patient.loaded is not None, patient.problems
    assert (await patient.state()).position
    assert await list_alone(patient.loaded, SystemClock()) == {"tokens": []}
    async with log_alone(patient.loaded, SystemClock()) as live_state:
        assert live_state.state.position == (await patient.state()).position


async def test_release_0_1_0_refuses_an_archived_log_and_starts_on_any_other(
    url: str, place: Path, commits: tuple[Commit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    await live(url, commits)
    with monkeypatch.context() as older:
        older.setattr("ghostfleet.store.schema.LEVEL", 1)
        log = await open_log(url)
        await log.close()
    await archive(url, moment(commits, 0.5), place / "old.db", archives=place)
    with monkeypatch.context() as older:
        older.setattr("ghostfleet.store.schema.LEVEL", 1)
        for read_only in (True, False):
            with pytest.raises(SchemaTooNew, match=r"needs schema level 2, .*start release 0\.2\.0"):
                await open_log(url, read_only=read_only)


async def test_what_is_not_final_stays(url: str, place: Path, commits: tuple[Commit, ...]) -> None:
    """The log is cut off where an action is in the middle of its life."""
    rows = rows_of(commits)
    signed = next(n for n, row in enumerate(rows) if row.type == "TransactionSigned" and n > len(rows) // 2)
    cut = next(n for n in range(len(commits)) if commits[n].rows[-1].position > rows[signed].position)
    await live(url, commits[: cut + 1])
    done = await archive(url, LAST_US, place / "old.db", archives=place)
    assert "is not final yet" in done.held_back
    log = await open_log(url, archives=place)
    state = await recover(log)
    slots = [slot for wallet in state.wallets.values() for slot in wallet.slots]
    assert slots
    (place / "old.db").unlink()
    for slot in slots:
        action_id = getattr(slot, "action_id", "") or slot.pending.action_id  # type: ignore[union-attr]
        kept = (await log.rows(EventQuery(correlation=action_id))).items
        assert kept[0].type == "ActionDecided"
    await log.close()


async def test_rows_are_as_safe_from_deletion_afterwards_as_before(
    sqlite_url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    path = Path(sqlite_url.removeprefix("sqlite:///"))

    def triggers() -> list[Any]:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1").fetchall()

    before = triggers()
    await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    assert triggers() == before
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("DELETE FROM events")


@pytest.mark.postgres
async def test_rows_are_as_safe_from_deletion_afterwards_as_before_on_postgresql(
    postgres_url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    import asyncpg

    await live(postgres_url, commits)
    await archive(postgres_url, moment(commits, 0.5), place / "old.db", archives=place)
    connection = await asyncpg.connect(postgres_url)
    try:
        for sql in ("DELETE FROM events", "UPDATE events SET time_us = 0", "TRUNCATE events"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(sql)
    finally:
        await connection.close()


async def test_an_auditor_verifies_archive_and_log_without_our_code(
    sqlite_url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    await live(sqlite_url, commits)
    await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    (lines,) = re.findall(r"```python\n(.*?)```", DECISION.read_text(), re.DOTALL)
    files = [place / "old.db", sqlite_url.removeprefix("sqlite:///")]
    fits = subprocess.run(  # noqa: ASYNC221 - a second of a script
        [sys.executable, "-I", "-c", lines, *files], capture_output=True, text=True, check=False
    )
    head = (await verify_log(sqlite_url, archives=place)).head
    assert (fits.returncode, fits.stdout) == (0, f"{head.position} events, head {head.hash}\n"), fits.stderr


@pytest.fixture
async def archived(sqlite_url: str, place: Path, commits: tuple[Commit, ...]) -> str:
    await live(sqlite_url, commits)
    await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    return sqlite_url


def change(path: Path | str, sql: str) -> None:
    """As one who wants to edit it would."""
    with closing(sqlite3.connect(path)) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute(sql)
        database.commit()


async def test_an_archive_verifies_beside_the_one_before_it(
    sqlite_url: str, place: Path, commits: tuple[Commit, ...]
) -> None:
    """It ends before the log said that the one before was made."""
    await live(sqlite_url, commits)
    for share, name in ((0.3, "first.db"), (0.6, "second.db")):
        assert (await archive(sqlite_url, moment(commits, share), place / name, archives=place)).events
    for url in (sqlite_url, *(f"sqlite:///{place}/{name}.db" for name in ("first", "second"))):
        found = await verify_log(url, archives=place)
        assert (found.ok, found.missing) == (True, ()), found.problem


@pytest.mark.parametrize(
    ("of_archive", "sql"),
    [
        (True, "UPDATE events SET payload = '{}' WHERE position = 7"),
        (True, "UPDATE events SET time_us = time_us + 1 WHERE position = 1"),
        (False, "UPDATE events SET time_us = time_us + 1 WHERE position = (SELECT min(position) FROM events)"),
        (False, "UPDATE archives SET last_hash = zeroblob(32)"),
        (False, "UPDATE archives SET last_position = last_position - 1"),
        (False, "UPDATE archives SET versions = '{}'"),
        (False, "DELETE FROM archives"),
        (False, "DELETE FROM anchors"),
        (False, "UPDATE anchors SET state = CAST('{}' AS BLOB)"),
        (True, "INSERT INTO events SELECT 10000, stream, 0, type, 1, 1, 1, '', '{}', hash FROM events LIMIT 1"),
        (True, "INSERT INTO events SELECT -5, stream, 0, type, 1, 1, 1, '', '{}', hash FROM events LIMIT 1"),
        (False, "UPDATE archives SET first_us = last_us"),
        (False, "UPDATE archives SET last_us = 0"),
        (False, "UPDATE archives SET file_sha256 = zeroblob(32)"),
        (False, "UPDATE archives SET archived_us = archived_us - 1"),
        (False, "INSERT INTO events SELECT 1, stream, 0, type, 1, 1, 1, '', '{}', hash FROM events LIMIT 1"),
    ],
)
async def test_an_edit_of_archive_or_anchor_is_found(archived: str, place: Path, of_archive: bool, sql: str) -> None:
    change(place / "old.db" if of_archive else archived.removeprefix("sqlite:///"), sql)
    try:
        found = await verify_log(archived, archives=place)
        assert not found.ok, sql
        assert found.problem
    except LogCorrupt:
        pass


async def test_a_state_at_the_anchor_that_was_made_up_is_found(archived: str, place: Path) -> None:
    """Whoever can write there writes its digest as well. Without the files nobody can tell: that one is taken on trust."""
    log = await open_log(archived, archives=place)
    state = await log.load_anchor_state(FOLD_VERSION)
    assert state is not None
    await log.save_anchor_state(FOLD_VERSION, state.state.replace(b'"decisions":', b'"decisions":1'))
    assert "the state at the anchor" in (await log.verify()).problem
    await log.save_anchor_state(FOLD_VERSION, state.state)
    assert (await log.verify()).ok
    await log.close()


async def test_another_file_of_that_name_is_refused(archived: str, place: Path, tmp_path: Path) -> None:
    shutil.copy(archived.removeprefix("sqlite:///"), place / "old.db")
    log = await open_log(archived, archives=place)
    with pytest.raises(LogCorrupt, match="put the right file there"):
        await everything(log)
    await log.close()


async def test_no_file_is_overwritten_and_an_unfinished_archive_is_gone_on_with(
    sqlite_url: str, place: Path, commits: tuple[Commit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ghostfleet.operations import archive as operation

    await live(sqlite_url, commits)
    (place / "mine.db").write_text("something of mine")
    with pytest.raises(NotThisLog, match="give another name"):
        await archive(sqlite_url, moment(commits, 0.5), place / "mine.db", archives=place)
    assert (place / "mine.db").read_text() == "something of mine"

    async def killed(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(operation, "move_out", killed)
        with pytest.raises(ZeroDivisionError):
            await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    made = (place / "old.db").read_bytes()
    done = await archive(sqlite_url, moment(commits, 0.6), place / "old.db", archives=place)
    assert done.events
    assert (place / "old.db").read_bytes() == made
    again = await archive(sqlite_url, moment(commits, 0.2), place / "again.db", archives=place)
    assert again.events == 0
    assert not (place / "again.db").exists()
    assert (place / "old.db").stat().st_mode & 0o777 == 0o600


async def test_a_disk_too_full_to_compact_is_told_as_that_and_the_same_command_does_it_later(
    sqlite_url: str, place: Path, commits: tuple[Commit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: object) -> None:
        raise LogUnavailable("the disk is full")

    await live(sqlite_url, commits)
    before_us = moment(commits, 0.5)
    with monkeypatch.context() as patched:
        patched.setattr(SqliteDatabase, "compact", full)
        with pytest.raises(
            NotCompacted, match=r"are in .*old\.db, and their space is not given back \(the disk is full\)"
        ):
            await archive(sqlite_url, before_us, place / "old.db", archives=place)
    assert (await verify_log(sqlite_url, archives=place)).ok
    size = Path(sqlite_url.removeprefix("sqlite:///")).stat().st_size
    assert (await archive(sqlite_url, before_us, place / "old.db", archives=place)).events == 0
    assert Path(sqlite_url.removeprefix("sqlite:///")).stat().st_size < size


async def test_an_event_of_a_clock_that_was_ahead_is_named_where_it_keeps_the_rest(
    sqlite_url: str, place: Path
) -> None:
    log = await open_log(sqlite_url)
    for time_us in (1, 900, 2, 3, 4):
        await log.append([note("at that time")], time_us=time_us)
    await log.close()
    done = await archive(sqlite_url, 4, place / "old.db", archives=place)
    assert done.events == 1
    assert "position 2 has a later time" in done.held_back
    assert "2 older" in done.held_back
    assert (await archive(sqlite_url, 901, place / "rest.db", archives=place)).held_back == ""


async def test_a_running_service_is_in_the_way(sqlite_url: str, place: Path, commits: tuple[Commit, ...]) -> None:
    await live(sqlite_url, commits)
    log = await open_log(sqlite_url)
    with pytest.raises(LogHeld, match="stop that process first"):
        await archive(sqlite_url, moment(commits, 0.5), place / "old.db", archives=place)
    await log.close()
