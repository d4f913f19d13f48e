"""Time, chance and everything that happens outside the service: one queue of happenings, one seed for all of it."""

import heapq
from collections.abc import Callable
from random import Random

EPOCH_US = 1_750_000_000_000_000
"""The wall clock when a simulation starts: an ordinary day in 2025, three in the afternoon UTC."""


class Violation(BaseException):
    """A promise was broken. Not an Exception: nothing in the engine may swallow it on the way out."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise
        self.what = what

    def __reduce__(self) -> tuple[type["Violation"], tuple[str, str]]:
        return Violation, (self.promise, self.what)


class Universe:
    """True time in seconds since the start, and what happens when. Order follows from time, then from order of asking."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.clock_offset_us = 0
        """How far the machine's wall clock is off; jumps are faults."""
        self.violation: Violation | None = None
        self.story: Callable[[str], None] = lambda _line: None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0

    def random(self, name: str) -> Random:
        """A source of its own for each part, so that one part drawing more does not change what the others see."""
        return Random(f"{self.seed}/{name}")

    def now_us(self) -> int:
        """The machine's wall clock."""
        return EPOCH_US + int(self.now * 1_000_000) + self.clock_offset_us

    def true_us(self) -> int:
        """What a right clock would show."""
        return EPOCH_US + int(self.now * 1_000_000)

    def after(self, secs: float, happen: Callable[[], None]) -> None:
        """Let something happen `secs` from now."""
        self._asked += 1
        heapq.heappush(self._queue, (self.now + secs, self._asked, happen))

    def next_at(self) -> float | None:
        """When the next thing happens."""
        return self._queue[0][0] if self._queue else None

    def happen(self) -> None:
        """The next thing happens now."""
        at, _, happen = heapq.heappop(self._queue)
        self.now = max(self.now, at)
        happen()

    def pass_time(self, secs: float) -> None:
        """Time goes by while no service runs."""
        until = self.now + secs
        while self._queue and self._queue[0][0] <= until:
            self.happen()
            self.check()
        self.now = max(self.now, until)

    def violated(self, promise: str, what: str) -> None:
        """Note the first broken promise; the loop raises it after the step."""
        if self.violation is None:
            self.violation = Violation(promise, what)
            self.story(f"!!! {self.violation}")

    def check(self) -> None:
        """Raise what was violated."""
        if self.violation is not None:
            raise self.violation


class SimulatedClock:
    """The service's wall clock."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    def now_us(self) -> int:
        return self._universe.now_us()


class SimulatedEntropy:
    """Seeds out of the simulation's own."""

    def __init__(self, universe: Universe, incarnation: int) -> None:
        self._random = universe.random(f"entropy {incarnation}")

    def seed(self) -> int:
        return self._random.getrandbits(48)
