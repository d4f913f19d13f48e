"""What wallets and the fleet keep of what happened: told one way, and not another."""

from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.limits import BUCKETS_PER_WINDOW, KEPT_BUCKETS, MOST_BUCKETS, PER_DAY, PER_MINUTE
from ghostfleet.domain.values import DAY_US, SECOND_US
from ghostfleet.domain.wallet import Totals
from tests.unit.domain.told_fleet import START_US, Told

WIDTH_US = DAY_US // BUCKETS_PER_WINDOW


def fleet(told: Told, *events: ev.Event) -> None:
    told.happens([ev.NewEvent(ev.FLEET_STREAM, event) for event in events])


def test_an_action_is_counted_by_its_last_outcome_however_often_a_reorganisation_takes_it_back() -> None:
    told = Told()
    told.signs()
    told.mined()
    assert told.wallet().totals == Totals(succeeded=1)
    told.reorged()
    assert told.mined() == ["TransactionMined"], "the same outcome is no news"
    told.reorged()
    told.mined(success=False)
    assert told.wallet().totals == Totals(failed=1)
    assert told.wallet().last_error == "reverted: NoPosition"
    told.reorged()
    told.mined()
    told.final()
    told.rejected()
    assert told.wallet().totals == Totals(succeeded=1, rejected=1)
    assert told.wallet().last_error == "NoPosition"


def test_a_wallet_that_is_registered_again_has_what_the_settings_say_now() -> None:
    told = Told()
    address = told.wallet().address
    told.event(ev.WalletRetired(reason="gone from the settings"))
    told.event(ev.WalletRegistered(address=address, profile="other", plugin="another", first_turn_us=0))
    wallet = told.wallet()
    assert (wallet.profile, wallet.plugin, wallet.retired) == ("other", "another", False)


def test_a_reset_is_for_who_is_held_back_and_not_gone() -> None:
    told = Told()
    assert not decisions.needs_reset(told.wallet())
    told.event(ev.WalletParked(need_wei=2, balance_wei=1))
    assert decisions.needs_reset(told.wallet())
    told.event(ev.BreakerReset(actor="ada"))
    told.trips()
    assert decisions.needs_reset(told.wallet())
    told.event(ev.WalletRetired(reason="gone from the settings"))
    assert not decisions.needs_reset(told.wallet())


def test_an_operation_is_suspended_also_where_nobody_said_why() -> None:
    told = Told()
    started = ev.OperationStarted(operation_id="fund-1", kind="fund", wallets=("w",), params={}, actor="ada", reason="")
    fleet(told, started, ev.OperationSuspended(operation_id="fund-1", actor="ada", reason=""))
    assert told.state.fleet.operation_of("w") is None
    assert told.state.fleet.permitted == frozenset()
    fleet(told, ev.OperationContinued(operation_id="fund-1", actor="ada", reason=""))
    assert told.state.fleet.permitted == {"w"}


def test_which_endpoints_rest_is_known_until_they_recover_or_the_service_starts_again() -> None:
    told = Told()
    fleet(told, ev.EndpointTripped(endpoint="a", reason="r"), ev.EndpointTripped(endpoint="b", reason="r"))
    fleet(told, ev.EndpointTripped(endpoint="a", reason="r"))
    assert told.state.fleet.tripped_endpoints == ("b", "a")
    fleet(told, ev.EndpointRecovered(endpoint="b"))
    assert told.state.fleet.tripped_endpoints == ("a",)


def test_what_was_spent_less_than_a_day_ago_counts_whatever_is_spent_after_it() -> None:
    first_us = START_US // WIDTH_US * WIDTH_US + WIDTH_US - 1  # the end of its bucket: none is counted longer
    second_us = first_us + DAY_US - 1
    window = PER_DAY.add(first_us - WIDTH_US, 9).add(first_us, 5).add(second_us, 2)
    assert window.total(second_us) == 7
    assert window.total(second_us + 2) == 2


def test_a_clock_that_was_ahead_for_a_while_hands_nothing_out_anew() -> None:
    """A virtual machine that wakes up a year ahead and is put right a moment later: all of the day was forgotten."""
    window = PER_DAY.add(START_US, 5)
    for wallet in range(10):
        window = window.add(START_US + 365 * DAY_US + wallet * WIDTH_US, 1)
    window = window.add(START_US + 1, 2)
    assert window.total(START_US + 1) == 17
    assert window.total(START_US + 2 * DAY_US) == 10, "what was counted ahead counts until the clock comes there again"


@given(
    first=st.integers(0, 3 * BUCKETS_PER_WINDOW),
    moves=st.lists(st.integers(-40, 200) | st.integers(-1, 3), max_size=200),
)
def test_a_window_counts_all_of_the_last_span_wherever_the_clock_goes(first: int, moves: list[int]) -> None:
    window, counted, now = PER_MINUTE, list[int](), first
    for jump in moves:
        now = max(now + jump, 0)
        window = window.add(now * SECOND_US, 1)
        counted.append(now)
        ahead = {at for at in counted if at > now}
        if len(ahead) > 15:
            return  # more than is kept
        assert window.total(now * SECOND_US) >= sum(at > now - BUCKETS_PER_WINDOW for at in counted)
        assert len(window.buckets) <= MOST_BUCKETS


def test_a_window_of_a_clock_that_only_goes_on_lets_go_of_what_is_old() -> None:
    window = PER_MINUTE
    for second in range(1_000):
        window = window.add(second * SECOND_US, 1)
    assert len(window.buckets) == KEPT_BUCKETS
    assert window.total(999 * SECOND_US) == BUCKETS_PER_WINDOW + 1


def test_there_is_room_again_once_what_has_to_go_is_out_and_not_before() -> None:
    window = PER_DAY.add(START_US, 6).add(START_US + DAY_US // 2, 3)
    now_us = START_US + DAY_US // 2
    for amount in (1, 2, 7, 8):
        at_us = window.room_at_us(now_us, 10, amount)
        assert window.total(at_us) + amount <= 10
        assert at_us == now_us or window.total(at_us - 1) + amount > 10
    assert window.room_at_us(now_us, 10, 11) == now_us + DAY_US, "never: looked at again in a day"


def test_a_pause_of_the_settings_gives_way_to_one_that_outlives_them_and_to_no_other() -> None:
    told = Told()
    assert told.happens(decisions.pause(told.candidate, decisions.CONFIG_ACTOR, "")) == ["FleetPaused"]
    assert told.happens(decisions.pause(told.candidate, decisions.CONFIG_ACTOR, "")) == []
    assert told.happens(decisions.pause(told.candidate, "ada", "")) == ["FleetPaused"]
    assert told.happens(decisions.pause(told.candidate, "bob", "")) == []
    assert told.state.fleet.paused is not None
    assert told.state.fleet.paused.actor == "ada"
