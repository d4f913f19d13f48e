"""How fast is the log read back? Against a plain read of the same rows, each payload through one decoder, in the same run.

The log's own reading makes an event of every row: which type, which version, is any missing in between; it goes through the
event loop page by page and holds nothing open. `verify` walks the hash chain as well, and compares the read models.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.append import event
from benchmarks.lines import Line, Round, line
from ghostfleet import event_loop
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import decode_octets
from ghostfleet.store.log import open_log

EVENTS = 100_000
BATCH = 2_000
ROUNDS = 5
QUICK_EVENTS, QUICK_ROUNDS = 500, 1
GOAL = 0.4


def measure(*, quick: bool = False) -> list[Line]:
    """The log and its limit, in turns."""
    count, rounds = (QUICK_EVENTS, QUICK_ROUNDS) if quick else (EVENTS, ROUNDS)
    read, verified = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        event_loop.run(_fill(path, count))
        for _ in range(rounds):
            reading, verifying = event_loop.run(_log_rates(path))
            limit = _limit_rate(path)
            read.append(Round(reading, limit))
            verified.append(Round(verifying, limit))
    case = f"{count:,} events"
    return [
        line(read, benchmark="replay", case=case, unit="events/s", goal=GOAL),
        line(
            verified, benchmark="replay", case="audit verify", unit="events/s", note="the hash chain recomputed as well"
        ),
    ]


async def _fill(path: Path, count: int) -> None:
    """A log of so many events."""
    log = await open_log(f"sqlite:///{path}")
    for start in range(0, count, BATCH):
        await log.append(
            [event(f"wallet-{n % 1000:04}", n) for n in range(start, min(start + BATCH, count))], time_us=start
        )
    await log.close()


async def _log_rates(path: Path) -> tuple[float, float]:
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


def _limit_rate(path: Path) -> float:
    """All rows through the sqlite3 module."""
    decode = msgspec.json.Decoder(ev.BroadcastFailed, dec_hook=decode_octets).decode
    count = 0
    with closing(sqlite3.connect(path)) as database:
        started = perf_counter()
        for row in database.execute("SELECT * FROM events ORDER BY position"):
            decode(row[8])
            count += 1
        return count / (perf_counter() - started)
