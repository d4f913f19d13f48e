"""Every reason that keeps a wallet from acting is said, the most decisive first, with what to do about it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.breaker import Closed, Probing, Tripped
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.fleet import Fleet, Pause
from ghostfleet.domain.limits import Limits
from ghostfleet.domain.operation import Operation
from ghostfleet.domain.profile import BUILT_IN_PROFILES, DEGEN
from ghostfleet.domain.slot import Attempt, Included, Pending
from ghostfleet.domain.state import State
from ghostfleet.domain.throttle import Throttle
from ghostfleet.domain.values import HOUR_US, MINUTE_US, Address, AnswerClass, BlockRef, Fees, Hash, Octets
from ghostfleet.domain.wallet import Wallet
from ghostfleet.operations.explain import Circumstances, EndpointStanding, Explanation, UnknownSubject, explain

NOON_US = 1_767_268_800_000_000
"""2026-01-01T12:00:00Z"""
ADDRESS = Address(b"\x01" * 20)
TX = Hash(b"\x02" * 32)
RUNNING = Fleet()
NOW = Circumstances(now_us=NOON_US)
WALLET = Wallet(
    id="wallet-001", address=ADDRESS, profile="grinder", plugin="ghostnet", next_turn_us=NOON_US - MINUTE_US
)
ATTEMPT = Attempt(
    number=1, purpose="action", hash=TX, raw=Octets(b""), gas=21_000, fees=Fees(2 * 10**9, 1),
    signed_us=NOON_US - 3 * MINUTE_US,
)  # fmt: skip
OPEN = Pending(action_id="wallet-001/7", kind="jack_in", nonce=6, spend_wei=0, attempts=(ATTEMPT,))


def said(
    wallet: Wallet = WALLET, fleet: Fleet = RUNNING, circumstances: Circumstances = NOW, **more: Any
) -> Explanation:
    state = State(fleet=fleet, wallets={wallet.id: wallet})
    return explain(state, wallet.id, circumstances, profiles=BUILT_IN_PROFILES, **more)


def codes(found: Explanation) -> list[str]:
    return [reason.code for reason in found.reasons]


def only(found: Explanation) -> str:
    """The sentence and remedy of the one reason there is."""
    (reason,) = found.reasons
    return f"{reason.sentence} {reason.remedy}"


def recorded(position: int, event: ev.Event, ago_us: int = MINUTE_US) -> ev.Recorded:
    return ev.Recorded(position, "wallet/wallet-001", position, NOON_US - ago_us, "wallet-001/7", event)


def test_a_wallet_that_nothing_holds_acts():
    found = said()
    assert (found.acts, codes(found)) == (True, ["acts"])
    assert "its turn has come 1 min ago" in only(found)


def test_a_pause_says_who_why_and_since_when():
    pause = Pause(actor="ada", reason="gas looks odd", since_us=NOON_US - 2 * HOUR_US)
    found = said(fleet=Fleet(paused=pause))
    assert not found.acts
    assert only(found) == (
        "The whole fleet is paused by ada since 2026-01-01 10:00:00 UTC, 2 h ago: gas looks odd. "
        "When that is settled: ghost-fleet resume"
    )


@pytest.mark.parametrize(
    ("actor", "words"),
    [("config", ("by the settings", "global_pause = false")), ("service", ("by the service itself", "ghost-fleet errors"))],
)  # fmt: skip
def test_a_pause_of_the_settings_and_of_the_service_itself_have_their_own_remedies(actor: str, words: tuple[str, ...]):
    told = only(said(fleet=Fleet(paused=Pause(actor=actor, reason="", since_us=NOON_US))))
    assert all(word in told for word in words)


def test_a_tripped_breaker_says_by_which_errors_and_until_when():
    errors = [
        recorded(n, ev.ErrorRecorded(error_class="insufficient_funds", message=f"balance {n} wei", counts=True))
        for n in (3, 9, 5, 7)
    ]
    found = said(replace(WALLET, breaker=Tripped(NOON_US + 90 * MINUTE_US, 2)), recent=errors)
    told = only(found)
    assert "until 2026-01-01 13:30:00 UTC (in 1 h 30 min)" in told
    assert "2 trips in a row" in told
    assert told.index("balance 9 wei") < told.index("balance 7 wei") < told.index("balance 5 wei"), "newest first"
    assert "balance 3 wei" not in told
    assert "ghost-fleet reset wallet-001" in told
    assert found.reasons[0].until_us == NOON_US + 90 * MINUTE_US


def test_a_breaker_whose_cooldown_is_over_keeps_nobody():
    found = said(replace(WALLET, breaker=Tripped(NOON_US, 1), last_error="reverted: PositionLocked()"))
    assert (found.acts, codes(found)) == (True, ["breaker_over", "acts"])
    assert "PositionLocked()" in found.reasons[0].sentence
    assert codes(said(replace(WALLET, breaker=Probing(1)))) == ["probing", "acts"]


def test_a_wallet_without_funds_says_what_it_needs_and_has_and_where_to_send_it():
    told = only(said(replace(WALLET, parked_until_wei=5 * 10**15, balance_wei=10**15)))
    assert "needs 0.005 ETH and had 0.001 ETH when last looked at, 0.004 ETH more" in told
    assert f"Send native coin to {ADDRESS}" in told


def test_an_open_slot_says_since_when_with_which_attempts_and_what_the_nodes_said():
    second = replace(ATTEMPT, number=2, hash=Hash(b"\x03" * 32), signed_us=NOON_US - MINUTE_US)
    slot = replace(OPEN, attempts=(ATTEMPT, second), accepted=TX, accepted_by="node-a")
    answers = [
        recorded(n, ev.BroadcastFailed(
            action_id="wallet-001/7", nonce=nonce, hash=TX, endpoint="node-b", error_class=AnswerClass.UNDERPRICED,
            message=f"answer {n}",
        )) for n, nonce in ((11, 6), (10, 5))
    ]  # fmt: skip
    told = only(said(replace(WALLET, slots=(slot,)), recent=answers))
    assert "nonce 6 (wallet-001/7, jack_in) since 2026-01-01 11:57:00 UTC, 3 min ago: 2 attempts" in told
    assert f"newest {second.hash} (action) at most 2 gwei; node-a has an earlier attempt" in told
    assert "node-b said underpriced: answer 11" in told
    assert "answer 10" not in told, "of another nonce"


def test_a_slot_in_a_block_waits_for_confirmations_only_while_it_has_no_outcome():
    block = BlockRef(70, TX)
    included = Included(pending=OPEN, attempt=ATTEMPT, block=block, success=True, reason="")
    assert "in block 70" in only(said(replace(WALLET, slots=(included,))))
    settled = replace(included, pending=replace(OPEN, outcome="succeeded"))
    assert codes(said(replace(WALLET, slots=(settled,)))) == ["acts"]


def test_every_limit_that_holds_is_named_with_the_time_of_room():
    busy = replace(WALLET, actions=WALLET.actions.add(NOON_US, 20), gas_spent=WALLET.gas_spent.add(NOON_US, 100))
    rules = Rules(limits=Limits(actions_per_hour=20, gas_wei_per_day=100, tokens_per_day=5))
    found = said(busy, rules=rules)
    assert codes(found) == ["limit", "limit"]
    assert "actions per hour 20. There is room again at 2026-01-01 13:01:00 UTC" in found.reasons[0].sentence
    assert "gas wei per day 100" in found.reasons[1].sentence


def test_a_resting_wallet_says_until_when_and_why():
    away = replace(WALLET, next_turn_us=NOON_US + 5 * HOUR_US, rest="away from keyboard")
    assert "Its next turn is at 2026-01-01 17:00:00 UTC (in 5 h): away from keyboard." in only(said(away))
    plain = replace(away, rest="")
    assert "the interval of its profile grinder" in only(said(plain))


FAILED = ev.ErrorRecorded(error_class="defect", message="piggy: decide: KeyError: 'nope' (piggy.py:64)")
SKIPPED = ev.WalletRested(reason="defect", until_us=NOON_US + HOUR_US)


def test_a_plugin_that_failed_at_the_last_turn_is_what_keeps_a_wallet_from_acting():
    resting = replace(WALLET, next_turn_us=NOON_US + HOUR_US, rest="defect")
    found = said(resting, recent=[recorded(1, FAILED), recorded(2, SKIPPED)])
    assert (found.acts, codes(found)) == (False, ["turn_failed", "resting"])
    assert "failed at 2026-01-01 11:59:00 UTC, 1 min ago" in found.reasons[0].sentence
    assert "piggy: decide: KeyError: 'nope' (piggy.py:64)" in found.reasons[0].sentence
    assert "tried again at its next turn, 2026-01-01 13:00:00 UTC" in found.reasons[0].sentence
    due = said(recent=[recorded(1, FAILED), recorded(2, SKIPPED), recorded(3, ev.BalanceObserved(balance_wei=1))])
    assert (due.acts, codes(due)) == (False, ["turn_failed"])
    assert "tried again within minutes" in only(due)


@pytest.mark.parametrize(
    "later",
    [
        ev.WalletRested(reason="full", until_us=NOON_US),
        ev.ActionRejected(action_id="wallet-001/7", error_class="reverted", reason="StillLocked(1)"),
        ev.ActionSucceeded(action_id="wallet-001/7"),
    ],
)
def test_a_failure_of_an_earlier_turn_and_one_at_a_receipt_keep_nobody(later):
    """A plugin that cannot decode a log, or judge a revert, is told in the same way, before what it is about."""
    found = said(recent=[recorded(1, FAILED), recorded(2, later)])
    assert (found.acts, codes(found)) == (True, ["acts"])


def test_errands_of_an_operation_come_before_a_pause_which_does_not_hold_them_back():
    operation = Operation(
        id="operation-3", kind="extract", wallets=("wallet-001",), params={}, actor="ada", since_us=NOON_US
    )
    pause = Pause(actor="ada", reason="", since_us=NOON_US)
    found = said(fleet=Fleet(operations=(operation,), paused=pause))
    assert (found.acts, codes(found)) == (False, ["errands", "paused"])
    assert "operation-3 (extract), asked for by ada at 2026-01-01 12:00:00 UTC" in found.reasons[0].sentence
    suspended = said(fleet=Fleet(operations=(replace(operation, suspended="paused by bob"),)))
    assert codes(suspended) == ["errands_suspended", "acts"]
    assert "ghost-fleet operations abandon operation-3" in suspended.reasons[0].remedy
    assert codes(said(fleet=Fleet(operations=(replace(operation, done=("wallet-001",)),)))) == ["acts"]


def test_a_throttled_fleet_is_said_and_keeps_nobody_but_stretches_what_is_left_of_a_wait():
    slow = Throttle(since_us=NOON_US, factor=0.25, actor="ada", reason="429")
    found = said(fleet=Fleet(throttles=(slow,)))
    assert (found.acts, codes(found)) == (True, ["throttled", "acts"])
    assert "to 0.25 of its pace by ada since 2026-01-01 12:00:00 UTC: 429" in found.reasons[0].sentence
    waiting = replace(WALLET, next_turn_us=NOON_US + HOUR_US, scheduled_us=NOON_US)
    assert "(in 4 h)" in said(waiting, fleet=Fleet(throttles=(slow,))).reasons[1].sentence


def test_off_hours_are_said_and_keep_nobody_by_themselves():
    found = said(replace(WALLET, profile="degen"))
    assert (found.acts, codes(found)) == (True, ["off_hours", "acts"])
    assert "18 to 6 o'clock UTC" in found.reasons[0].sentence
    assert f"at {DEGEN.off_hours_factor:g} of its usual pace" in found.reasons[0].sentence


def test_what_no_event_tells_is_said_too():
    circumstances = Circumstances(
        now_us=NOON_US, running=False, dry_run=True, troubles=("log: the disk is full",),
        endpoints=(EndpointStanding(name="node-a", healthy=False, reason="HTTP 503"),),
    )  # fmt: skip
    found = said(circumstances=circumstances)
    assert codes(found) == ["not_running", "unready", "endpoints_down", "dry_run"]
    assert "the disk is full" in found.reasons[1].sentence
    assert "node-a (HTTP 503)" in found.reasons[2].sentence


def test_a_key_that_is_not_at_hand_is_said():
    found = said(circumstances=replace(NOW, withheld="its keystore is being opened"))
    assert (found.acts, codes(found)) == (False, ["no_key"])
    assert "It cannot sign: its keystore is being opened." in found.reasons[0].sentence
    assert found.reasons[0].remedy.startswith("Nothing")
    damaged = said(circumstances=replace(NOW, withheld="keystore w1.json is damaged"))
    assert "ghost-fleet reload" in damaged.reasons[0].remedy


def test_one_endpoint_of_two_that_is_down_keeps_nobody():
    endpoints = (EndpointStanding(name="a", healthy=True), EndpointStanding(name="b", healthy=False, reason="429"))
    found = said(circumstances=replace(NOW, endpoints=endpoints))
    assert (found.acts, codes(found)) == (True, ["endpoint_down", "acts"])


def test_all_reasons_that_hold_are_said_the_most_decisive_first():
    wallet = replace(
        WALLET, retired=True, rest="disabled", slots=(OPEN,), parked_until_wei=2, balance_wei=1,
        breaker=Tripped(NOON_US + 1, 1), actions=WALLET.actions.add(NOON_US, 1),
    )  # fmt: skip
    found = said(
        wallet,
        fleet=Fleet(paused=Pause(actor="ada", reason="", since_us=NOON_US)),
        circumstances=replace(NOW, dry_run=True),
        rules=Rules(limits=Limits(actions_per_hour=1)),
    )
    assert codes(found) == ["retired", "paused", "dry_run", "open_slot", "no_funds", "breaker", "limit"]
    assert all(reason.remedy for reason in found.reasons)


def test_an_unknown_wallet_is_answered_with_the_nearest():
    state = State(wallets={"wallet-001": WALLET, "whale-9": replace(WALLET, id="whale-9")})
    with pytest.raises(UnknownSubject, match=r"did you mean wallet-001\?"):
        explain(state, "wallet-01", NOW)
    with pytest.raises(UnknownSubject, match="there is none yet"):
        explain(State(), "x", NOW)


@given(
    breaker=st.sampled_from([Closed(), Closed(4), Tripped(NOON_US + 1, 1), Tripped(NOON_US - 1, 3), Probing(2)]),
    parked=st.sampled_from([None, 10**15]),
    slots=st.sampled_from([(), (OPEN,)]),
    turn_us=st.integers(NOON_US - HOUR_US, NOON_US + HOUR_US),
    retired=st.booleans(),
    paused=st.booleans(),
)
def test_a_wallet_acts_exactly_when_its_lane_would(breaker, parked, slots, turn_us, retired, paused):
    """The same conditions as in the lane's own question whether the turn comes."""
    wallet = replace(
        WALLET, breaker=breaker, parked_until_wei=parked, slots=slots, next_turn_us=turn_us, retired=retired
    )
    fleet = Fleet(paused=Pause(actor="a", reason="", since_us=0) if paused else None)
    held = isinstance(breaker, Tripped) and breaker.until_us > NOON_US
    would = not (paused or retired or slots or parked or held or turn_us > NOON_US)
    assert said(wallet, fleet=fleet).acts is would
