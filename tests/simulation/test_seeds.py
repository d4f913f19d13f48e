"""Every promise is kept in these seeds; `make sim` runs 300, and as many more as one likes."""

import random

import pytest

from tests.simulation.faults import FAMILIES
from tests.simulation.seeds import simulate, simulation_of

MIXED_SEEDS = range(1, 21)


@pytest.mark.parametrize("seed", MIXED_SEEDS)
def test_every_promise_is_kept_with_faults_mixed(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.violation is None, f"python -m tests.simulation --seed {seed}: {outcome.violation}"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_promise_is_kept_under_each_family_of_faults(family: str) -> None:
    outcome = simulate(7, families=(family,))
    assert outcome.violation is None, f"python -m tests.simulation --seed 7 --families {family}: {outcome.violation}"


def test_without_faults_wallets_just_act() -> None:
    outcome = simulate(5, families=())
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
        pytest.param(5286, ("disk", "garbage", "reorganisations"), id="a node's error at the start is waited out"),
        pytest.param(
            6043,
            ("config", "forgetful", "lag", "lost", "reorganisations"),
            id="a header of another branch does not make a block final",
        ),
    ],
)
def test_what_was_found_once_stays_mended(seed: int, families: tuple[str, ...]) -> None:
    assert simulate(seed, families=families).violation is None
