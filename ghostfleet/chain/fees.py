"""What does a transaction have to offer? From the fee history, with headroom and a cap; and how a replacement outbids."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from ghostfleet.chain.shapes import FeeHistory
from ghostfleet.domain.values import Fees, Head
from ghostfleet.errors import GhostFleetError

HISTORY_BLOCKS = 5
BASE_FEE_HEADROOM = 2
"""Times the next base fee: it can grow by an eighth a block, so this outlasts five full blocks."""
NEWER_BLOCKS = 16
"""Whoever asks with an older head than the last one has waited for a moment. Further ahead the last one was wrong, or its blocks
are gone: its fees would stand until the chain has come there."""
MIN_BUMP_PERCENT = 10.0
"""Nodes refuse a replacement that raises either cap by less."""


class FeeRules(msgspec.Struct, frozen=True, kw_only=True):
    """From `[fees]`. `cap_wei` bounds what a unit of gas may ever cost."""

    cap_wei: int
    min_priority_fee_wei: int = 0


class FeeReads(Protocol):
    """The one read that fees need."""

    async def fee_history(self, blocks: int) -> FeeHistory: ...


def suggest(history: FeeHistory, rules: FeeRules) -> Fees:
    """Twice the next base fee and the median of recent tips, under the cap."""
    tips = sorted(history.tips_wei)
    tip = max(tips[len(tips) // 2] if tips else 0, rules.min_priority_fee_wei)
    cap = min(history.base_fees_wei[-1] * BASE_FEE_HEADROOM + tip, rules.cap_wei)
    return Fees(max_fee_wei=cap, priority_fee_wei=min(tip, cap))


def bump(fees: Fees, suggestion: Fees, cap_wei: int | None, *, percent: float = 12.5) -> Fees | None:
    """Fees that replace `fees`: both raised by `percent` and up to the suggestion, as far as the cap lets them.

    None when the cap forbids what a node asks of a replacement: both at least 10 % higher, rounded up, and by 1 wei.
    """
    least = Fees(_raised(fees.max_fee_wei, MIN_BUMP_PERCENT), _raised(fees.priority_fee_wei, MIN_BUMP_PERCENT))
    max_fee = max(_raised(fees.max_fee_wei, percent), suggestion.max_fee_wei)
    tip = max(_raised(fees.priority_fee_wei, percent), suggestion.priority_fee_wei)
    if cap_wei is None:
        return Fees(max_fee_wei=max(max_fee, tip), priority_fee_wei=tip)
    max_fee = min(max(max_fee, tip), cap_wei)
    tip = min(tip, max_fee)
    if max_fee < least.max_fee_wei or tip < least.priority_fee_wei:
        return None
    return Fees(max_fee_wei=max_fee, priority_fee_wei=tip)


def one_price(fees: Fees) -> Fees:
    """Both caps alike, as a legacy transaction has them: it outbids both of any other, and what it pays is known to the wei."""
    return Fees(max_fee_wei=fees.max_fee_wei, priority_fee_wei=fees.max_fee_wei)


def _raised(wei: int, percent: float) -> int:
    """At least the percentage more, rounded up, and at least 1 wei."""
    thousandths = round(max(percent, MIN_BUMP_PERCENT) * 10)
    return max(-(-wei * (1000 + thousandths) // 1000), wei + 1)


def _still_fits(asked: Head, head: Head) -> bool:
    return asked.hash == head.hash or head.number < asked.number <= head.number + NEWER_BLOCKS


class FeeOracle:
    """The current suggestion, under the rules in force: the history is asked for once a head, whoever asks and whatever comes
    of it."""

    def __init__(self, chain: FeeReads, rules: Callable[[], FeeRules]) -> None:
        self._chain = chain
        self._rules = rules
        self._of: Head | None = None
        self._history: FeeHistory | None = None
        self._asking: asyncio.Future[FeeHistory | None] | None = None

    async def suggest(self, head: Head) -> Fees:
        """Fees as of this head or one a little newer. Raises TryAgain when no endpoint tells the fee history."""
        while True:
            if self._history is not None and self._of is not None and _still_fits(self._of, head):
                return suggest(self._history, self._rules())
            if self._asking is None:
                return suggest(await self._ask(head), self._rules())
            history = await asyncio.shield(self._asking)
            if history is not None:
                return suggest(history, self._rules())

    async def _ask(self, head: Head) -> FeeHistory:
        """The others who want to know wait for this one question, and hear of the same failure."""
        asking = self._asking = asyncio.get_running_loop().create_future()
        try:
            history = await self._chain.fee_history(HISTORY_BLOCKS)
            self._of, self._history = head, history
            asking.set_result(history)
            return history
        except GhostFleetError as problem:
            asking.set_exception(problem)
            asking.exception()  # looked at, for when nobody else waits
            raise
        finally:
            self._asking = None
            if not asking.done():
                asking.set_result(None)  # cancelled: one of the others asks anew
