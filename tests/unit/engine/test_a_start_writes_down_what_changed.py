"""What a start writes before any lane runs: wallets, the settings' pause, and rests that other settings imposed."""

from random import Random

import msgspec
import pytest

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.limits import LIMIT_REACHED
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import HOUR_US, Address, Hash
from ghostfleet.engine.registration import (
    AddressChanged,
    Change,
    ConfiguredWallet,
    Start,
    WrongChain,
    change_events,
    start_events,
)
from tests.simulation.settings import PROFILES

NOW_US = 1_700_000_000_000_000
PROFILE, *_ = PROFILES
ADDRESS = Address(b"\x11" * 20)
WALLET = ConfiguredWallet(id="w1", address=ADDRESS, profile=PROFILE, plugin="practice")
OTHER = ConfiguredWallet(id="w2", address=Address(b"\x12" * 20), profile=PROFILE, plugin="practice")
FIRST = Start(
    release="0.1.0", config_digest="a", settings={}, chain_id=1, genesis_hash=Hash(b"\x01" * 32),
    wallets=(WALLET, OTHER), paused_by_config=False, dry_run=False,
)  # fmt: skip


def replaced(start: Start, **changes: object) -> Start:
    return msgspec.structs.replace(start, **changes)


def started(state: State, start: Start) -> list[ev.Event]:
    """Carry the events of a start out on the state; returns them."""
    profiles: dict[str, Profile] = dict(PROFILES)
    events = start_events(
        Candidate(state), NOW_US, start=start, known=list(state.wallets), profiles=profiles, random=Random(1)
    )
    candidate = Candidate(state)
    candidate.try_events(events, NOW_US)
    candidate.swap()
    return [event.event for event in events]


@pytest.fixture
def state() -> State:
    """After the first start."""
    state = State()
    started(state, FIRST)
    return state


def kinds(events: list[ev.Event]) -> list[type[ev.Event]]:
    return [type(event) for event in events]


def test_the_same_settings_again_say_only_that_the_service_started(state: State) -> None:
    assert kinds(started(state, FIRST)) == [ev.ServiceStarted]


def test_wallets_are_registered_once_retired_when_they_are_gone_and_registered_again(state: State) -> None:
    assert set(state.wallets) == {"w1", "w2"}
    without = replaced(FIRST, wallets=(WALLET,), config_digest="b")
    assert kinds(started(state, without)) == [ev.ConfigApplied, ev.ServiceStarted, ev.WalletRetired]
    assert state.wallets["w2"].retired
    assert kinds(started(state, FIRST)) == [ev.ConfigApplied, ev.ServiceStarted, ev.WalletRegistered]
    assert not state.wallets["w2"].retired


def test_a_pause_of_the_settings_comes_and_goes_with_them(state: State) -> None:
    started(state, replaced(FIRST, paused_by_config=True, config_digest="b"))
    assert state.fleet.paused is not None
    started(state, FIRST)
    assert state.fleet.paused is None


@pytest.mark.parametrize("reason", [f"{LIMIT_REACHED}: gas wei per day 5", "away from keyboard"])
def test_a_rest_that_a_limit_imposed_ends_with_other_settings_and_no_other_rest_does(state: State, reason: str) -> None:
    until_us = NOW_US + 20 * HOUR_US
    rest = ev.NewEvent("wallet/w1", ev.WalletRested(reason=reason, until_us=until_us))
    candidate = Candidate(state)
    candidate.try_events([rest], NOW_US)
    candidate.swap()
    assert ev.WalletRested not in kinds(started(state, FIRST))
    started(state, replaced(FIRST, config_digest="b"))
    assert state.wallets["w1"].next_turn_us == (NOW_US if reason.startswith(LIMIT_REACHED) else until_us)


@pytest.mark.parametrize("other", [{"chain_id": 2}, {"genesis_hash": Hash(b"\x02" * 32)}])
def test_a_log_belongs_to_one_chain(state: State, other: dict[str, object]) -> None:
    with pytest.raises(WrongChain, match=r"another \[store\] url"):
        started(state, replaced(FIRST, **other))


def test_a_wallets_id_belongs_to_one_key(state: State) -> None:
    moved = ConfiguredWallet(id="w1", address=Address(b"\x13" * 20), profile=PROFILE, plugin="practice")
    with pytest.raises(AddressChanged, match="a new key needs a new id"):
        started(state, replaced(FIRST, wallets=(moved,)))


def reloaded(state: State, *, was_paused_by_config: bool = False, **changes: object) -> list[ev.Event]:
    """Carry the events of a reload out on the state; returns them."""
    wanted = {"config_digest": "b", "settings": {}, "wallets": (WALLET, OTHER), "paused_by_config": False, **changes}
    change = Change(
        changes=({"key": "k", "before": 1, "after": 2},), was_paused_by_config=was_paused_by_config,
        actor="ada", reason="", **wanted,
    )  # fmt: skip
    candidate = Candidate(state)
    events = change_events(
        Candidate(state), NOW_US, change=change, known=list(state.wallets), profiles=PROFILES, random=Random(1)
    )
    candidate.try_events(events, NOW_US)
    candidate.swap()
    return [event.event for event in events]


def test_a_reload_says_what_changed_and_who_wanted_it_and_nothing_of_what_stays(state: State) -> None:
    (applied,) = reloaded(state)
    assert isinstance(applied, ev.ConfigApplied)
    assert (applied.digest, applied.actor, applied.changes) == ("b", "ada", ({"key": "k", "before": 1, "after": 2},))
    assert state.fleet.config_digest == "b"


def test_a_reload_registers_and_retires(state: State) -> None:
    third = replaced(OTHER, id="w3", address=Address(b"\x13" * 20))  # type: ignore[arg-type]
    assert kinds(reloaded(state, wallets=(OTHER, third))) == [ev.ConfigApplied, ev.WalletRegistered, ev.WalletRetired]
    assert (state.wallets["w1"].retired, state.wallets["w3"].retired) == (True, False)


def test_a_pause_follows_the_settings_of_a_reload_only_when_they_change_their_mind(state: State) -> None:
    assert kinds(reloaded(state, paused_by_config=True)) == [ev.ConfigApplied, ev.FleetPaused]
    resumed = ev.NewEvent(ev.FLEET_STREAM, ev.FleetResumed(actor="ada"))
    candidate = Candidate(state)
    candidate.try_events([resumed], NOW_US)
    candidate.swap()
    assert kinds(reloaded(state, paused_by_config=True, was_paused_by_config=True)) == [ev.ConfigApplied]
    assert state.fleet.paused is None, "an operator resumed meanwhile"


def test_a_pause_of_an_operator_outlives_settings_that_no_longer_pause(state: State) -> None:
    reloaded(state, paused_by_config=True)
    candidate = Candidate(state)
    candidate.try_events(decisions.pause(candidate, "ada", "fire"), NOW_US)
    candidate.swap()
    assert kinds(reloaded(state, was_paused_by_config=True)) == [ev.ConfigApplied]
    assert state.fleet.paused is not None
