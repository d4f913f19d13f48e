"""What does the running service use, and how long does it take? One sample every so often, from outside: /proc, HTTP, log."""

import asyncio
import os
import time
from pathlib import Path
from statistics import median

import aiohttp
import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.store.log import EventLog
from tests.acceptance.service_process import ServiceProcess

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
HEALTH_SECS = 30.0
MAX_DECISIONS = 100_000
"""Actions under way that are remembered; far more than 200 wallets can have."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look. Rates and latencies are of the time since the look before."""

    at_secs: float
    rss_bytes: int
    files: int
    wal_bytes: int
    log_bytes: int
    events_per_sec: float
    transactions_per_sec: float
    cpu_percent: float
    mined_p50_secs: float | None
    mined_p99_secs: float | None
    """From the decision to the block's receipt in the log; None where nothing was mined."""
    health_ms: float
    """The median of five GET /health."""


class Sampler:
    """Looks at one process and the log that it writes."""

    def __init__(self, service: ServiceProcess, log: EventLog, database: Path) -> None:
        self._service = service
        self._log = log
        self._database = database
        self._start = self._last = time.monotonic()
        self._position = 0
        self._cpu_secs = self._cpu()
        self._decided: dict[str, int] = {}

    async def look(self) -> Sample:
        """Raises where the process is gone."""
        events, latencies = await self._news()
        health_ms = await self._health_ms()
        rss_bytes, files, cpu_secs = self._rss_bytes(), self._files(), self._cpu()
        now = time.monotonic()
        secs, self._last = now - self._last, now
        used, self._cpu_secs = cpu_secs - self._cpu_secs, cpu_secs
        ordered = sorted(latencies)
        return Sample(
            at_secs=round(now - self._start, 1),
            rss_bytes=rss_bytes,
            files=files,
            wal_bytes=_size(self._database.with_name(self._database.name + "-wal")),
            log_bytes=_size(self._database),
            events_per_sec=round(events / secs, 2),
            transactions_per_sec=round(len(ordered) / secs, 2),
            cpu_percent=round(100 * used / secs, 1),
            mined_p50_secs=round(median(ordered), 3) if ordered else None,
            mined_p99_secs=round(ordered[int(0.99 * (len(ordered) - 1))], 3) if ordered else None,
            health_ms=health_ms,
        )

    async def _news(self) -> tuple[int, list[float]]:
        count, latencies = 0, []
        async for recorded in self._log.read(self._position):
            count, self._position = count + 1, recorded.position
            match recorded.event:
                case ev.ActionDecided() as decided:
                    assert len(self._decided) < MAX_DECISIONS
                    self._decided[decided.action_id] = recorded.time_us
                case ev.TransactionMined():
                    decided_us = self._decided.pop(recorded.correlation or "", None)
                    if decided_us is not None:
                        latencies.append((recorded.time_us - decided_us) / 1e6)
                case ev.ActionRejected() | ev.ActionFailed():
                    self._decided.pop(recorded.correlation or "", None)
        return count, latencies

    async def _health_ms(self) -> float:
        taken: list[float] = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HEALTH_SECS)) as session:
            for _ in range(5):
                before = time.monotonic()
                async with session.get(self._service.url + "/health") as answer:
                    await answer.read()
                taken.append((time.monotonic() - before) * 1000)
                await asyncio.sleep(0.05)
        return round(median(taken), 2)

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._service.pid}") / name

    def _rss_bytes(self) -> int:
        return int(self._proc("statm").read_text().split()[1]) * PAGE_BYTES

    def _files(self) -> int:
        return len(os.listdir(self._proc("fd")))

    def _cpu(self) -> float:
        fields = self._proc("stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SEC


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
