"""A throttle stretches every wait and lowers every rate, and undoing it gives back what is left of them."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.domain import decisions, schedule, throttle
from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.limits import LIMIT_REACHED, NOTHING, Limits
from ghostfleet.domain.profile import GRINDER
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.throttle import Throttle, due_us
from ghostfleet.domain.values import HOUR_US, MINUTE_US, SECOND_US, Address, Call, Fees, Hash, Octets
from ghostfleet.domain.wallet import Wallet

T0 = 1_750_000_000 * SECOND_US
ADDRESS = Address(b"\x11" * 20)
DECIDED = ev.ActionDecided(
    action_id="w/1", plugin="t", kind="k", params={}, seed=1, observation={}, profile="p", config_digest="",
    call=Call(to=ADDRESS), spend_wei=0, balance_wei=1, next_turn_us=T0 + MINUTE_US,
)  # fmt: skip
SIGNED = ev.TransactionSigned(
    action_id="w/1", nonce=0, attempt=1, purpose="action", hash=Hash(b"\x01" * 32), raw=Octets(b"\x02"),
    to=ADDRESS, value_wei=0, gas=21_000, fees=Fees(1, 0),
)  # fmt: skip


def waiting(minutes: int, *, since_us: int = T0, rest: str = "") -> Wallet:
    """A wallet that was told at `since_us` to wait so long."""
    return Wallet(
        id="w", address=ADDRESS, profile="p", plugin="t", rest=rest,
        scheduled_us=since_us, next_turn_us=since_us + minutes * MINUTE_US,
    )  # fmt: skip


def paces(*changes: tuple[int, float]) -> tuple[Throttle, ...]:
    """Factors from so many minutes after T0 on."""
    return tuple(Throttle(since_us=T0 + minute * MINUTE_US, factor=factor, actor="a") for minute, factor in changes)


def due_minutes(wallet: Wallet, throttles: Sequence[Throttle]) -> float:
    return (due_us(wallet, throttles) - T0) / MINUTE_US


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ([], 10),
        ([(-5, 0.25)], 40),
        ([(0, 0.25)], 40),
        ([(5, 0.25)], 25),
        ([(12, 0.25)], 10),
        ([(-5, 0.25), (20, 1.0)], 25),
        ([(-5, 0.25), (-1, 1.0)], 10),
        ([(2, 0.5), (6, 0.25), (14, 1.0)], 18),
    ],
)
def test_what_is_left_of_a_wait_is_stretched_and_shrunk_as_the_pace_changes(
    changes: list[tuple[int, float]], due: float
) -> None:
    assert due_minutes(waiting(10), paces(*changes)) == due


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from((0.001, 0.1, 0.25, 0.5, 1.0))), max_size=8),
)
def test_a_wait_never_gets_shorter_than_at_full_pace_and_never_forgets_what_has_passed(
    minutes: int, changes: list[tuple[int, float]]
) -> None:
    changes = sorted(changes)
    wallet = waiting(minutes)
    due = due_us(wallet, paces(*changes))
    assert due >= wallet.next_turn_us
    undone = paces(*changes, (30_000, 1.0))
    assert due_us(wallet, undone) <= max(due, T0 + (30_000 + minutes) * MINUTE_US)
    if changes and due <= T0 + changes[-1][0] * MINUTE_US:  # it came before the last change: that changes nothing
        assert due_us(wallet, paces(*changes[:-1])) == due


def test_a_rest_that_a_limit_imposed_is_not_stretched_and_asked_about_again_at_another_pace() -> None:
    wallet = waiting(40, rest=f"{LIMIT_REACHED}: actions per hour 20")
    assert due_minutes(wallet, paces((-5, 0.25))) == 40
    assert due_minutes(wallet, paces((-5, 0.25), (10, 1.0))) == 10


def test_the_fold_keeps_the_latest_paces_and_commands_that_change_nothing_write_nothing() -> None:
    state = State()

    def told(factor: float) -> list[ev.NewEvent]:
        candidate = Candidate(state)
        events = decisions.throttle(candidate, "ada", factor, "too hot", "r")
        candidate.try_events(events, T0 + state.position)
        candidate.swap()
        return events

    assert told(1.0) == []
    assert [event.event for event in told(0.25)] == [ev.FleetThrottled(actor="ada", factor=0.25, reason="too hot")]
    assert told(0.25) == []
    for number in range(2 * throttle.MAX_REMEMBERED):
        told(0.5 if number % 2 else 0.75)
    assert len(state.fleet.throttles) == throttle.MAX_REMEMBERED
    assert state.fleet.pace == 0.5


def test_limits_of_an_hour_and_a_minute_fall_with_the_pace_and_those_of_a_day_do_not() -> None:
    limits = Limits(actions_per_hour=20, transactions_per_minute=3, gas_wei_per_day=100, tokens_per_day=7)
    slow = throttle.throttled(limits, 0.25)
    assert slow == msgspec.structs.replace(limits, actions_per_hour=5, transactions_per_minute=1)
    assert throttle.throttled(Limits(), 0.25) == Limits()


def test_actions_an_hour_fall_to_the_factor_of_what_they_were() -> None:
    """A thousand hours of one profile, turn after turn, as a lane schedules them."""

    def turns(throttles: Sequence[Throttle]) -> int:
        random, now_us, count = Random(7), T0, 0
        wallet = waiting(0)
        while now_us < T0 + 1000 * HOUR_US:
            turn = schedule.next_turn(GRINDER, now_us, random)
            wallet = msgspec.structs.replace(wallet, scheduled_us=now_us, next_turn_us=turn.at_us)
            now_us, count = due_us(wallet, throttles), count + 1
        return count

    full, slow = turns(()), turns(paces((0, 0.25)))
    assert 0.24 < slow / full < 0.26


def test_a_decision_is_recorded_with_the_pace_and_the_limit_in_force_then() -> None:
    state = State()
    candidate = Candidate(state)
    candidate.try_events(
        [
            ev.NewEvent("wallet/w", ev.WalletRegistered(address=ADDRESS, profile="p", plugin="t", first_turn_us=T0)),
            *decisions.throttle(candidate, "ada", 0.25, ""),
        ],
        T0,
    )
    rules = Rules(limits=Limits(actions_per_hour=4))
    events = decisions.open_slot(candidate, T0, name="w", decided=DECIDED, signed=SIGNED, rules=rules)
    assert isinstance(events[0].event, ev.ActionDecided)
    assert events[0].event.throttle == 0.25
    candidate.try_events(events, T0)
    wallet = candidate.wallet("w")
    assert wallet is not None
    reached = decisions.limit_reached(wallet, candidate, rules, NOTHING, T0)
    assert reached is not None
    assert reached.reason == f"{LIMIT_REACHED}: throttled actions per hour 1"
