"""Every promise is kept in these seeds; `make sim` runs 300, and as many more as one likes."""

import random

import pytest

from tests.simulation.faults import FAMILIES
from tests.simulation.seeds import simulate, simulation_of
from tests.simulation.settings import without_limits

MIXED_SEEDS = range(1, 21)
HALF_HOUR_SECS = 1800.0


@pytest.mark.parametrize("seed", MIXED_SEEDS)
def test_every_promise_is_kept_with_faults_mixed(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.violation is None, f"python -m tests.simulation --seed {seed}: {outcome.violation}"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_promise_is_kept_under_each_family_of_faults(family: str) -> None:
    outcome = simulate(7, families=(family,))
    assert outcome.violation is None, f"python -m tests.simulation --seed 7 --families {family}: {outcome.violation}"


def test_without_faults_wallets_just_act() -> None:
    outcome = simulate(7, families=())
    assert outcome.violation is None
    assert outcome.events["ActionSucceeded"] > 5
    assert outcome.runs == 1


@pytest.mark.parametrize("seed", [2, 8, 16])
def test_an_endpoint_that_passes_nothing_on_costs_time_and_no_action(seed: int) -> None:
    """What it took and did not bring into the chain goes to the other one next."""
    simulation = simulation_of(seed, families=("hides",))
    outcome = simulation.simulate()
    assert outcome.violation is None
    assert simulation.sites[0].nodes[0].habits.hides, "the endpoint that is asked first"
    assert outcome.events["ActionSucceeded"] > 5
    given_up = [signed for signed in simulation.promises.signed.values() if signed.purpose == "cancel"]
    assert given_up == []


@pytest.mark.parametrize("seed", [3, 235, 288])
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    first = simulate(seed)
    random.seed(seed)  # whatever the process drew in between
    second = simulate(seed)
    assert len(first.log) > 1000
    assert first.log == second.log


def test_another_seed_gives_other_bytes() -> None:
    assert simulate(3).log != simulate(4).log


@pytest.mark.parametrize(
    ("seed", "families"),
    [
        pytest.param(235, ("admin", "config"), id="an operator's pause outlives a pause of the settings"),
        pytest.param(6, ("drained", "lag"), id="a wallet is parked for what it needs"),
        pytest.param(3, ("lag", "outsider"), id="nodes without history do not hold a slot open"),
        pytest.param(
            10, ("drops", "garbage", "lag", "limits", "outsider"), id="a stranger's nonce behind a lagging node"
        ),
        pytest.param(
            1553, ("disk", "fees", "hides", "outages"), id="an endpoint that nobody needs is found to be well again"
        ),
        pytest.param(
            642,
            ("config", "disk", "drops", "fees", "lag", "steering"),
            id="a reload in the moment of a stop does not hold it up",
        ),
        pytest.param(5286, ("disk", "garbage", "reorganisations"), id="a node's error at the start is waited out"),
        pytest.param(
            6043,
            ("config", "forgetful", "lag", "lost", "reorganisations"),
            id="a header of another branch does not make a block final",
        ),
        pytest.param(
            1175,
            ("forgetful", "lag", "late", "limits", "reorganisations", "stalls"),
            id="one look without a trace, after a long silence, does not give a slot up",
        ),
        pytest.param(5, ("operations",), id="a wallet that an operation is done with takes no turn under a pause"),
        pytest.param(2, ("config", "operations"), id="a wallet without a key does not keep the others waiting"),
        pytest.param(
            28,
            ("operations", "lag", "outsider", "reorganisations"),
            id="a node that lags does not make a step happen again",
        ),
        pytest.param(
            21, ("operations", "drops", "fees", "forgetful"), id="what cannot be outbid is cancelled at the same fee"
        ),
        pytest.param(16, ("config", "operations"), id="a dry run does no errands"),
        pytest.param(
            1851,
            None,
            id="a cancel that nobody can sign has an end",
        ),
        pytest.param(
            3764,
            None,
            id="a sweep that a reorganisation made too dear moves what is there",
        ),
        pytest.param(
            2877,
            None,
            id="a sweep of a drained wallet moves what is left",
        ),
        pytest.param(
            37216, None, id="a sweep after which nothing is left for another one's gas ends once that is paid"
        ),
        pytest.param(2354, None, id="a retired wallet whose key is named again settles what it left open"),
        pytest.param(10103, None, id="a wallet leaves the settings in the middle of its turn"),
        pytest.param(42783, None, id="a resume ends the pause before it that fails later"),
        pytest.param(10195, None, id="a clock that was ahead hands no limit out anew"),
    ],
)
def test_what_was_found_once_stays_mended(seed: int, families: tuple[str, ...] | None) -> None:
    assert simulate(seed, families=families).violation is None


def test_a_throttle_slows_the_fleet_to_about_its_factor_and_undone_it_is_as_fast_as_before() -> None:
    """IR-004, measured: actions in three spells of half an hour, at full pace, at a quarter of it, and at full pace again."""
    simulation = simulation_of(5, families=())
    simulation.faults_secs = 3 * HALF_HOUR_SECS
    simulation.next_loaded = simulation.promises.loaded = without_limits(simulation.next_loaded)
    decided: list[int] = []

    def mark(factor: str) -> None:
        decided.append(simulation.promises.counts.get("ActionDecided", 0))
        simulation.ask("throttle", factor)

    simulation.universe.after(HALF_HOUR_SECS, lambda: mark("0.25"))
    simulation.universe.after(2 * HALF_HOUR_SECS, lambda: mark("1"))
    simulation.universe.after(3 * HALF_HOUR_SECS - 1, lambda: mark("1"))
    outcome = simulation.simulate()
    assert outcome.violation is None
    full, slow, again = decided[0], decided[1] - decided[0], decided[2] - decided[1]
    assert full > 200
    assert 0.2 < slow / full < 0.3, decided
    assert 0.9 < again / full < 1.1, decided
