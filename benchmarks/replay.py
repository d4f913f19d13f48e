"""How fast is the log read back, against a plain read of the same rows with decoding in the same run?"""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from benchmarks.append import event
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import decode_octets
from ghostfleet.store.log import open_log

EVENTS = 100_000
BATCH = 2_000
ROUNDS = 3


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Events a second."""

    events: int
    log_events_a_second: float
    limit_events_a_second: float
    verify_events_a_second: float
    ratio: float


async def fill(path: Path, count: int) -> None:
    """A log of so many events."""
    log = await open_log(f"sqlite:///{path}")
    for start in range(0, count, BATCH):
        await log.append([event(f"wallet-{n % 1000:04}", n) for n in range(start, start + BATCH)], time_us=start)
    await log.close()


async def log_rates(path: Path) -> tuple[float, float]:
    """Of `read`, and of `verify`."""
    log = await open_log(f"sqlite:///{path}", read_only=True)
    started = perf_counter()
    count = 0
    async for _ in log.read():
        count += 1
    read = perf_counter()
    assert (await log.verify()).ok
    verified = perf_counter()
    await log.close()
    return count / (read - started), count / (verified - read)


def limit_rate(path: Path) -> float:
    """All rows through the sqlite3 module, each payload through one decoder."""
    decode = msgspec.json.Decoder(ev.BroadcastFailed, dec_hook=decode_octets).decode
    count = 0
    with closing(sqlite3.connect(path)) as database:
        started = perf_counter()
        for row in database.execute("SELECT * FROM events ORDER BY position"):
            decode(row[8])
            count += 1
        return count / (perf_counter() - started)


async def measure(events: int = EVENTS, rounds: int = ROUNDS) -> Measured:
    """The log and its limit, in turns; the median ratio counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        await fill(path, events)
        found = []
        for _ in range(rounds):
            read, verified = await log_rates(path)
            limit = await asyncio.to_thread(limit_rate, path)
            found.append((read / limit, read, limit, verified))
    ratio, read, limit, verified = (median(column) for column in zip(*found, strict=True))
    return Measured(
        events=events,
        log_events_a_second=read,
        limit_events_a_second=limit,
        verify_events_a_second=verified,
        ratio=ratio,
    )


if __name__ == "__main__":
    print(asyncio.run(measure()))
