"""How hard is an open slot pushed, and when again? The pace of a Follower: forgotten in a crash, on purpose."""

import asyncio
from dataclasses import dataclass, field

from ghostfleet.domain.values import SECOND_US, AnswerClass, Hash
from ghostfleet.engine.in_force import Pace


@dataclass
class Pursuit:
    """What was tried for one open slot, with what answer."""

    since_block: int
    since: float
    """By the loop's clock, which never goes back: when the newest attempt was first seen here."""
    attempt: int = 0
    sent: bool = False
    refused: AnswerClass | None = None
    refused_by: str = ""
    """Which endpoint did not take the newest bytes, if one did not."""
    unknown_answers: int = 0
    used_nonce_looks: int = 0
    untraced_looks: int = 0
    untraced_since_block: int = 0
    low_nonce_looks: int = 0
    unseen: Hash | None = None
    """Its first attempt, whose receipt is not looked for before a block names it."""
    pushed_at: float = 0.0
    retry_secs: float = 0.0
    retry_at: float = 0.0
    said: set[str] = field(default_factory=set)
    """What the log was told of the slot's trouble: a few words an attempt, none of them twice."""
    refusals: set[str] = field(default_factory=set)
    """How nodes refused it since one of them took it last."""

    def renew(self, attempt: int, block: int) -> None:
        """A further attempt starts afresh."""
        self.attempt, self.since_block, self.since = attempt, block, asyncio.get_running_loop().time()
        self.sent, self.refused, self.refused_by, self.unknown_answers = False, None, "", 0
        self.retry_secs = self.retry_at = 0.0

    def chain_is_at(self, block: int) -> None:
        """Blocks are counted from here on where the chain has become shorter: those that are gone are not waited for again."""
        self.since_block = min(self.since_block, block)
        self.untraced_since_block = min(self.untraced_since_block, block)

    def untraced(self, block: int) -> None:
        """The nonce is used, and no node shows by which transaction: once more, or for the first time."""
        if not self.untraced_looks:
            self.untraced_since_block = block
        self.untraced_looks += 1

    def traced(self) -> None:
        """Some node has shown it, or the nonce is not used: the next look without a trace is the first again."""
        self.untraced_looks = 0

    def back_off(self, pace: Pace) -> None:
        """Try again later, and later each time, up to the longest wait. How long an endpoint wants to be left alone is the edge's
        to know: another one may be free."""
        self.retry_secs = min(max(self.retry_secs * 2, pace.first_retry_secs), pace.longest_retry_secs)
        self.retry_at = asyncio.get_running_loop().time() + self.retry_secs

    def age_us(self, signed_us: int, now_us: int) -> int:
        """Of the newest attempt: by the wall clock, and where that has been put back by how long it was followed."""
        followed_secs = asyncio.get_running_loop().time() - self.since
        return max(now_us - signed_us, int(followed_secs * SECOND_US))

    @property
    def due(self) -> bool:
        """Whether the wait is over."""
        return asyncio.get_running_loop().time() >= self.retry_at
