"""A release that knows nothing of operations pauses too, and its pause suspends what ran, although it cannot say so (P5, P7)."""

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State, fold

STARTED = ev.OperationStarted(operation_id="fund-1", kind="fund", wallets=("funder",), params={}, actor="on-call")
PAUSED = ev.FleetPaused(actor="on-call")
PAUSED_AGAIN = ev.AdminCommandReceived(command="pause", actor="on-call", remote="", request_id="r")


def after(*events: ev.Event) -> State:
    return fold(ev.Recorded(n, ev.FLEET_STREAM, n, n, "", event) for n, event in enumerate(events, 1))


@pytest.mark.parametrize("events", [(STARTED, PAUSED), (PAUSED, STARTED, PAUSED_AGAIN)])
def test_an_operation_does_not_run_on_under_a_pause_that_came_after_it(events: tuple[ev.Event, ...]) -> None:
    operation = after(*events).fleet.operation("fund-1")
    assert operation is not None
    assert operation.suspended == "paused by on-call"


def test_one_that_was_asked_for_under_the_pause_runs() -> None:
    operation = after(PAUSED, STARTED).fleet.operation("fund-1")
    assert operation is not None
    assert operation.running


def test_asked_for_once_more_it_goes_on() -> None:
    continued = ev.OperationContinued(operation_id="fund-1", actor="on-call")
    operation = after(STARTED, PAUSED, continued).fleet.operation("fund-1")
    assert operation is not None
    assert operation.running
