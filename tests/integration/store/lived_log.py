"""A log that a fleet has lived: everything that the simulator's service wrote in one seed, on any storage."""

from collections.abc import Sequence
from functools import cache

from ghostfleet.domain.events import Recorded
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.store.places import recorder_at
from ghostfleet.store.rows import EventRow
from tests.simulation.memory_recorder import Commit
from tests.simulation.seeds import simulation_of

SEED = 7
FAMILIES = ("reorganisations", "admin", "outsider")
"""Transactions taken back, pauses, strangers: an action's events lie far apart."""


@cache
def lived() -> tuple[Commit, ...]:
    """What the service wrote, commit by commit. Not to be called from within an event loop."""
    simulation = simulation_of(SEED, families=FAMILIES)
    assert simulation.simulate().violation is None
    return tuple(simulation.disk.durable)


def rows_of(commits: Sequence[Commit]) -> list[EventRow]:
    return [row for commit in commits for row in commit.rows]


async def live(url: str, commits: Sequence[Commit]) -> None:
    """Write these commits into the log at `url`, as the service did."""
    await (await open_log(url)).close()  # migrated
    recorder = await recorder_at(url, read_only=False)
    try:
        await recorder.stated_head()
        for commit in commits:
            await recorder.record(commit.rows, commit.changes)
    finally:
        await recorder.close()


async def everything(log: EventLog) -> list[Recorded]:
    return [recorded async for recorded in log.read()]
