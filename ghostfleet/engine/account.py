"""What does a wallet have, when it was asked a moment ago? The answer, less the worst of what the wallet signed since.

A wallet that acts every few seconds need not ask for its balance and nonce each time: that is half of all its calls, and
endpoints count them. A kept reading may only say yes: a turn that comes to nothing with it is taken again with a new one.
"""

import asyncio
from dataclasses import dataclass, replace

from ghostfleet.domain.values import Micros, Unsigned
from ghostfleet.domain.wallet import Wallet


@dataclass(frozen=True)
class Account:
    """A wallet's account as it was read, brought forward by what was signed since."""

    balance_wei: int
    next_nonce: int
    """The chain's, its pool included."""
    read_us: Micros | int
    read_at: float
    """By the loop's clock."""
    generation: int
    """Of the chain's heads: another one after a reorganisation."""
    last_error: str
    """The wallet's newest one then."""

    def after(self, unsigned: Unsigned) -> "Account":
        """With this transaction on its way."""
        return replace(self, balance_wei=self.balance_wei - unsigned.worst_cost_wei, next_nonce=unsigned.nonce + 1)

    def known_balance(self) -> "asyncio.Future[int]":
        """As an answer that has come."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_result(self.balance_wei)
        return answer

    def stands(self, wallet: Wallet, generation: int, oldest: float) -> bool:
        """Whether it is younger than `oldest` (by the loop's clock), and nothing happened to the wallet since, as far as the log
        knows, but what was brought forward."""
        return (
            self.read_at > oldest
            and wallet.next_nonce == self.next_nonce
            and wallet.last_error == self.last_error
            and generation == self.generation
            and not wallet.pending
            and all(len(slot.pending.attempts) == 1 for slot in wallet.included)
        )
