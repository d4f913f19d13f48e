"""What a nonce slot is and what to do with an open one. A slot is Pending until one of its attempts is in the chain,
Included until that block is final; then it is gone, and its nonce can never be used again."""

from typing import Literal

import msgspec

from ghostfleet.domain.events import Purpose
from ghostfleet.domain.limits import NOTHING, Spending
from ghostfleet.domain.values import AnswerClass, BlockRef, Fees, Hash, Octets

Outcome = Literal["", "succeeded", "failed"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One signed transaction at the slot's nonce."""

    number: int
    purpose: Purpose
    hash: Hash
    raw: Octets
    gas: int
    fees: Fees
    signed_us: int
    value_wei: int = 0
    """Native value that leaves the wallet if this one is mined."""


SWEEP = "sweep_native"
"""The kind of action that moves all that is left in a wallet: where that has become less, less is moved."""


class Pending(msgspec.Struct, frozen=True, kw_only=True, tag="pending"):
    """An open slot: bytes are signed, the chain has not settled the nonce. `accepted` is the hash a node took last."""

    action_id: str
    kind: str
    nonce: int
    spend_wei: int
    attempts: tuple[Attempt, ...]
    operation: str = ""
    """The operation that asked for it. What that moves is the operator's own; of its spending only the gas is counted."""
    accepted: Hash | None = None
    accepted_by: str = ""
    outcome: Outcome = ""
    """What was recorded of the action last; a reorganisation can take it back."""

    @property
    def newest(self) -> Attempt:
        return self.attempts[-1]

    @property
    def sweeps(self) -> bool:
        """Whether its newest bytes move all that was left in the wallet when they were signed."""
        return self.kind == SWEEP and self.newest.purpose == "action"

    @property
    def at_worst(self) -> Spending:
        """What it may still spend, whichever of its attempts is mined. What was counted before a reorganisation is not again."""
        return Spending(
            gas_wei=max([attempt.gas * attempt.fees.max_fee_wei for attempt in self.attempts]),
            value_wei=0 if self.operation else max([attempt.value_wei for attempt in self.attempts]),
            tokens=0 if self.outcome == "succeeded" else self.counted_tokens,
        )

    @property
    def counted_tokens(self) -> int:
        """Of the protocol's token, what counts towards limits when the action succeeds."""
        return 0 if self.operation else self.spend_wei


class Included(msgspec.Struct, frozen=True, kw_only=True, tag="included"):
    """A slot with an attempt in a block that may still be replaced."""

    pending: Pending
    attempt: Attempt
    block: BlockRef
    success: bool
    reason: str

    @property
    def nonce(self) -> int:
        return self.pending.nonce

    @property
    def action_id(self) -> str:
        return self.pending.action_id

    @property
    def outcome(self) -> Outcome:
        """What this inclusion makes of the action."""
        return "succeeded" if self.success and self.attempt.purpose == "action" else "failed"

    @property
    def moved_wei(self) -> int:
        """Native value that left the wallet with it, as limits count it."""
        return self.attempt.value_wei if self.success and not self.pending.operation else 0

    @property
    def at_worst(self) -> Spending:
        """What is still to be counted: the tokens of an action that succeeded and has not been told yet."""
        told = self.outcome == "failed" or self.pending.outcome == "succeeded"
        return NOTHING if told else Spending(tokens=self.pending.counted_tokens)

    @property
    def settled(self) -> bool:
        """Whether that outcome is what the log says."""
        return self.pending.outcome == self.outcome


Slot = Pending | Included


class SlotPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a slot counts as stuck, and how far it may be pushed."""

    stuck_after_us: int = 30_000_000
    stuck_after_blocks: int = 2
    """A chain that makes no blocks is not cured by paying more."""
    max_attempts: int = 8
    """Attempts to carry the action out; after them the nonce is given away by a cancel."""
    max_cancels: int = 4
    """Cancels after that; then the newest bytes are only sent again, slowly, and the wallet says so."""
    unknown_answers_mean_dropped: int = 3


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the chain said about the lowest open slot, when none of its attempts has a receipt."""

    waited_us: int
    """Since the newest attempt was signed."""
    blocks_since_signed: int
    unknown_answers: int
    """How many times in a row the node that took the bytes said that it does not know them."""
    sent_since_look: bool
    """Whether the newest bytes went out since this process (re)opened the slot."""
    refused: AnswerClass | None
    """How the newest bytes were refused at the last send, if they were."""
    gap_below: bool = False
    """Whether the chain waits for a nonce below this one."""
    give_up: bool = False
    """Whether an operator asked to give the nonce away rather than let the action happen."""


class Wait(msgspec.Struct, frozen=True):
    """Look again later."""


class SendAgain(msgspec.Struct, frozen=True):
    """The newest attempt's same bytes once more. `dropped` when the node has lost them."""

    dropped: bool = False


class Replace(msgspec.Struct, frozen=True):
    """A further attempt at the same nonce, with higher fees. `why` is for the log."""

    purpose: Purpose
    why: str


Step = Wait | SendAgain | Replace

FEE_TOO_LOW = frozenset({AnswerClass.REPLACEMENT_UNDERPRICED, AnswerClass.UNDERPRICED})
NEEDS_OTHER_BYTES = frozenset({AnswerClass.MALFORMED, AnswerClass.REVERTED})


def next_step(slot: Pending, look: Look, policy: SlotPolicy) -> Step:
    """What to do with the lowest open slot of a wallet now. Pure; the lane carries it out."""
    if look.give_up and slot.newest.purpose == "action":
        return Replace("cancel", "an operator asked for it")
    if look.refused is AnswerClass.NODE_FEE_CAP and slot.accepted != slot.newest.hash:
        return Replace("cancel", f"refused: {look.refused}")  # each is cheaper than the one before: that is its bound
    if look.refused is AnswerClass.INSUFFICIENT_FUNDS and slot.sweeps:
        return _replacement(slot, policy, "the wallet has less than there was to move")
    if look.refused in NEEDS_OTHER_BYTES:
        return _replacement(slot, policy, f"refused: {look.refused}", purpose="cancel")
    if look.refused in FEE_TOO_LOW:
        return _replacement(slot, policy, f"refused: {look.refused}")
    if not look.sent_since_look:
        return SendAgain()
    if look.unknown_answers >= policy.unknown_answers_mean_dropped:
        return SendAgain(dropped=slot.accepted == slot.newest.hash)
    if is_stuck(slot, look, policy):
        return _replacement(slot, policy, "stuck")
    return Wait()


def is_stuck(slot: Pending, look: Look, policy: SlotPolicy) -> bool:
    """Whether blocks came and went past the newest attempt for too long. What waits behind a gap is not cured by paying more."""
    long = look.waited_us >= policy.stuck_after_us and look.blocks_since_signed >= policy.stuck_after_blocks
    return long and not look.gap_below


def _replacement(slot: Pending, policy: SlotPolicy, why: str, purpose: Purpose = "action") -> Step:
    """The further attempt, bounded: actions, then cancels, then only the same bytes again."""
    cancels = sum(attempt.purpose == "cancel" for attempt in slot.attempts)
    if cancels or len(slot.attempts) >= policy.max_attempts:
        purpose = "cancel"
    if purpose == "cancel" and cancels >= policy.max_cancels:
        return SendAgain()
    return Replace(purpose, why)
