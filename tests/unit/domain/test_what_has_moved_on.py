"""A wish is decided on the state that it is recorded after: what was true when it was made may be so no more, and is refused."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.values import BlockRef, JsonObject
from tests.unit.domain.told_fleet import RULES, Told, hash_of

NOBODY: JsonObject = {"destinations": []}
Wish = Callable[[Told], object]


def pauses(told: Told) -> None:
    told.happens(decisions.pause(told.candidate, "ada", ""))


def operates(told: Told, kind: str = "extract") -> None:
    """An operator asks for this, of wallet `w` alone."""
    started = ev.OperationStarted(
        operation_id=f"{kind}-1", kind=kind, wallets=("w",), params=NOBODY, actor="ada", reason=""
    )
    told.happens([ev.NewEvent(ev.FLEET_STREAM, started)])


def replaces(told: Told, *, after: int = 1) -> list[str]:
    """A further attempt of the open slot, made when it had so many."""
    slot = told.open_slot()
    signed = told.signed(slot.action_id, slot.nonce, after + 1)
    return told.happens(
        decisions.replace_attempt(
            told.candidate, told.now_us, name="w", signed=signed, expected_attempts=after, rules=RULES
        )
    )


def fills_gap(told: Told, nonce: int) -> list[str]:
    decided = told.decided()
    signed = told.signed(decided.action_id, nonce)
    return told.happens(decisions.fill_gap(told.candidate, told.now_us, name="w", decided=decided, signed=signed))


def above_a_gap() -> Told:
    """The log's nonce 0 was never sent, and nonce 1 is open."""
    told = Told()
    told.event(ev.NonceResynced(from_nonce=0, to_nonce=1, why=""))
    told.signs()
    return told


def test_nothing_is_signed_for_more_under_a_pause_but_for_what_an_operator_asked_for_since() -> None:
    told = Told()
    told.signs()
    pauses(told)
    with pytest.raises(Refused, match="paused"):
        replaces(told)
    operates(told)
    assert replaces(told) == ["TransactionSigned"]
    pauses(told)
    with pytest.raises(Refused, match="paused"):
        replaces(told, after=2)


def test_no_gap_is_filled_under_a_pause() -> None:
    told = above_a_gap()
    pauses(told)
    with pytest.raises(Refused, match="paused"):
        fills_gap(told, 0)


def test_only_what_lies_below_the_open_slots_and_has_none_is_a_gap() -> None:
    told = above_a_gap()
    for nonce in (1, 2):
        with pytest.raises(Refused, match="no gap"):
            fills_gap(told, nonce)
    assert fills_gap(told, 0) == ["ActionDecided", "TransactionSigned"]
    with pytest.raises(Refused, match="no gap"):
        fills_gap(told, 0)


@pytest.mark.parametrize("wish", [Told.signs, Told.rejected], ids=["signs", "rejected"])
def test_no_turn_is_recorded_under_a_pause_nor_under_settings_that_are_gone(wish: Wish) -> None:
    told = Told()
    decided = told.decided()
    told.decided = lambda _name="w": decided  # type: ignore[method-assign]
    told.happens([ev.NewEvent(ev.FLEET_STREAM, ev.ConfigApplied(digest="other", settings={}))])
    with pytest.raises(Refused, match="other settings"):
        wish(told)
    pauses(told)
    operates(told)
    with pytest.raises(Refused, match="paused"):
        wish(told)


def test_a_wallet_that_was_retired_meanwhile_opens_no_slot() -> None:
    told = Told()
    told.event(ev.WalletRetired(reason="gone from the settings"))
    with pytest.raises(Refused, match="retired"):
        told.signs()


def test_a_wallet_that_does_errands_takes_no_turn_and_the_others_do() -> None:
    told = Told("w", "other")
    operates(told)
    with pytest.raises(Refused, match="errands"):
        told.signs("w")
    assert told.signs("other") == ["ActionDecided", "TransactionSigned"]
    told.happens(
        [ev.NewEvent(ev.FLEET_STREAM, ev.OperationWalletDone(operation_id="extract-1", wallet="w", result=""))]
    )
    assert told.signs("w") == ["ActionDecided", "TransactionSigned"]


def test_a_wallet_with_an_open_slot_or_one_without_an_outcome_takes_no_turn() -> None:
    told = Told(rules=decisions.Rules(confirmations=2))
    told.signs()
    with pytest.raises(Refused, match="open slot"):
        told.signs()
    assert told.mined() == ["TransactionMined"]
    with pytest.raises(Refused, match="open slot"):
        told.signs()


def test_a_nonce_that_is_not_the_next_is_refused() -> None:
    told = Told()
    told.signs()
    told.mined()
    decided = told.decided()
    for nonce in (0, 2):
        signed = told.signed(decided.action_id, nonce)
        with pytest.raises(Refused, match="not the next"):
            decisions.open_slot(told.candidate, told.now_us, name="w", decided=decided, signed=signed, rules=told.rules)


def test_a_breaker_that_tripped_meanwhile_lets_nothing_be_signed_until_its_time() -> None:
    told = Told()
    told.trips()
    until_us = told.tripped.until_us
    told.now_us = until_us - 1
    with pytest.raises(Refused, match="breaker"):
        told.signs()
    told.now_us = until_us
    assert told.signs() == ["BreakerProbing", "ActionDecided", "TransactionSigned"]


def test_a_further_attempt_is_for_the_slot_as_it_was_seen() -> None:
    told = Told()
    told.signs()
    replaces(told)
    with pytest.raises(Refused, match="moved on"):
        replaces(told)
    slot = told.open_slot()
    late = told.signed(slot.action_id, slot.nonce, 3)
    told.mined()
    with pytest.raises(Refused, match="moved on"):
        decisions.replace_attempt(told.candidate, told.now_us, name="w", signed=late, expected_attempts=2, rules=RULES)


def test_what_the_chain_made_of_a_slot_is_recorded_once() -> None:
    told = Told()
    told.signs()
    slot = told.open_slot()
    told.mined()
    mined = ev.TransactionMined(
        action_id=slot.action_id, nonce=0, attempt=1, hash=slot.newest.hash, block=BlockRef(1, hash_of("late")),
        success=True, gas_used=1, gas_price_wei=1,
    )  # fmt: skip
    with pytest.raises(Refused, match="not open"):
        decisions.include(
            told.candidate, told.now_us, name="w", mined=mined, rules=told.rules, head_number=told.head, counts=False
        )
    with pytest.raises(Refused, match="not waiting"):
        decisions.settle(told.candidate, told.now_us, name="w", nonce=0, rules=told.rules, counts=False)
    with pytest.raises(Refused, match="not open"):
        decisions.supersede(told.candidate, told.now_us, name="w", nonce=0, by=None, rules=told.rules)
    told.reorged()
    with pytest.raises(Refused, match="not waiting"):
        decisions.settle(told.candidate, told.now_us, name="w", nonce=0, rules=told.rules, counts=False)


def test_an_outcome_waits_for_the_confirmations_and_not_for_one_more() -> None:
    for short, kinds in ((1, ["TransactionMined"]), (0, ["TransactionMined", "ActionSucceeded"])):
        told = Told(rules=replace(decisions.Rules(), confirmations=3))
        told.signs()
        slot = told.open_slot()
        mined = ev.TransactionMined(
            action_id=slot.action_id, nonce=0, attempt=1, hash=slot.newest.hash, block=BlockRef(10, hash_of("b")),
            success=True, gas_used=1, gas_price_wei=1,
        )  # fmt: skip
        assert kinds == told.happens(
            decisions.include(
                told.candidate,
                told.now_us,
                name="w",
                mined=mined,
                rules=told.rules,
                head_number=12 - short,
                counts=False,
            )
        )
