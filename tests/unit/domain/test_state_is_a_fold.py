"""P6, over any sequence of decisions: the state that was built step by step is the fold of what was recorded, and a snapshot at
any position with the tail behind it is the whole, byte for byte."""

import contextlib
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ghostfleet.domain import decisions, operating
from ghostfleet.domain import events as ev
from ghostfleet.domain import fleet as fleets
from ghostfleet.domain import wallet as wallets
from ghostfleet.domain.decisions import Refused
from ghostfleet.domain.state import Candidate, State, decode_state, encode_state, fold
from ghostfleet.domain.values import DAY_US, HOUR_US, SECOND_US, AnswerClass, BlockRef
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.store.codec import CODEC
from ghostfleet.store.rows import GENESIS, EventRow
from tests.unit.domain.told_fleet import RULES, Told, hash_of
from tests.unit.store.any_event import any_event

NAMES = ("a", "b", "c")
Step = Callable[[Told, str], object]
"""What happens to one of the wallets, where its state allows it; else nothing, or a refusal."""


def accepted(told: Told, name: str) -> None:
    for slot in told.wallet(name).pending:
        taken = ev.BroadcastAccepted(action_id=slot.action_id, nonce=slot.nonce, hash=slot.newest.hash, endpoint="one")
        told.event(taken, name)


def refused(told: Told, name: str) -> None:
    for slot in told.wallet(name).pending:
        said = ev.BroadcastFailed(
            action_id=slot.action_id,
            nonce=slot.nonce,
            hash=slot.newest.hash,
            endpoint="one",
            error_class=AnswerClass.POOL_FULL,
            message="m",
        )
        told.event(said, name)


def dropped(told: Told, name: str) -> None:
    for slot in told.wallet(name).pending:
        lost = ev.TransactionDropped(action_id=slot.action_id, nonce=slot.nonce, hash=slot.newest.hash, endpoint="one")
        told.event(lost, name)


def replaced(told: Told, name: str) -> None:
    for slot in told.wallet(name).pending:
        attempts = len(slot.attempts)
        signed = told.signed(slot.action_id, slot.nonce, attempts + 1)
        told.happens(
            decisions.replace_attempt(
                told.candidate, told.now_us, name=name, signed=signed, expected_attempts=attempts, rules=told.rules
            )
        )


def mined(told: Told, name: str, success: bool) -> None:
    if told.wallet(name).pending:
        told.mined(name, success=success)


def taken(told: Told, name: str) -> None:
    if told.wallet(name).pending:
        told.taken(name)


def confirmed(told: Told, name: str) -> None:
    for slot in told.wallet(name).included:
        if slot.settled:
            continue
        told.happens(
            decisions.settle(told.candidate, told.now_us, name=name, nonce=slot.nonce, rules=told.rules, counts=True)
        )


def final(told: Told, name: str) -> None:
    if any(slot.settled for slot in told.wallet(name).included[:1]):
        told.final(name)


def reorganised(told: Told, name: str) -> None:
    if told.wallet(name).included:
        told.reorged(name)


def strange(told: Told, name: str) -> None:
    told.event(ev.OutsideTransactionSeen(hash=hash_of("strange"), nonce=7, block=BlockRef(1, hash_of(1))), name)


def probed(told: Told, name: str) -> None:
    """Trips its breaker, waits, and probes."""
    for _ in range(told.rules.breaker.max_consecutive_errors):
        told.rejected(name)
    told.now_us += DAY_US
    told.signs(name)


def parked(told: Told, name: str) -> None:
    told.event(ev.WalletParked(need_wei=10, balance_wei=9), name)


def unparked(told: Told, name: str) -> None:
    told.event(ev.WalletUnparked(balance_wei=2**100), name)


def rested(told: Told, name: str) -> None:
    told.event(ev.WalletRested(until_us=told.now_us + HOUR_US, reason="away"), name)


def key_used_elsewhere(told: Told, name: str) -> None:
    next_nonce = told.wallet(name).next_nonce or 0
    told.event(ev.NonceResynced(from_nonce=next_nonce, to_nonce=next_nonce + 1, why="elsewhere"), name)


def carried_over(told: Told, name: str) -> None:
    """By a restore, from the log that it replaced."""
    bucket = told.now_us // DAY_US
    told.event(ev.SpendingCarriedOver(gas_wei=((bucket, 2**70),), value_wei=((bucket - 1, 5), (bucket, 1))), name)


def paused(told: Told, name: str) -> None:
    told.happens(decisions.pause(told.candidate, "ada", "lunch"))


def resumed(told: Told, name: str) -> None:
    told.happens(decisions.resume(told.candidate, "ada", ""))


def reset(told: Told, name: str) -> None:
    told.happens(decisions.reset(told.candidate, [name], "ada"))


def operation_starts(told: Told, name: str) -> None:
    """For this wallet and the first."""
    wish = ev.OperationStarted(
        operation_id=f"extract-{told.state.fleet.operations_started + 1}",
        kind="extract",
        wallets=tuple(sorted({NAMES[0], name})),
        params={"retire": name == NAMES[-1]},
        actor="ada",
    )
    told.happens(operating.start(told.candidate, told.now_us, wish=wish, correlation="r"))


def errand(told: Told, name: str) -> None:
    operation = told.state.fleet.operation_of(name)
    if operation is not None:
        decided = msgspec.structs.replace(
            told.decided(name), operation=operation.id, step=f"sweep {name}", params={"amount": "7"}
        )
        signed = told.signed(decided.action_id, told.wallet(name).next_nonce or 0)
        told.happens(
            operating.open_errands(
                told.candidate, told.now_us, name=name, operation_id=operation.id, errands=[(decided, signed)]
            )
        )


def done_with(told: Told, name: str) -> None:
    """The operation with this wallet; and over where that was the last one."""
    operation = told.state.fleet.operation_of(name)
    if operation is not None:
        told.happens(
            operating.wallet_done(
                told.candidate, told.now_us, name=name, operation_id=operation.id, results={name: {"left": 0}}
            )
        )
        if {*operation.done, name} == {*operation.wallets}:
            told.happens(
                operating.finish(
                    told.candidate, told.now_us, operation_id=operation.id, outcome="done", actor="ada", summary={}
                )
            )


def two_batches(told: Told, name: str) -> None:
    """As the commit loop does: one is decided on another that is being written; what does not fit is taken back between them."""
    below = Candidate(told.state)
    below.mark()
    error = ev.ErrorRecorded(error_class="k", message="m", counts=True)
    written = below.try_events(decisions.for_wallet(NAMES[0], "", [error]), told.now_us)
    below.mark()
    unfit = ev.TransactionFinal(action_id=f"{name}/0", nonce=10**9, hash=hash_of("none"))
    paused = ev.NewEvent(ev.FLEET_STREAM, ev.FleetPaused(actor="nobody", reason="taken back"))
    with pytest.raises(BrokenFold):
        below.try_events([paused, *decisions.for_wallet(name, "", [error, unfit])], told.now_us)
    below.back()
    above = Candidate(below)
    above.mark()
    written += above.try_events(decisions.for_wallet(name, "", [ev.BalanceObserved(balance_wei=1)]), told.now_us)
    below.swap()
    above.rebase(told.state)
    above.swap()
    told.recorded += written


def of_the_fleet(event: ev.Event, told: Told, name: str) -> None:
    told.happens([ev.NewEvent(ev.FLEET_STREAM, event)])


STEPS: tuple[Step, ...] = (
    *(Told.signs, Told.signs, Told.rejected, Told.errs, probed),
    *(accepted, refused, dropped, strange, replaced, partial(mined, success=True), partial(mined, success=True)),
    *(partial(mined, success=False), taken, confirmed, confirmed, final, final, reorganised),
    *(parked, unparked, rested, key_used_elsewhere, carried_over, paused, resumed, resumed, reset),
    *(operation_starts, errand, errand, done_with, two_batches),
)
OF_THE_FLEET = [
    kind for kind in fleets.HANDLERS if kind not in wallets.HANDLERS and kind not in (ev.FleetPaused, ev.FleetResumed)
]
"""Those that stand in the fleet's own stream. Pauses come by decisions, or hardly anything else would happen."""
fleet_events = st.one_of([any_event(kind) for kind in OF_THE_FLEET]).map(lambda event: partial(of_the_fleet, event))
steps = st.sampled_from(range(10)).flatmap(lambda draw: st.sampled_from(STEPS) if draw else fleet_events)
waits_us = st.sampled_from((0, 1, SECOND_US, HOUR_US, DAY_US, -5 * SECOND_US))
"""Clocks also go back."""
lives = st.lists(st.tuples(steps, st.sampled_from(NAMES), waits_us), min_size=20, max_size=60)
A_LIFE: list[tuple[Step, str, int]] = [
    (step, name, SECOND_US)
    for name in NAMES
    for step in (
        *(Told.rejected, parked, unparked, rested, key_used_elsewhere, carried_over),
        *(Told.signs, refused, accepted, dropped, replaced, partial(mined, success=True), reorganised),
        *(partial(mined, success=True), confirmed, final, Told.signs, partial(mined, success=False), confirmed),
        *(Told.signs, strange, taken, Told.errs, paused, resumed, reset, probed, taken, two_batches, operation_starts),
        *(paused, operation_starts, errand, partial(mined, success=True), confirmed, done_with),
    )
]
"""Three wallets that go through everything there is."""


def read_back(recorded: ev.Recorded) -> ev.Recorded:
    """As the log gives it: written as JSON, and read again."""
    told = CODEC.encode(ev.NewEvent(recorded.stream, recorded.event, recorded.correlation))
    row = EventRow(
        recorded.position, recorded.stream, recorded.version, told.type, told.type_version, told.critical,
        recorded.time_us, recorded.correlation, told.payload, GENESIS,
    )  # fmt: skip
    return CODEC.decode(row)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@example(life=A_LIFE, confirmations=1)
@example(life=A_LIFE, confirmations=2)
@given(life=lives, confirmations=st.integers(1, 2))
def test_fold_equals_running_state_and_snapshot_plus_tail_the_whole(
    life: list[tuple[Step, str, int]], confirmations: int
) -> None:
    told = Told(*NAMES, rules=msgspec.structs.replace(RULES, confirmations=confirmations))
    running = {}
    for step, name, wait_us in life:
        told.now_us += wait_us
        with contextlib.suppress(Refused):
            step(told, name)
        running[told.state.position] = encode_state(told.state)
    log = [read_back(each) for each in told.recorded]
    assert log == told.recorded
    folded, snapshots = State(), [encode_state(State())]
    for each in log:
        folded.apply(each)
        snapshots.append(encode_state(folded))
    assert running == {position: snapshots[position] for position in running}
    for position, snapshot in enumerate(snapshots):
        state = decode_state(snapshot)
        assert encode_state(state) == snapshot
        assert encode_state(fold(log[position:], state)) == snapshots[-1]


def test_the_example_has_every_event_that_a_wallet_can_have() -> None:
    told = Told(*NAMES, rules=msgspec.structs.replace(RULES, confirmations=2))
    for step, name, _ in A_LIFE:
        with contextlib.suppress(Refused):
            step(told, name)
    assert {type(it.event) for it in told.recorded} >= wallets.HANDLERS.keys() - {ev.UnknownEvent}
