"""The disk under the log: it tells what became durable, fails, fills up, and cannot always be read."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.rows import LogHead
from tests.simulation.memory_recorder import Commit, MemoryDisk, MemoryRecorder


class WatchedDisk(MemoryDisk):
    """Tells of each commit at the moment it is durable."""

    def __init__(self, durable: Iterable[Commit], tell: Callable[[Commit], None]) -> None:
        super().__init__()
        self.durable = _Told(durable)
        self.durable.tell = tell


class _Told(list[Commit]):
    tell: Callable[[Commit], None]

    def append(self, commit: Commit) -> None:
        super().append(commit)
        self.tell(commit)


@dataclass
class DiskWeather:
    """How the disk fails."""

    slowest_secs: float = 0.01
    fails: float = 0.0
    doubts: float = 0.0
    """A commit lands, and nobody can say so."""
    full: str = ""
    blind: int = 0
    """Looks at the end of the log that fail next: a doubt stays a doubt."""


class UnreliableRecorder(MemoryRecorder):
    """Cannot always be read either."""

    def __init__(self, disk: MemoryDisk, sync: Callable[[], Awaitable[None]], weather: DiskWeather) -> None:
        super().__init__(disk, sync)
        self._weather = weather

    async def head(self) -> LogHead:
        if self._weather.blind:
            self._weather.blind -= 1
            raise LogUnavailable("the disk cannot be read")
        return await super().head()
