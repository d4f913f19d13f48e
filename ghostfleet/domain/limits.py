"""How much may a wallet and the fleet do? Rolling windows that are part of the state, so a restart hands out nothing fresh."""

import msgspec

from ghostfleet.domain.values import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Micros

BUCKETS_PER_WINDOW = 60
"""A window counts in this many buckets, so its state is bounded; what lies in the oldest bucket counts until all of it is out."""
KEPT_BUCKETS = BUCKETS_PER_WINDOW + 16
"""So many are kept whatever their age. A clock that is ahead for a while makes all of them old, and is put right again: what they
hold counts then as before."""
MOST_BUCKETS = 2 * KEPT_BUCKETS
"""Also where a clock went back and forth, and many lie ahead of it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """0 means no limit. Wei and smallest units; per wallet and day where the name does not say another thing."""

    actions_per_hour: int = 0
    transactions_per_minute: int = 0
    gas_wei_per_day: int = 0
    value_wei_per_day: int = 0
    tokens_per_day: int = 0
    fleet_gas_wei_per_day: int = 0
    fleet_value_wei_per_day: int = 0
    fleet_tokens_per_day: int = 0
    gas_wei_per_action: int = 0
    value_wei_per_action: int = 0
    tokens_per_action: int = 0


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves the fleet, or may: gas and native value in wei, the protocol's token in smallest units."""

    gas_wei: int = 0
    value_wei: int = 0
    tokens: int = 0

    def __add__(self, other: "Spending") -> "Spending":
        return Spending(
            gas_wei=self.gas_wei + other.gas_wei,
            value_wei=self.value_wei + other.value_wei,
            tokens=self.tokens + other.tokens,
        )

    def __sub__(self, other: "Spending") -> "Spending":
        return Spending(
            gas_wei=self.gas_wei - other.gas_wei,
            value_wei=self.value_wei - other.value_wei,
            tokens=self.tokens - other.tokens,
        )


NOTHING = Spending()


class Window(msgspec.Struct, frozen=True):
    """A rolling sum over `span_us`. `buckets` are (bucket number, amount), oldest first. Never undercounts."""

    span_us: int
    buckets: tuple[tuple[int, int], ...] = ()

    def add(self, now_us: Micros | int, amount: int) -> "Window":
        """The window after `amount` at `now_us`. What was counted while the clock was ahead lies behind it, and counts too."""
        width = self.span_us // BUCKETS_PER_WINDOW
        number = now_us // width
        buckets = self.buckets
        if not buckets or buckets[-1][0] < number:
            buckets = (*buckets, (number, amount))
        elif buckets[-1][0] == number:
            return Window(self.span_us, (*buckets[:-1], (number, buckets[-1][1] + amount)))
        else:
            counted = dict(buckets)
            counted[number] = counted.get(number, 0) + amount
            buckets = tuple(sorted(counted.items()))
        return Window(self.span_us, _bounded(buckets, number))

    def at_least(self, buckets: tuple[tuple[int, int], ...]) -> "Window":
        """The window in which no bucket has less than it has in these."""
        most = dict(self.buckets)
        for number, amount in buckets:
            most[number] = max(amount, most.get(number, 0))
        return Window(self.span_us, _bounded(tuple(sorted(most.items())), max(most, default=0)))

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


def _bounded(buckets: tuple[tuple[int, int], ...], number: int) -> tuple[tuple[int, int], ...]:
    """Without those that are too many and too old, in bucket `number`."""
    if len(buckets) <= KEPT_BUCKETS:
        return buckets
    spare, oldest = len(buckets) - KEPT_BUCKETS, number - BUCKETS_PER_WINDOW
    old = sum(bucket[0] < oldest for bucket in buckets[:spare])
    return buckets[old:][-MOST_BUCKETS:]


PER_HOUR = Window(HOUR_US)
PER_MINUTE = Window(MINUTE_US)
PER_DAY = Window(DAY_US)
assert MINUTE_US // BUCKETS_PER_WINDOW == SECOND_US


LIMIT_REACHED = "limit reached"
"""How every reason begins that a limit gives for a rest."""


class LimitReached(msgspec.Struct, frozen=True):
    """Which limit would be passed, in words and by its key in the settings, and when there is room again (0: never)."""

    reason: str
    room_at_us: int
    limit: str


PACE_LIMITS = ("max_actions_per_hour", "transactions_per_minute")
SPENDING_LIMITS = (
    "gas_wei_per_action",
    "value_wei_per_action",
    "tokens_per_action",
    "gas_wei_per_wallet_per_day",
    "value_wei_per_wallet_per_day",
    "tokens_per_wallet_per_day",
    "fleet_gas_wei_per_day",
    "fleet_value_wei_per_day",
    "fleet_tokens_per_day",
)
"""Every limit, by its key in the settings."""


class Bound(msgspec.Struct, frozen=True):
    """One limit and what counts towards it. `key` is its name in the settings, `words` what people call it."""

    key: str
    words: str
    limit: int
    amount: int
    window: Window | None = None
    """None where it holds for a single action."""


def reached(bound: Bound, now_us: int) -> LimitReached | None:
    """Whether what is wanted would pass the limit (0 = none)."""
    before = bound.window.total(now_us) if bound.window is not None else 0
    if not bound.limit or before + bound.amount <= bound.limit:
        return None
    room_at_us = bound.window.room_at_us(now_us, bound.limit, bound.amount) if bound.window is not None else 0
    return LimitReached(f"{LIMIT_REACHED}: {bound.words} {bound.limit}", room_at_us, bound.key)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What the whole fleet spent of late, and what its open slots may spend at worst."""

    gas: Window = PER_DAY
    value: Window = PER_DAY
    tokens: Window = PER_DAY
    reserved: Spending = NOTHING

    def moved(self, now_us: int, spent: Spending, reserved: Spending) -> "Ledger":
        """After something was spent; `reserved` is what open slots may spend from now on."""
        return Ledger(
            gas=self.gas.add(now_us, spent.gas_wei) if spent.gas_wei else self.gas,
            value=self.value.add(now_us, spent.value_wei) if spent.value_wei else self.value,
            tokens=self.tokens.add(now_us, spent.tokens) if spent.tokens else self.tokens,
            reserved=reserved,
        )
