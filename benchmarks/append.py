"""How many events a second does the log take from 1, 100, 1,000 concurrent writers, and what is the limit?

The limit writes the very rows that the log has just written, in as many commits, with the sqlite3 module alone: into the same
tables (indexes, triggers and the row that says where the log ends are the log's own schema), WAL and synchronous=FULL, on the
same disk, with the same hash chain over the same bytes. What it does not do: make JSON of events, number them, keep
a thousand writers waiting for their own commit, or leave an event loop free meanwhile. Log and limit take short turns, because
the disk's moods last longer than those.
"""

import asyncio
import sqlite3
import struct
import tempfile
from contextlib import closing
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.lines import Line, Round, line
from ghostfleet import event_loop
from ghostfleet.domain import events as ev
from ghostfleet.domain.events import NewEvent
from ghostfleet.domain.values import AnswerClass, Hash
from ghostfleet.store.log import open_log

WRITERS = (1, 100, 1000)
SECONDS = 0.5
"""Of each turn of the log; the limit takes as long as it takes."""
ROUNDS = 9
QUICK_SECONDS, QUICK_ROUNDS = 0.05, 1
GOAL = 0.5
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SET_HEAD = "UPDATE log_head SET position = ?, hash = ?, projected = ? WHERE id = 1"
HEADER = struct.Struct(">QQIBQIIII")

Row = tuple[Any, ...]


def event(wallet: str, n: int) -> NewEvent:
    """Some 400 bytes of JSON, as a refused broadcast has."""
    failed = ev.BroadcastFailed(
        action_id=f"{wallet}/{n}",
        nonce=n,
        hash=Hash(n.to_bytes(32, "big")),
        endpoint="primary",
        error_class=AnswerClass.ENDPOINT_FAULT,
        message="m" * 190,
    )
    return NewEvent(f"wallet/{wallet}", failed, f"{wallet}/{n}")


def measure(*, quick: bool = False) -> list[Line]:
    """For every number of writers."""
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    return [_measure(writers, seconds, rounds) for writers in WRITERS]


def _measure(writers: int, seconds: float, rounds: int) -> Line:
    found: list[Round] = []
    rows = commits = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            rows, commits, took = event_loop.run(_log(Path(folder, "log.db"), writers, seconds))
            event_loop.run(_made(Path(folder, "plain.db")))
            limit = _limit(_rows(Path(folder, "log.db")), Path(folder, "plain.db"), commits)
            found.append(Round(rows / took, rows / limit))
    case = f"{writers:,} writer{'s' if writers > 1 else ''}"
    note = f"{rows / commits:,.0f} rows a commit"
    return line(found, benchmark="append", case=case, unit="events/s", goal=GOAL, note=note)


async def _log(path: Path, writers: int, seconds: float) -> tuple[int, int, float]:
    """Rows, commits and seconds; each writer awaits its event before it makes the next."""
    log = await open_log(f"sqlite:///{path}")
    started = perf_counter()
    end = started + seconds

    async def writer(name: str) -> None:
        n = 0
        while perf_counter() < end:
            n += 1
            await log.append([event(name, n)], time_us=n)

    await asyncio.gather(*(writer(f"wallet-{n:04}") for n in range(writers)))
    took = perf_counter() - started
    rows, commits = log.counters.rows, log.counters.commits
    await log.close()
    return rows, commits, took


async def _made(path: Path) -> None:
    """The tables of a log, empty."""
    await (await open_log(f"sqlite:///{path}")).close()


def _rows(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM events ORDER BY position").fetchall()


def _limit(rows: list[Row], path: Path, commits: int) -> float:
    """Seconds that the sqlite3 module alone takes."""
    texts = ["".join((row[1], row[3], row[7], row[8])).encode() for row in rows]
    bounds = [len(rows) * number // commits for number in range(commits + 1)]
    previous = bytes(32)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        started = perf_counter()
        for start, end in pairwise(bounds):
            batch = []
            for row, text in zip(rows[start:end], texts[start:end], strict=True):
                position, stream, version, type_, type_version, critical, time_us, correlation, payload, _ = row
                lengths = len(stream), len(type_), len(correlation), len(payload)
                header = HEADER.pack(position, version, type_version, critical, time_us, *lengths)
                previous = sha256(previous + header + text).digest()
                batch.append((*row[:9], previous))
            database.execute("BEGIN IMMEDIATE")
            database.executemany(INSERT, batch)
            database.execute(SET_HEAD, (rows[end - 1][0], previous, rows[end - 1][0]))
            database.execute("COMMIT")
        took = perf_counter() - started
    assert previous == rows[-1][9], "the limit has written the log's own chain"
    return took
