"""`python -m tests.simulation --seeds 300 --start 1` runs that many; `--seed N` replays one and prints its story."""

import argparse
import logging
import multiprocessing
import sys
import time

from tests.simulation.faults import FAMILIES
from tests.simulation.seeds import simulate, simulation_of
from tests.simulation.simulation import Outcome

WORKERS = 2


def main() -> int:
    """The exit code: 0 when every seed kept every promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--start", type=int, default=1, help="the first one")
    parser.add_argument("--seed", type=int, help="replay this one and print what happens")
    parser.add_argument("--families", help=f"these faults only, comma-separated: {', '.join(FAMILIES)}")
    parser.add_argument("--workers", type=int, default=WORKERS)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    families = tuple(filter(None, asked.families.split(","))) if asked.families is not None else None
    if asked.seed is not None:
        return _replay(asked.seed, families)
    return _many(range(asked.start, asked.start + asked.seeds), families, asked.workers)


def _replay(seed: int, families: tuple[str, ...] | None) -> int:
    simulation = simulation_of(seed, families=families, story=print)
    print(f"seed {seed}: {', '.join(simulation.families) or 'no faults'}")
    outcome = simulation.simulate()
    print(_summary(outcome))
    return 1 if outcome.violation is not None else 0


def _many(seeds: range, families: tuple[str, ...] | None, workers: int) -> int:
    started = time.monotonic()
    failed: list[Outcome] = []
    events = 0
    secs = 0.0
    with multiprocessing.Pool(workers, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        for done, outcome in enumerate(pool.imap(_One(families), seeds, chunksize=1), start=1):
            events += sum(outcome.events.values())
            secs += outcome.simulated_secs
            if outcome.violation is not None:
                failed.append(outcome)
                print(_summary(outcome), flush=True)
            if done % 50 == 0:
                print(f"{done} seeds, {len(failed)} failed, {time.monotonic() - started:.0f} s", flush=True)
    took = time.monotonic() - started
    print(f"{len(seeds)} seeds, {len(failed)} failed, {events} events, {secs / 3600:.1f} simulated hours, {took:.0f} s")
    return 1 if failed else 0


class _One:
    """Runs one seed in a worker."""

    def __init__(self, families: tuple[str, ...] | None) -> None:
        self._families = families

    def __call__(self, seed: int) -> Outcome:
        return simulate(seed, families=self._families)


def _summary(outcome: Outcome) -> str:
    kept = "every promise kept" if outcome.violation is None else f"BROKEN {outcome.violation}"
    return (
        f"seed {outcome.seed} ({', '.join(outcome.families) or 'no faults'}; {outcome.runs} runs,"
        f" {outcome.simulated_secs:.0f} s): {kept}"
    )


if __name__ == "__main__":
    sys.exit(main())
