"""How long is left of a wait? By the wall clock, as the log has it; never longer than was meant, where that clock went back."""

import asyncio

from ghostfleet.domain.values import SECOND_US


class Wait:
    """A wait as this process has seen it pass. Forgotten in a crash: then it begins anew, and is no longer than was meant."""

    def __init__(self) -> None:
        self._said_us = 0
        self._seen_at = 0.0

    def left_us(self, said_us: int, until_us: int, now_us: int) -> int:
        """Of a wait until `until_us` that was said at `said_us`, both by the wall clock."""
        loop_now = asyncio.get_running_loop().time()
        if said_us != self._said_us:
            self._said_us, self._seen_at = said_us, loop_now
        passed_us = int((loop_now - self._seen_at) * SECOND_US)
        return min(until_us - now_us, until_us - said_us - passed_us)
