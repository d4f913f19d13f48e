"""A power cut: what was not synced is gone, in any part. The log opens whole, or says what is missing and refuses.

The files are real, written by the service's own code; between two commits every mixture of old and new sectors is put in their
place that a disk can leave. What a disk that lies leaves (synced, and gone all the same) is told by the witness beside the log.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from log_stage import T0_US, a_day, note

from ghostfleet.store.errors import LogCorrupt, LogCutBack
from ghostfleet.store.log import EventLog, open_log

SECTOR = 512
"""What a disk writes whole or not at all."""
FRAME_BYTES = 24 + 4096
WAL_HEADER_BYTES = 32
MIXTURES = 6
"""Random ones of each step, beside the regular ones."""
STEPS = 8
"""Two commits and a checkpoint, again and again; the last ones are commits."""


@dataclass(frozen=True)
class Files:
    """A moment of the log on disk."""

    database: bytes
    wal: bytes
    witness: bytes
    position: int

    @classmethod
    def of(cls, path: Path, position: int) -> "Files":
        parts = [path.with_name(path.name + suffix) for suffix in ("", "-wal", ".witness")]
        return cls(*(it.read_bytes() if it.exists() else b"" for it in parts), position)

    def put(
        self, folder: Path, *, database: bytes | None = None, wal: bytes | None = None, witness: bytes | None
    ) -> Path:
        """Into a folder of its own, in the place of what is named."""
        place = folder / f"case-{len(list(folder.iterdir()))}"
        place.mkdir()
        path = place / "log.db"
        path.write_bytes(self.database if database is None else database)
        path.with_name("log.db-wal").write_bytes(self.wal if wal is None else wal)
        if witness is not None:
            path.with_name("log.db.witness").write_bytes(witness)
        return path


def frames(wal: bytes) -> range:
    """Where the frames begin that count: behind them lie those of an earlier use of the file."""
    starts = range(WAL_HEADER_BYTES, len(wal) - FRAME_BYTES + 1, FRAME_BYTES)
    salts = wal[16:24]
    return starts[: next((n for n, at in enumerate(starts) if wal[at + 8 : at + 16] != salts), len(starts))]


async def history(path: Path) -> list[Files]:
    """The files after each commit, and after each checkpoint, of a life with small and large ones."""
    log = await open_log(f"sqlite:///{path}")
    connection: Any = log._recorder._db._writer  # type: ignore[attr-defined]
    await log.append(a_day(), time_us=T0_US)
    moments = [Files.of(path, log.head.position)]
    for step in range(STEPS):
        if step % 3 == 2:
            await connection.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
        else:
            await log.append([note("x" * (3000 if step % 3 else 40)) for _ in range(step + 1)], time_us=T0_US)
        moments.append(Files.of(path, log.head.position))
    await log.close()
    return moments


def mixed(old: bytes, new: bytes, chance: random.Random) -> bytes:
    """Each sector old or new."""
    length = chance.choice((len(old), len(new)))
    old, new = old.ljust(length, b"\0"), new.ljust(length, b"\0")
    share = chance.random()
    sectors = range(0, length, SECTOR)
    return b"".join((new if chance.random() < share else old)[at : at + SECTOR] for at in sectors)[:length]


def half_written(before: Files, after: Files, chance: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """(database, write-ahead file) as a power cut between two moments can leave them.

    A commit writes the write-ahead file only, and a checkpoint the database only, after the other one is synced.
    """
    for _ in range(MIXTURES):
        if before.database == after.database:
            yield before.database, mixed(before.wal, after.wal, chance)
        else:
            assert before.wal == after.wal, "a commit and a checkpoint are two steps here"
            yield mixed(before.database, after.database, chance), after.wal
    if before.database == after.database and after.wal.startswith(before.wal):
        new = len(after.wal) - len(before.wal)
        for kept in sorted({0, 1, 23, 24, new // 3, new // 2, new - FRAME_BYTES, new - SECTOR, new - 1}):
            yield before.database, after.wal[: len(before.wal) + max(kept, 0)]


async def whole(log: EventLog) -> None:
    """Every row is there, every hash fits, the read models follow, and it can be written."""
    found = await log.verify()
    assert found.ok, found.problem
    assert [it.position async for it in log.read()] == list(range(1, log.head.position + 1))
    await log.append([note("goes on")], time_us=T0_US)


async def test_a_power_cut_at_any_moment_leaves_the_commits_before_it(tmp_path: Path) -> None:
    """A torn frame, a lost header, half of a checkpoint: the log is what it was at the last sync, or one commit more."""
    moments = await history(tmp_path / "log.db")
    chance, reached = random.Random(1), set()
    for before, after in pairwise(moments):
        for database, wal in half_written(before, after, chance):
            path = after.put(tmp_path, database=database, wal=wal, witness=before.witness)
            log = await open_log(f"sqlite:///{path}")
            assert log.head.position in (before.position, after.position)
            reached.add(log.head.position == after.position)
            await whole(log)
            await log.close()
    assert reached == {False, True}


async def test_commits_that_were_synced_and_are_gone_are_named(tmp_path: Path) -> None:
    """The write-ahead file cut at every frame, the witness as it was: refused, with the positions that are missing."""
    moments = await history(tmp_path / "log.db")
    newest = moments[-1]
    for older in moments[:-1]:
        if older.position == newest.position:
            continue
        path = older.put(tmp_path, witness=newest.witness)
        missing = rf"positions {older.position + 1} to {newest.position} were lost"
        for read_only in (False, True):
            with pytest.raises(LogCutBack, match=missing):
                await open_log(f"sqlite:///{path}", read_only=read_only)
    for start in frames(newest.wal):
        for torn in (0, FRAME_BYTES // 2):
            path = newest.put(tmp_path, wal=newest.wal[: start + torn], witness=newest.witness)
            with pytest.raises(LogCutBack, match=rf"positions \d+ to {newest.position} were lost"):
                await open_log(f"sqlite:///{path}")


async def test_a_write_ahead_file_that_is_gone_or_damaged_in_the_middle_is_no_way_around(tmp_path: Path) -> None:
    """Deleted, emptied, of another time, a bit changed in any frame: what was there is missed."""
    moments = await history(tmp_path / "log.db")
    last = moments[-1]
    chance = random.Random(2)
    others = [b"", b"\0" * len(last.wal), moments[0].wal]
    for start in frames(last.wal):
        flip = bytearray(last.wal)
        flip[start + chance.randrange(FRAME_BYTES)] ^= 1 << chance.randrange(8)
        others.append(bytes(flip))
    for wal in others:
        path = last.put(tmp_path, wal=wal, witness=last.witness)
        with pytest.raises((LogCutBack, LogCorrupt)):
            await open_log(f"sqlite:///{path}")


async def test_half_of_a_checkpoint_without_its_write_ahead_file_is_never_gone_on_with(tmp_path: Path) -> None:
    """A disk that lies: pages of two times in the database, and what would mend them is gone. Nobody wrote a witness."""
    moments = await history(tmp_path / "log.db")
    chance, refused = random.Random(3), 0
    for before, after in pairwise(moments):
        if before.database == after.database:
            continue
        commits = {0, *(it.position for it in moments)}
        for _ in range(4 * MIXTURES):
            path = after.put(tmp_path, database=mixed(before.database, after.database, chance), wal=b"", witness=None)
            try:
                log = await open_log(f"sqlite:///{path}")
            except LogCorrupt:
                refused += 1
                continue
            assert log.head.position in commits
            assert [it.position async for it in log.read()] == list(range(1, log.head.position + 1)), "a hole"
            await log.close()
    assert refused > MIXTURES
