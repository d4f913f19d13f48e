"""How much may a wallet and the fleet do? Rolling windows that are part of the state, so a restart hands out nothing fresh."""

import msgspec

from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Micros

BUCKETS_PER_WINDOW = 60
"""A window counts in this many buckets, so its state is bounded; what lies in the oldest bucket counts until all of it is out."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """0 means no limit. Gas and tokens are per wallet and day, wei and smallest units."""

    actions_per_hour: int = 0
    transactions_per_minute: int = 0
    gas_wei_per_day: int = 0
    tokens_per_day: int = 0


class Window(msgspec.Struct, frozen=True):
    """A rolling sum over `span_us`. `buckets` are (bucket number, amount), oldest first. Never undercounts."""

    span_us: int
    buckets: tuple[tuple[int, int], ...] = ()

    def add(self, now_us: Micros | int, amount: int) -> "Window":
        """The window after `amount` at `now_us`. A clock that jumped back adds to the newest bucket."""
        width = self.span_us // BUCKETS_PER_WINDOW
        number = now_us // width
        buckets = self.buckets
        if buckets and buckets[-1][0] >= number:
            newest, counted = buckets[-1]
            return Window(self.span_us, (*buckets[:-1], (newest, counted + amount)))
        oldest = number - BUCKETS_PER_WINDOW
        if buckets and buckets[0][0] < oldest:
            buckets = tuple(bucket for bucket in buckets if bucket[0] >= oldest)
        return Window(self.span_us, (*buckets, (number, amount)))

    def total(self, now_us: Micros | int) -> int:
        """What the span before `now_us` holds, its oldest bucket counted whole."""
        oldest = now_us // (self.span_us // BUCKETS_PER_WINDOW) - BUCKETS_PER_WINDOW
        return sum(amount for number, amount in self.buckets if number >= oldest)

    def room_at_us(self, now_us: Micros | int, limit: int, amount: int) -> int:
        """The earliest moment at which `amount` more stays within `limit`, if nothing else is added."""
        width = self.span_us // BUCKETS_PER_WINDOW
        left = self.total(now_us)
        oldest = now_us // width - BUCKETS_PER_WINDOW
        for number, counted in self.buckets:
            if left + amount <= limit:
                return int(now_us)
            if number >= oldest:
                left -= counted
                if left + amount <= limit:
                    return int((number + BUCKETS_PER_WINDOW + 1) * width)
        return int(now_us + self.span_us)


PER_HOUR = Window(HOUR_US)
PER_MINUTE = Window(MINUTE_US)
PER_DAY = Window(DAY_US)
assert MINUTE_US // BUCKETS_PER_WINDOW == SECOND_US


LIMIT_REACHED = "limit reached"
"""How every reason begins that a limit gives for a rest."""


class LimitReached(msgspec.Struct, frozen=True):
    """Which limit would be passed, in words, and when there is room again."""

    reason: str
    room_at_us: int


def reached(name: str, window: Window, limit: int, amount: int, now_us: int) -> LimitReached | None:
    """Whether `amount` more would pass `limit` (0 = none)."""
    if not limit or window.total(now_us) + amount <= limit:
        return None
    return LimitReached(f"{LIMIT_REACHED}: {name} {limit}", window.room_at_us(now_us, limit, amount))
