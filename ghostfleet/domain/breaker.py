"""When is a wallet left alone? A circuit breaker: closed, tripped for a while, or probing with one action."""

import msgspec

from ghostfleet.domain.values import DAY_US

LONGEST_COOLDOWN_US = DAY_US
"""Each trip in a row doubles the cooldown up to this."""


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """From `[safety]`: consecutive errors of the wallet's own that trip it, and the first cooldown."""

    max_consecutive_errors: int = 5
    cooldown_us: int = 3_600_000_000


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Acting normally, after `errors` consecutive ones."""

    errors: int = 0


class Tripped(msgspec.Struct, frozen=True, tag="tripped"):
    """Not deciding before `until_us`; `trips` in a row so far."""

    until_us: int
    trips: int


class Probing(msgspec.Struct, frozen=True, tag="probing"):
    """One action decides: success closes, an error trips again for longer."""

    trips: int


Breaker = Closed | Tripped | Probing


def after_error(breaker: Breaker) -> Breaker:
    """One more error. Tripping itself is an event of its own."""
    return Closed(breaker.errors + 1) if isinstance(breaker, Closed) else breaker


def trips_now(breaker: Breaker, policy: BreakerPolicy, now_us: int) -> bool:
    """Whether the error that was just counted trips it. After the cooldown any error does: also one that came before there was
    anything to sign, which is when the wallet begins to probe."""
    match breaker:
        case Closed(errors):
            return errors >= policy.max_consecutive_errors
        case Probing():
            return True
        case Tripped(until_us=until_us):
            return now_us >= until_us


def trip(breaker: Breaker, until_us: int) -> Tripped:
    """The breaker after BreakerTripped."""
    return Tripped(until_us, _trips(breaker) + 1)


def cooldown_us(breaker: Breaker, policy: BreakerPolicy) -> int:
    """How long the next trip lasts."""
    return min(policy.cooldown_us << min(_trips(breaker), 20), max(LONGEST_COOLDOWN_US, policy.cooldown_us))


def _trips(breaker: Breaker) -> int:
    return 0 if isinstance(breaker, Closed) else breaker.trips
