"""Does it level off? Medians by quarter of the run, and a verdict by a stated criterion for each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tests.soak.samples import Sample

MIB = 2**20
QUARTERS = 4


@dataclass(frozen=True)
class Row:
    """One thing that is measured. Level: the last quarter is at most `factor` times an earlier one, plus `slack`."""

    name: str
    of: Callable[[Sample], float | None]
    digits: int
    factor: float | None = None
    """None: shown, not judged."""
    slack: float = 0.0
    against: int = 2
    """Which quarter that is. For what fills up to a bound the third, and by so much less."""

    def quarters(self, samples: Sequence[Sample]) -> list[float]:
        """The median of each quarter of the run."""
        bounds = [len(samples) * part // QUARTERS for part in range(QUARTERS + 1)]
        return [self._median(samples[start:end]) for start, end in pairwise(bounds)]

    def _median(self, samples: Sequence[Sample]) -> float:
        found = [value for value in map(self.of, samples) if value is not None]
        return median(found) if found else 0.0

    def largest(self, samples: Sequence[Sample]) -> float:
        return max((value for value in map(self.of, samples) if value is not None), default=0.0)

    def level(self, samples: Sequence[Sample]) -> bool | None:
        """None where it is not judged. The first quarter is the start: caches fill, connections open."""
        if self.factor is None:
            return None
        quarters = self.quarters(samples)
        return quarters[3] <= quarters[self.against - 1] * self.factor + self.slack

    @property
    def criterion(self) -> str:
        return "" if self.factor is None else f"Q4 ≤ {self.factor:g} × Q{self.against} + {self.slack:g}"


ROWS = (
    Row("memory (RSS), MiB", lambda it: it.rss_bytes / MIB, 1, 1.03, 4, against=3),
    Row("open files", lambda it: it.files, 0, 1.1, 4),
    Row("write-ahead file, MiB", lambda it: it.wal_bytes / MIB, 1, 1.1, 2),
    Row("decision to mined, p50, s", lambda it: it.mined_p50_secs, 2, 1.25, 0.25),
    Row("decision to mined, p99, s", lambda it: it.mined_p99_secs, 2, 1.25, 1),
    Row("GET /health, ms", lambda it: it.health_ms, 1, 1.5, 5),
    Row("processor, % of one core", lambda it: it.cpu_percent, 1, 1.25, 5),
    Row("events/s", lambda it: it.events_per_sec, 1),
    Row("transactions mined/s", lambda it: it.transactions_per_sec, 2),
    Row("log, MiB", lambda it: it.log_bytes / MIB, 1),
)


def level(samples: Sequence[Sample]) -> bool:
    """Everything that is judged levels off."""
    return all(row.level(samples) is not False for row in ROWS)


def table(samples: Sequence[Sample]) -> str:
    """Markdown: a row for each thing, medians by quarter."""
    lines = [
        "| median of each quarter | Q1 | Q2 | Q3 | Q4 | largest | level when | verdict |",
        "|---|--:|--:|--:|--:|--:|---|---|",
    ]
    words = {True: "level", False: "**rises**", None: ""}
    for row in ROWS:
        numbers = [f"{value:,.{row.digits}f}" for value in (*row.quarters(samples), row.largest(samples))]
        lines.append(f"| {row.name} | {' | '.join(numbers)} | {row.criterion} | {words[row.level(samples)]} |")
    return "\n".join(lines)
