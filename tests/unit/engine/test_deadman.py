"""The deadman: what counts as a sign of life, that the time is in the log, and that the pause comes when nobody does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State, fold
from ghostfleet.domain.values import HOUR_US, Hash
from ghostfleet.engine import deadman as module
from ghostfleet.engine.commands import obey
from ghostfleet.engine.deadman import NEVER, Deadman
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.recovery import recover
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.store.log import open_log

START_US = 1_767_225_600_000_000
STARTED = ev.ServiceStarted(version="0.2.0", config_digest="d", chain_id=1, genesis_hash=Hash(bytes(32)))
COMMAND = AdminCommand(command="reset", actor="ada", remote="", request_id="r")
RECEIVED = ev.AdminCommandReceived(command="reset", actor="ada", remote="", request_id="r")
REFUSED = ev.AdminCommandRefused(command="pause", actor="eve", remote="", request_id="r", why="")


class Clock:
    us = START_US

    def now_us(self) -> int:
        return self.us


class Run:
    """The log of a run, its state and its deadman."""

    def __init__(self, log: Any, live: LiveState, clock: Clock, hours: float) -> None:
        self.log, self.live, self.clock = log, live, clock
        self.deadman = Deadman(live, clock, int(hours * HOUR_US))

    async def write(self, *events: ev.Event) -> None:
        await self.live.write([ev.NewEvent(ev.FLEET_STREAM, event) for event in events])

    @property
    def pause(self) -> Any:
        return self.live.state.fleet.paused


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Just started, with 24 hours."""
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    clock = Clock()
    live = LiveState(await recover(log), log, clock, lambda _recorded: None)
    commits = asyncio.create_task(live.run())
    run = Run(log, live, clock, 24)
    await run.write(STARTED)
    yield run
    commits.cancel()
    await asyncio.wait([commits])
    await log.close()


def seen_us(events: Sequence[ev.Event]) -> int | None:
    """When an operator was heard of last, for events that are a minute apart from 0 on."""
    rows = [ev.Recorded(n + 1, ev.FLEET_STREAM, n + 1, n * 60, "", event) for n, event in enumerate(events)]
    return fold(rows, State()).fleet.operators.seen_us


@pytest.mark.parametrize(
    "sign",
    [
        RECEIVED,
        ev.OperatorCheckedIn(actor="ada"),
        ev.FleetResumed(actor="ada"),
        ev.ConfigApplied(digest="e", settings={}),
    ],
    ids=lambda it: type(it).__name__,
)
def test_signs_of_life(sign: ev.Event) -> None:
    assert seen_us([STARTED, REFUSED, sign, REFUSED]) == 120


@pytest.mark.parametrize(
    "silence",
    [
        STARTED,
        ev.ServiceStopped(reason=""),
        REFUSED,
        ev.FleetPaused(actor="deadman"),
        ev.EndpointRecovered(endpoint="a"),
        ev.AdminCommandReceived(command="record_backup", actor="ada", remote="", request_id="r"),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_nobody_has_to_be_there_for_is_none(silence: ev.Event) -> None:
    assert seen_us([STARTED, silence, silence]) == 0


def test_before_the_first_start_there_is_no_time_to_run_out() -> None:
    assert seen_us([]) is None
    assert seen_us([REFUSED]) is None


async def test_the_fleet_pauses_when_the_time_is_over_and_not_before(run: Run) -> None:
    run.clock.us += 24 * HOUR_US - 1
    await run.deadman.look()
    assert run.pause is None
    run.clock.us += 1
    await run.deadman.look()
    assert run.pause.actor == "deadman"
    assert "heard of for 1 d: resume" in run.pause.reason


@pytest.mark.parametrize("sign", ["command", "check in"])
async def test_whoever_is_heard_of_starts_the_time_anew(run: Run, sign: str) -> None:
    run.clock.us += 23 * HOUR_US
    if sign == "command":
        await obey(run.live, COMMAND, lambda _state, _now_us: [])
    else:
        await run.write(ev.OperatorCheckedIn(actor="ada"))
    assert run.deadman.left_secs == 24 * 3600
    run.clock.us += 23 * HOUR_US
    await run.deadman.look()
    assert run.pause is None


async def test_one_who_comes_at_the_last_moment_is_not_too_late(run: Run) -> None:
    run.clock.us += 24 * HOUR_US
    await asyncio.gather(obey(run.live, COMMAND, lambda _state, _now_us: []), run.deadman.look())
    assert run.pause is None


async def test_a_restart_hands_out_no_fresh_time(run: Run) -> None:
    run.clock.us += 23 * HOUR_US
    await run.write(ev.ServiceStopped(reason=""), STARTED)
    assert run.deadman.left_secs == 3600
    run.clock.us += HOUR_US
    again = Run(run.log, run.live, run.clock, 24)
    await again.deadman.look()
    assert run.pause.actor == "deadman"
    assert (await recover(run.log, use_snapshot=False)).fleet == run.live.state.fleet


async def test_a_resume_starts_the_time_anew(run: Run) -> None:
    run.clock.us += 30 * HOUR_US
    await run.deadman.look()
    assert run.deadman.left_secs < 0
    await run.write(ev.FleetResumed(actor="service"))
    assert run.deadman.left_secs == 24 * 3600
    await run.deadman.look()
    assert run.pause is None


async def test_a_paused_fleet_is_not_paused_again(run: Run) -> None:
    await run.write(ev.FleetPaused(actor="ada", reason="gas"))
    run.clock.us += 30 * HOUR_US
    before = run.live.state.position
    await run.deadman.look()
    assert (run.pause.actor, run.live.state.position) == ("ada", before)


async def test_without_a_time_it_never_pauses(run: Run) -> None:
    never = Deadman(run.live, run.clock, 0)
    run.clock.us += 10_000 * HOUR_US
    await never.look()
    await asyncio.wait_for(never.watch(), 1)
    assert (run.pause, never.left_secs) == (None, NEVER)


async def test_a_log_that_takes_nothing_is_asked_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECS", 0.01)
    tries = 0
    commit = run.live.commit

    async def failing(decide: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise TryAgain("disk full")
        return await commit(decide)

    monkeypatch.setattr(run.live, "commit", failing)
    run.clock.us += 24 * HOUR_US
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run.deadman.watch(), 0.5)
    assert (tries, run.pause.actor) == (3, "deadman")
