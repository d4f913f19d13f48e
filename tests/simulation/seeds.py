"""From a number to a simulation: which families of faults it has, and for how long."""

from collections.abc import Callable
from random import Random

from tests.simulation.faults import FAMILIES
from tests.simulation.simulation import Outcome, Simulation

MIXED_MOST = 6
"""Families in one seed at most."""


def simulation_of(
    seed: int, *, families: tuple[str, ...] | None = None, story: Callable[[str], None] | None = None
) -> Simulation:
    """The simulation of a seed; `families` instead of the seed's own where they are given."""
    random = Random(f"{seed}/families")
    chosen = families if families is not None else _drawn(random)
    return Simulation(seed, chosen, faults_secs=random.choice((120.0, 240.0)), story=story)


def simulate(seed: int, *, families: tuple[str, ...] | None = None) -> Outcome:
    """Run a seed to its end."""
    return simulation_of(seed, families=families).simulate()


def _drawn(random: Random) -> tuple[str, ...]:
    """Seldom none, often one alone, mostly several at once."""
    draw = random.random()
    count = 0 if draw < 0.03 else 1 if draw < 0.3 else random.randint(2, MIXED_MOST)
    return tuple(sorted(random.sample(sorted(FAMILIES), count)))
