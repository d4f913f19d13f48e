"""Where the settings ask for them, simulated fleets write checkpoints through crashes, full disks and slow keys; each is true."""

import pytest
from msgspec.structs import replace

from tests.simulation.seeds import simulate, simulation_of
from tests.simulation.settings import with_digest
from tests.simulation.simulation import Outcome

SEEDS = range(1, 13)
EVERY_SECS = 10.0


def signing(seed: int, families: tuple[str, ...] | None = None) -> Outcome:
    """A seed's fleet with a checkpoint every ten seconds. What the log holds at the end is verified, checkpoints too."""
    simulation = simulation_of(seed, families=families)
    asked_for = with_digest(replace(simulation.next_loaded, checkpoint_secs=EVERY_SECS))
    simulation.next_loaded = simulation.promises.loaded = asked_for
    return simulation.simulate()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept_while_the_head_is_signed(seed: int) -> None:
    outcome = signing(seed)
    assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
    assert outcome.events["HeadSigned"] > 5


@pytest.mark.parametrize("families", [("disk",), ("crashes",), ("config", "steering")], ids=lambda it: it[0])
def test_under_each_of_these_families(families: tuple[str, ...]) -> None:
    outcome = signing(7, families)
    assert outcome.violation is None, outcome.violation
    assert outcome.events["HeadSigned"] > 3


def test_the_same_seed_gives_the_same_bytes_with_signatures_in_them() -> None:
    first, second = signing(3), signing(3)
    assert first.events["HeadSigned"] > 5
    assert first.log == second.log


def test_nobody_who_did_not_ask_gets_any() -> None:
    assert not {"HeadSigned", "HeadNotSigned"} & set(simulate(3).events)
