"""How many events a second does the log take from 1, 100, 1,000 concurrent writers, and what is the limit?

The limit is the sqlite3 module writing the same rows (same columns, same sizes, the unique index, no hash chain) in the same
number of rows a commit that the log used, WAL and synchronous=FULL, on the same disk, in the same run.
"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import NewEvent
from ghostfleet.domain.values import AnswerClass, Hash
from ghostfleet.store.log import open_log

WRITERS = (1, 100, 1000)
SECONDS = 1.0
"""Of each measurement."""
ROUNDS = 3
"""Log and limit take turns; the median ratio counts, because the machine is noisy."""
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TABLE = """CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL,
type TEXT NOT NULL, type_version INTEGER NOT NULL, critical INTEGER NOT NULL, time_us INTEGER NOT NULL,
correlation TEXT NOT NULL, payload TEXT NOT NULL, hash BLOB NOT NULL, UNIQUE (stream, version))"""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    writers: int
    rows_a_commit: float
    log_events_a_second: float
    limit_events_a_second: float
    ratio: float


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


async def log_rate(path: Path, writers: int, seconds: float) -> tuple[float, float]:
    """Events a second, each awaited by its writer, and rows a commit."""
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
    return rows / took, rows / commits


def limit_rate(path: Path, rows_a_commit: int, seconds: float) -> float:
    """Events a second of the plain module, rows made beforehand."""
    payload = "{" + "p" * 396 + "}"
    count, position = 0, 0
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for sql in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", TABLE):
            database.execute(sql)
        took = 0.0
        while took < seconds:
            rows = []
            for _ in range(rows_a_commit):
                position += 1
                wallet = f"wallet/wallet-{position % 1000:04}"
                rows.append((position, wallet, position, "BroadcastFailed", 1, 1, position, wallet, payload, bytes(32)))
            started = perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.executemany(INSERT, rows)
            database.execute("COMMIT")
            took += perf_counter() - started
            count += rows_a_commit
    return count / took


async def measure_append(writers: int, *, seconds: float = SECONDS, rounds: int = ROUNDS) -> Measured:
    """The log and its limit, in turns."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            log, rows = await log_rate(Path(folder, "log.db"), writers, seconds)
            limit = await asyncio.to_thread(limit_rate, Path(folder, "plain.db"), max(1, round(rows)), seconds)
        found.append((log / limit, log, limit, rows))
    ratio, log, limit, rows = (median(column) for column in zip(*found, strict=True))
    return Measured(
        writers=writers, rows_a_commit=rows, log_events_a_second=log, limit_events_a_second=limit, ratio=ratio
    )


async def measure() -> list[Measured]:
    """For every number of writers."""
    return [await measure_append(writers) for writers in WRITERS]


if __name__ == "__main__":
    for measured in asyncio.run(measure()):
        print(measured)
