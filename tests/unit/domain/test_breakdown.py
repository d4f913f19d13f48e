"""Every error is counted once, under its class, its wallet and its endpoint."""

from typing import Any

import pytest

from ghostfleet.domain import breakdown as bd
from ghostfleet.domain import events as ev
from ghostfleet.domain.breakdown import Counted, Group, breakdown, by, wrong_of
from ghostfleet.domain.values import AnswerClass, BlockRef, Hash

TX = Hash(b"\x02" * 32)
BLOCK = BlockRef(7, TX)


def at(position: int, event: ev.Event, wallet: str = "wallet-001") -> ev.Recorded:
    stream = ev.wallet_stream(wallet) if wallet else ev.FLEET_STREAM
    return ev.Recorded(position, stream, 1, position * 1000, "", event)


def refused(endpoint: str = "node-a", message: str = "429") -> ev.Event:
    return ev.BroadcastFailed(
        action_id="wallet-001/1", nonce=0, hash=TX, endpoint=endpoint,
        error_class=AnswerClass.RATE_LIMITED, message=message,
    )  # fmt: skip


def mined(*, success: bool, reason: str = "") -> ev.Event:
    return ev.TransactionMined(
        action_id="wallet-001/1", nonce=0, attempt=1, hash=TX, block=BLOCK, success=success,
        gas_used=1, gas_price_wei=1, revert_reason=reason,
    )  # fmt: skip


def rejected(*, counts: bool) -> ev.Event:
    return ev.ActionRejected(action_id="wallet-001/1", error_class="reverted", reason="NotAuthorized()", counts=counts)


def recorded(error_class: str = "insufficient_funds") -> ev.Event:
    return ev.ErrorRecorded(error_class=error_class, message="balance 0 wei")


ERRORS: list[tuple[ev.Event, str, Group]] = [
    (refused(), "wallet-001", Group("rate_limited", "wallet-001", "node-a")),
    (mined(success=False, reason="PositionLocked()"), "wallet-001", Group("reverted", "wallet-001")),
    (rejected(counts=True), "wallet-001", Group("reverted", "wallet-001")),
    (recorded(), "wallet-001", Group("insufficient_funds", "wallet-001")),
    (
        ev.TransactionSuperseded(action_id="wallet-001/1", nonce=4, hash=TX, by=None),
        "wallet-001",
        Group("superseded", "wallet-001"),
    ),
    (ev.EndpointTripped(endpoint="node-a", reason="no answer"), "", Group("endpoint_tripped", "", "node-a")),
    (ev.StoreRecovered(reason="disk full", failed_us=1), "", Group("log_unavailable")),
]
NO_ERRORS: list[ev.Event] = [
    mined(success=True), rejected(counts=False), ev.ActionSucceeded(action_id="wallet-001/1"),
    ev.ActionFailed(action_id="wallet-001/1", reason="reverted", counts=True), ev.BreakerTripped(errors=5, until_us=1),
    ev.UnknownEvent(type="X", type_version=1),
]  # fmt: skip


@pytest.mark.parametrize(("event", "wallet", "group"), ERRORS)
def test_an_error_is_counted_where_it_belongs(event: ev.Event, wallet: str, group: Group) -> None:
    assert list(breakdown([at(1, event, wallet)])) == [group]
    assert type(event).__name__ in bd.ERROR_TYPES


@pytest.mark.parametrize("event", NO_ERRORS)
def test_what_follows_from_an_error_is_no_second_one(event: ev.Event) -> None:
    assert wrong_of(at(1, event)) is None


def test_every_type_that_tells_an_error_has_its_example_here() -> None:
    assert {type(event) for event, _, _ in ERRORS} == set(bd.READERS)


def test_a_group_knows_its_first_and_last_and_what_the_newest_said() -> None:
    log = [at(5, refused(message="newest")), at(2, refused(message="oldest")), at(3, refused(message="between"))]
    assert breakdown(log) == {
        Group("rate_limited", "wallet-001", "node-a"): Counted(
            count=3, first_us=2000, last_us=5000, example="newest", position=5
        )
    }


def test_the_sides_of_a_breakdown_add_up() -> None:
    groups = breakdown([at(1, refused("node-a")), at(2, refused("node-b"), "wallet-002"), at(3, recorded())])
    assert [(side, counted.count) for side, counted in by("class", groups)] == [
        ("rate_limited", 2),
        ("insufficient_funds", 1),
    ]
    assert {side: counted.count for side, counted in by("wallet", groups)} == {"wallet-001": 2, "wallet-002": 1}
    assert {side: counted.count for side, counted in by("endpoint", groups)} == {"node-a": 1, "node-b": 1}


def test_a_breakdown_is_bounded_and_loses_no_count(monkeypatch: Any) -> None:
    monkeypatch.setattr(bd, "MAX_GROUPS", 3)
    groups = breakdown(at(n, recorded("reverted"), f"wallet-{n}") for n in range(1, 11))
    assert sum(counted.count for counted in groups.values()) == 10
    assert groups[Group("reverted")].count == 7


def test_examples_are_cut() -> None:
    (counted,) = breakdown([at(1, refused(message="x" * 5000))]).values()
    assert len(counted.example) == bd.MAX_EXAMPLE_CHARS
