"""A log that a newer release has written to names that release to whoever cannot read it (DESIGN, section 8)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from log_stage import T0_US

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import FLEET_STREAM, Event, NewEvent
from ghostfleet.domain.values import Hash
from ghostfleet.operations.backup import back_up
from ghostfleet.store.codec import CODEC, Codec
from ghostfleet.store.errors import UnknownCriticalEvent
from ghostfleet.store.log import EventLog, open_log, verify_log


class FleetFed(Event, frozen=True, kw_only=True):
    """Critical, as events are."""


class ServiceStarted(Event, frozen=True, kw_only=True):
    """As a newer release may write it."""

    VERSION: ClassVar[int] = 2
    version: str


THEIRS = Codec({**ev.CATALOGUE, "FleetFed": FleetFed}, release="0.4.0")
START_CHANGED = Codec({**ev.CATALOGUE, "ServiceStarted": ServiceStarted}, release="0.5.0")


def started(version: str) -> NewEvent:
    start = ev.ServiceStarted(version=version, config_digest="", chain_id=1, genesis_hash=Hash(bytes(32)))
    return NewEvent(FLEET_STREAM, start)


async def write(url: str, codec: Codec, *events: Event | NewEvent) -> None:
    log = await open_log(url, codec=codec)
    every = [it if isinstance(it, NewEvent) else NewEvent(FLEET_STREAM, it) for it in events]
    await log.append(every, time_us=T0_US)
    await log.close()


async def everything(log: EventLog) -> None:
    async for _ in log.read():
        pass


@pytest.mark.parametrize("do", [everything, EventLog.verify, EventLog.rebuild_projections], ids=lambda it: it.__name__)
async def test_the_release_of_the_last_start_up_to_the_event_is_named(url: str, do: Callable[[EventLog], Any]) -> None:
    """Not that of `log_meta`: opening the log to write has put this release's own name there."""
    await write(url, CODEC, started(CODEC.release))
    await write(url, THEIRS, started("0.4.0"), FleetFed())
    log = await open_log(url)
    with pytest.raises(UnknownCriticalEvent) as refused:
        await do(log)
    await log.close()
    assert str(refused.value) == (
        f"position 3: event FleetFed version 1 is not known to this release ({CODEC.release});"
        " it needs release 0.4.0: start that or a newer one"
    )


async def test_a_backup_and_a_verification_name_it_too(sqlite_url: str, tmp_path: Path) -> None:
    await write(sqlite_url, THEIRS, started("0.4.0"), FleetFed())
    for ask in (back_up(sqlite_url, tmp_path / "backup.gz"), verify_log(sqlite_url)):
        with pytest.raises(UnknownCriticalEvent, match=r"it needs release 0\.4\.0"):
            await ask


async def test_a_start_that_cannot_be_read_itself_says_of_which_release_it_is(sqlite_url: str) -> None:
    await write(sqlite_url, START_CHANGED, ServiceStarted(version="0.5.0"))
    with pytest.raises(UnknownCriticalEvent, match=r"it needs release 0\.5\.0"):
        await verify_log(sqlite_url)


@pytest.mark.parametrize("version", [CODEC.release, "a b", "x" * 100, ""])
async def test_where_the_log_names_no_other_release_the_words_are_general(sqlite_url: str, version: str) -> None:
    await write(sqlite_url, THEIRS, started(version), FleetFed())
    with pytest.raises(UnknownCriticalEvent, match=r"; start the release that wrote it or newer$"):
        await verify_log(sqlite_url)
