"""What is done with the lowest open slot: given its attempts and what the chain said of them, then this and nothing else."""

from typing import Any

import pytest
from msgspec.structs import replace

from ghostfleet.domain.events import Purpose
from ghostfleet.domain.limits import Spending
from ghostfleet.domain.slot import SWEEP, Attempt, Look, Pending, Replace, SendAgain, SlotPolicy, Wait, next_step
from ghostfleet.domain.values import AnswerClass, Fees, Octets
from tests.unit.domain.told_fleet import hash_of

POLICY = SlotPolicy(max_attempts=3, max_cancels=2)
SIGNED_US = 1_000
GIVEN_UP = Replace("cancel", "an operator asked for it")


def attempt(number: int, purpose: Purpose = "action", value_wei: int = 0) -> Attempt:
    return Attempt(
        number=number,
        purpose=purpose,
        hash=hash_of(number),
        raw=Octets(b"\2"),
        gas=10,
        fees=Fees(number, 0),
        signed_us=SIGNED_US,
        value_wei=value_wei,
    )


def slot(*purposes: Purpose, accepted: bool = False, kind: str = "k") -> Pending:
    """A slot with such attempts; `accepted` is whether a node took the newest one."""
    attempts = tuple(attempt(number, purpose) for number, purpose in enumerate(purposes or ("action",), start=1))
    taken = attempts[-1].hash if accepted else None
    return Pending(action_id="w/1", kind=kind, nonce=0, spend_wei=7, attempts=attempts, accepted=taken)


def step(of: Pending, **seen: Any) -> object:
    """After a look at which nothing was wrong, but for what is named."""
    calm: dict[str, Any] = {
        "waited_us": 0,
        "blocks_since_signed": 0,
        "unknown_answers": 0,
        "sent_since_look": True,
        "refused": None,
    }
    return next_step(of, Look(**{**calm, **seen}), POLICY)


def test_what_was_sent_and_is_not_stuck_is_waited_for() -> None:
    assert step(slot()) == Wait()
    assert step(slot(), sent_since_look=False) == SendAgain()


def test_what_an_operator_gives_up_is_cancelled_before_anything_else_and_once() -> None:
    assert step(slot(accepted=True), give_up=True) == GIVEN_UP
    assert step(slot(), give_up=True, refused=AnswerClass.INSUFFICIENT_FUNDS) == GIVEN_UP
    assert step(slot("action", "cancel"), give_up=True) == Wait()


@pytest.mark.parametrize("refused", [AnswerClass.MALFORMED, AnswerClass.REVERTED, AnswerClass.NODE_FEE_CAP])
def test_bytes_that_no_node_will_ever_take_give_their_nonce_away(refused: AnswerClass) -> None:
    assert step(slot(), refused=refused) == Replace("cancel", f"refused: {refused}")


@pytest.mark.parametrize("refused", [AnswerClass.UNDERPRICED, AnswerClass.REPLACEMENT_UNDERPRICED])
def test_bytes_that_pay_too_little_are_signed_again_as_the_same_action(refused: AnswerClass) -> None:
    assert step(slot(), refused=refused) == Replace("action", f"refused: {refused}")


def test_a_fee_cap_of_one_node_cancels_nothing_that_another_has_taken() -> None:
    assert step(slot(accepted=True), refused=AnswerClass.NODE_FEE_CAP) == Wait()


def test_only_a_sweep_itself_moves_less_where_less_is_left() -> None:
    short = AnswerClass.INSUFFICIENT_FUNDS
    assert step(slot(kind=SWEEP), refused=short) == Replace("action", "the wallet has less than there was to move")
    assert step(slot(kind=SWEEP)) == Wait()
    assert step(slot(), refused=short, sent_since_look=False) == SendAgain()
    assert step(slot("action", "cancel", kind=SWEEP), refused=short, sent_since_look=False) == SendAgain()


def test_what_its_node_has_forgotten_is_sent_again_and_said_to_be_dropped() -> None:
    forgotten = POLICY.unknown_answers_mean_dropped
    assert step(slot(accepted=True), unknown_answers=forgotten - 1) == Wait()
    assert step(slot(accepted=True), unknown_answers=forgotten) == SendAgain(dropped=True)
    assert step(slot(), unknown_answers=forgotten) == SendAgain(dropped=False)


def test_what_blocks_have_passed_by_for_long_enough_is_replaced() -> None:
    long_us, blocks = POLICY.stuck_after_us, POLICY.stuck_after_blocks
    assert step(slot(), waited_us=long_us, blocks_since_signed=blocks) == Replace("action", "stuck")
    assert step(slot(), waited_us=long_us - 1, blocks_since_signed=blocks) == Wait()
    assert step(slot(), waited_us=long_us, blocks_since_signed=blocks - 1) == Wait()
    assert step(slot(), waited_us=long_us, blocks_since_signed=blocks, gap_below=True) == Wait()


@pytest.mark.parametrize(
    ("purposes", "then"),
    [
        (("action", "action"), Replace("action", "stuck")),
        (("action", "action", "action"), Replace("cancel", "stuck")),
        (("action", "cancel"), Replace("cancel", "stuck")),
        (("action", "cancel", "cancel"), SendAgain()),
    ],
)
def test_a_slot_is_pushed_so_far_and_no_further(purposes: tuple[Purpose, ...], then: object) -> None:
    assert step(slot(*purposes), waited_us=POLICY.stuck_after_us, blocks_since_signed=2) == then


def test_what_a_slot_may_spend_is_the_most_of_any_attempt_as_any_may_be_mined() -> None:
    """A cancel is dearer, and moves nothing: both count until the chain has chosen."""
    both = replace(slot(), attempts=(attempt(1, value_wei=5), attempt(2, "cancel")))
    assert both.at_worst == Spending(gas_wei=20, value_wei=5, tokens=7)
    assert replace(both, operation="fund-1").at_worst == Spending(gas_wei=20)


def test_tokens_that_were_counted_before_a_reorganisation_are_not_held_again() -> None:
    assert replace(slot(), outcome="succeeded").at_worst == Spending(gas_wei=10)
    assert replace(slot(), outcome="failed").at_worst == Spending(gas_wei=10, tokens=7)
