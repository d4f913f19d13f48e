"""When a set share of the fleet trips within a window the fleet pauses itself and says so: it is hardly the wallets then."""

from collections.abc import Callable, Collection

import msgspec
import pytest

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.fleet import FleetPolicy, Pause
from ghostfleet.domain.values import HOUR_US, MINUTE_US
from tests.unit.domain.told_fleet import RULES, START_US, Told

WINDOW_US = 10 * MINUTE_US


def fleet_of(wallets: int, share: float = 0.5) -> Told:
    """Wallets w1, w2, ..."""
    policy = FleetPolicy(trip_share=share, trip_window_us=WINDOW_US)
    return Told(*(f"w{n}" for n in range(1, wallets + 1)), rules=msgspec.structs.replace(RULES, fleet=policy))


def pauses_after(told: Told, names: Collection[str]) -> list[bool]:
    """Whether the fleet pauses itself as each of these trips, one after the other."""
    return ["FleetPaused" in told.trips(name) for name in names]


def test_it_is_paused_by_the_service_in_the_commit_of_the_trip_that_was_one_too_many() -> None:
    told = fleet_of(4)
    assert told.trips("w3") == ["ActionDecided", "ActionRejected", "BreakerTripped"]
    assert told.state.fleet.paused is None
    told.now_us += MINUTE_US
    assert told.trips("w1") == ["ActionDecided", "ActionRejected", "BreakerTripped", "FleetPaused"]
    assert told.state.fleet.paused == Pause(
        actor="service", reason="2 of 4 wallets tripped their breaker", since_us=START_US + MINUTE_US
    )
    with pytest.raises(decisions.Refused, match="paused"):
        told.signs("w2")


@pytest.mark.parametrize(
    ("wallets", "share", "trips_needed"),
    [(4, 0.5, 2), (5, 0.5, 3), (4, 1.0, 4), (10, 0.3, 3), (10, 0.31, 4), (10, 0.01, 2), (2, 0.5, 2), (2, 0.1, 2)],
)
def test_it_takes_the_share_and_at_least_two_wallets(wallets: int, share: float, trips_needed: int) -> None:
    names = [f"w{n}" for n in range(1, trips_needed + 1)]
    assert pauses_after(fleet_of(wallets, share), names) == [False] * (trips_needed - 1) + [True]


@pytest.mark.parametrize(("wallets", "share"), [(1, 0.5), (1, 1.0), (4, 0.0)])
def test_a_fleet_of_one_wallet_and_a_share_of_0_never_do(wallets: int, share: float) -> None:
    told = fleet_of(wallets, share)
    assert not any(pauses_after(told, told.state.wallets))


@pytest.mark.parametrize(("later_us", "paused"), [(0, True), (WINDOW_US, True), (WINDOW_US + 1, False)])
def test_trips_count_together_up_to_the_edge_of_the_window(later_us: int, paused: bool) -> None:
    told = fleet_of(4)
    told.trips("w1")
    told.now_us += later_us
    assert pauses_after(told, ["w2"]) == [paused]


def test_one_that_trips_again_and_again_is_one_wallet_with_the_time_of_its_latest_trip() -> None:
    told = fleet_of(4)
    told.trips("w1")
    for _ in range(3):
        told.now_us += 24 * HOUR_US
        assert "FleetPaused" not in told.rejected("w1")
    assert told.state.fleet.trips == ((told.now_us, "w1"),)
    assert pauses_after(told, ["w2"]) == [True]


def test_a_resume_forgets_the_trips_before_it() -> None:
    told = fleet_of(6, 0.33)
    assert pauses_after(told, ["w1", "w2"]) == [False, True]
    told.happens(decisions.resume(told.candidate, "ada", "mended"))
    assert told.state.fleet.trips == ()
    assert pauses_after(told, ["w3", "w4"]) == [False, True]


def test_a_reset_forgets_the_trip_of_its_wallet() -> None:
    told = fleet_of(6, 0.33)
    told.trips("w1")
    told.happens(decisions.reset(told.candidate, ["w1"], "ada"))
    assert pauses_after(told, ["w2", "w3"]) == [False, True]


def test_retired_wallets_are_no_part_of_the_fleet() -> None:
    told = fleet_of(6)
    for name in ("w5", "w6"):
        told.event(ev.WalletRetired(reason="emptied"), name)
    assert pauses_after(told, ["w1", "w2"]) == [False, True]


def test_a_pause_that_an_operator_asked_for_stays_as_it_is() -> None:
    """What was under way when it came still fails."""
    told = fleet_of(2)
    for name in ("w1", "w2"):
        told.rejected(name)
        told.rejected(name)
        told.signs(name)
    told.happens(decisions.pause(told.candidate, "ada", "lunch"))
    for name in ("w1", "w2"):
        assert told.mined(name, success=False) == ["TransactionMined", "ActionFailed", "BreakerTripped"]
    assert told.state.fleet.paused == Pause(actor="ada", reason="lunch", since_us=START_US)


def test_a_running_operation_is_suspended_with_everything_else() -> None:
    told = fleet_of(4)
    wish = ev.OperationStarted(operation_id="extract-1", kind="extract", wallets=("w3",), params={}, actor="ada")
    told.happens([ev.NewEvent(ev.FLEET_STREAM, wish)])
    told.trips("w1")
    assert told.trips("w2")[-2:] == ["OperationSuspended", "FleetPaused"]
    assert told.state.fleet.permitted == frozenset()


@pytest.mark.parametrize(
    "fails",
    [
        Told.rejected,
        Told.errs,
        lambda told, name: told.signs(name) and told.mined(name, success=False),
        lambda told, name: told.signs(name) and told.taken(name),
    ],
    ids=["refused in estimation", "error", "reverted", "nonce taken from outside"],
)
def test_whatever_its_own_errors_are_they_trip_a_wallet_and_with_it_the_fleet(
    fails: Callable[[Told, str], list[str]],
) -> None:
    told = fleet_of(2)
    for name in ("w1", "w2"):
        written = [fails(told, name) for _ in range(3)]
        assert ["BreakerTripped" in names for names in written] == [False, False, True]
    assert told.state.fleet.paused is not None
    assert told.state.fleet.paused.actor == "service"
