"""How fast does the fleet go, and when does a turn come that was scheduled at another pace? Pure, from the log alone.

A turn is scheduled as if the fleet went at full pace; the log has that time and when it was set. How much of the wait has
passed follows from the factors in force since: an hour under 0.25 counts for a quarter of one. So a throttle stretches what is
left of every wait, undoing it shrinks what is left then, nothing is lost, and nobody acts all at once.
"""

from collections.abc import Sequence

import msgspec

from ghostfleet.domain.limits import LIMIT_REACHED, Limits
from ghostfleet.domain.wallet import Wallet

FULL_PACE = 1.0
MIN_FACTOR = 0.001
"""Slower than a thousandth is a pause, and should be called one."""
MAX_REMEMBERED = 32
"""Changes of pace that are kept. Time before the oldest of them counts as full pace."""


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """The pace from a moment on, and who wanted it so."""

    since_us: int
    factor: float
    actor: str
    reason: str = ""


def factor_of(throttles: Sequence[Throttle]) -> float:
    """The factor in force."""
    return throttles[-1].factor if throttles else FULL_PACE


def due_us(wallet: Wallet, throttles: Sequence[Throttle]) -> int:
    """When the wallet's next turn comes at the present pace, microseconds. `throttles` are in the order of the log."""
    next_us, at_us = wallet.next_turn_us, wallet.scheduled_us
    if not throttles:
        return next_us
    if wallet.rest.startswith(LIMIT_REACHED):  # that moment follows from the limit; another pace has other limits
        since_us = throttles[-1].since_us
        return min(next_us, since_us) if since_us > at_us else next_us
    left_us, factor = float(next_us - at_us), FULL_PACE
    for throttle in throttles:
        if throttle.since_us > at_us:
            passed_us = (throttle.since_us - at_us) * factor
            if passed_us >= left_us:
                break
            left_us -= passed_us
            at_us = throttle.since_us
        factor = throttle.factor
    return at_us + int(left_us / factor)


def throttled(limits: Limits, factor: float) -> Limits:
    """What may be done in an hour or a minute at this pace: at least one thing. Budgets of a day stay as they are."""
    if factor == FULL_PACE:
        return limits
    return msgspec.structs.replace(
        limits,
        actions_per_hour=_share(limits.actions_per_hour, factor),
        transactions_per_minute=_share(limits.transactions_per_minute, factor),
    )


def _share(limit: int, factor: float) -> int:
    return max(1, int(limit * factor)) if limit else 0
