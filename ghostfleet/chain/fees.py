"""What does a transaction have to offer? From the fee history, with headroom and a cap; and how a replacement outbids."""

import asyncio
from typing import Protocol

import msgspec

from ghostfleet.chain.reads import FeeHistory
from ghostfleet.domain.values import Fees, Head

HISTORY_BLOCKS = 5
BASE_FEE_HEADROOM = 2
"""Times the next base fee: it can grow by an eighth a block, so this outlasts five full blocks."""
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
    """Fees that replace `fees`: both raised by `percent` (at least 10) and 1 wei, and up to the suggestion. None at the cap."""
    max_fee = max(_raised(fees.max_fee_wei, percent), suggestion.max_fee_wei)
    tip = max(_raised(fees.priority_fee_wei, percent), suggestion.priority_fee_wei)
    if cap_wei is not None and max_fee > cap_wei:
        max_fee = cap_wei
        if max_fee < _raised(fees.max_fee_wei, MIN_BUMP_PERCENT):
            return None
    if tip > max_fee:
        return None
    return Fees(max_fee_wei=max_fee, priority_fee_wei=tip)


def _raised(wei: int, percent: float) -> int:
    """At least the percentage more, rounded up, and at least 1 wei."""
    thousandths = round(max(percent, MIN_BUMP_PERCENT) * 10)
    return max(-(-wei * (1000 + thousandths) // 1000), wei + 1)


class FeeOracle:
    """The current suggestion, asked for once a head."""

    def __init__(self, chain: FeeReads, rules: FeeRules) -> None:
        self._chain = chain
        self._rules = rules
        self._of: Head | None = None
        self._fees: Fees | None = None
        self._asking = asyncio.Lock()

    async def suggest(self, head: Head) -> Fees:
        """Raises TryAgain when no endpoint tells the fee history."""
        async with self._asking:
            if self._fees is None or self._of != head:
                self._fees = suggest(await self._chain.fee_history(HISTORY_BLOCKS), self._rules)
                self._of = head
            return self._fees
