"""How is each endpoint? A breaker, a rate limit and what it can do, for every endpoint on its own."""

from collections.abc import Callable

import msgspec

FAULTS_TO_TRIP = 3
FIRST_REST_SECS = 1.0
LONGEST_REST_SECS = 60.0
FIRST_LIMIT_SECS = 0.5
LONGEST_LIMIT_SECS = 300.0

OnChange = Callable[[str, bool, str], None]
"""Called with (endpoint, tripped, reason) when it trips or recovers."""


class EndpointConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `name` is shown to people and holds no credential; `url` is never shown."""

    name: str
    url: str
    max_requests_per_second: float | None = None

    def __repr__(self) -> str:
        return f"EndpointConfig({self.name!r})"


class Endpoint:
    """What is remembered of one endpoint. Times are the event loop's seconds."""

    def __init__(self, config: EndpointConfig, on_change: OnChange) -> None:
        self.name = config.name
        self.url = config.url
        self.batches = True
        self.requests = 0
        self.faults = 0
        self.reason = ""
        self._rate = config.max_requests_per_second
        self._on_change = on_change
        self._consecutive = 0
        self._rest_secs = 0.0
        self._rest_until = 0.0
        self._limited_until = 0.0
        self._limit_secs = 0.0
        self._next_slot = 0.0
        self.tripped = False

    @property
    def healthy(self) -> bool:
        return not self.tripped

    def free_at(self, now: float) -> float:
        """When it may be asked next."""
        return max(now, self._rest_until if self.tripped else 0.0, self._limited_until, self._next_slot)

    def taken(self, now: float) -> None:
        """A request goes out. While it rests after a trip, one request is the probe."""
        self.requests += 1
        if self._rate:
            self._next_slot = max(now, self._next_slot) + 1 / self._rate
        if self.tripped:
            self._rest_until = now + self._rest_secs

    def answered(self) -> None:
        """It answered, whatever it said."""
        self._consecutive = 0
        self._limit_secs = 0.0
        self._rest_secs = 0.0
        if self.tripped:
            self.tripped, self.reason = False, ""
            self._on_change(self.name, False, "")

    def limited(self, now: float, retry_after_secs: float | None) -> None:
        """It asked to be left alone for a while: no fault."""
        self._limit_secs = min(max(self._limit_secs * 2, FIRST_LIMIT_SECS), LONGEST_LIMIT_SECS)
        wait = min(retry_after_secs, LONGEST_LIMIT_SECS) if retry_after_secs is not None else self._limit_secs
        self._limited_until = max(self._limited_until, now + wait)

    def failed(self, now: float, reason: str) -> None:
        """It did not answer, or not in a way that can be read."""
        self.faults += 1
        self._consecutive += 1
        if self._consecutive < FAULTS_TO_TRIP and not self.tripped:
            return
        self._rest_secs = min(max(self._rest_secs * 2, FIRST_REST_SECS), LONGEST_REST_SECS)
        self._rest_until = now + self._rest_secs
        self.reason = reason
        if not self.tripped:
            self.tripped = True
            self._on_change(self.name, True, reason)
