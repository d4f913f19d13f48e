"""systemd's watchdog is told that the service lives exactly while commits are served; nobody is told outside of systemd."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.store.log import EventLog
from ghostfleet.systemd import LONGEST_BEAT_SECS, Informant, ServiceManager, beat_secs, systemd_informed
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder

BEAT_SECS = 0.03
EVENT = ev.NewEvent(ev.FLEET_STREAM, ev.ServiceStopped(reason="a test"))


class Begun:
    """As much of the fleet's service as systemd is told about."""

    begun = True
    state = State()

    def log_check(self) -> Any:
        return type("Check", (), {"ok": True, "reason": ""})

    keys_check = log_check


class Clock:
    def now_us(self) -> int:
        return 1


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind(str(tmp_path / "notify"))
        yield bound


def told(manager: socket.socket) -> list[str]:
    """Every datagram that waits."""
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


async def hears(manager: socket.socket) -> None:
    """Waits until the watchdog is told of life, from now on."""
    told(manager)
    async with asyncio.timeout(10):
        while b"WATCHDOG=1" not in await asyncio.get_running_loop().sock_recv(manager, 4096):
            pass


@asynccontextmanager
async def informed(path: str, disk: MemoryDisk, hold: asyncio.Event) -> AsyncIterator[LiveState]:
    """A commit loop over a log whose sync waits for `hold`, and systemd informed about it."""
    live = LiveState(State(), await EventLog.over(MemoryRecorder(disk, hold.wait)), Clock(), lambda _: None)
    other_end = ServiceManager(path)
    informant = Informant(other_end, BEAT_SECS)
    informant.running(cast(Any, Begun()), live, asyncio.Event())
    tasks = [asyncio.create_task(live.run()), asyncio.create_task(informant.run())]
    try:
        yield live
    finally:
        hold.set()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        other_end.close()


async def test_a_commit_that_hangs_silences_the_watchdog_and_its_end_lets_it_speak(manager: socket.socket) -> None:
    hold = asyncio.Event()
    hold.set()
    async with informed(manager.getsockname(), MemoryDisk(), hold) as live:
        await hears(manager)
        await hears(manager)
        hold.clear()
        hanging = asyncio.create_task(live.write([EVENT]))
        await asyncio.sleep(2 * BEAT_SECS)  # what was asked before the commit hung has been answered
        told(manager)
        await asyncio.sleep(6 * BEAT_SECS)
        assert told(manager) == []
        hold.set()
        await hanging
        await hears(manager)


async def test_a_log_that_refuses_events_is_no_hang(manager: socket.socket) -> None:
    disk, hold = MemoryDisk(), asyncio.Event()
    hold.set()
    async with informed(manager.getsockname(), disk, hold) as live:
        disk.full = "the disk is full"
        with pytest.raises(TryAgain):
            await live.write([EVENT])
        await hears(manager)


async def test_a_beat_that_fails_with_its_neighbours_is_an_answer_too(manager: socket.socket) -> None:
    """What is asked at one moment is written together, or not at all."""
    disk, hold = MemoryDisk(), asyncio.Event()
    hold.set()
    live = LiveState(State(), await EventLog.over(MemoryRecorder(disk, hold.wait)), Clock(), lambda _: None)
    disk.full = "the disk is full"
    other_end = ServiceManager(manager.getsockname())
    informant = Informant(other_end, BEAT_SECS)
    informant.running(cast(Any, Begun()), live, asyncio.Event())
    neighbour, beating = asyncio.create_task(live.write([EVENT])), asyncio.create_task(informant.run())
    await asyncio.sleep(0)  # both wait for the commit loop, which begins now
    tasks = [beating, asyncio.create_task(live.run())]
    try:
        with pytest.raises(TryAgain):
            await neighbour
        await hears(manager)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        other_end.close()


async def test_a_manager_that_is_gone_is_no_reason_to_stop(manager: socket.socket) -> None:
    path, hold = manager.getsockname(), asyncio.Event()
    hold.set()
    Path(path).unlink()
    async with informed(path, MemoryDisk(), hold) as live:
        await asyncio.sleep(2 * BEAT_SECS)
        await live.write([EVENT])


async def test_outside_of_systemd_nobody_is_told() -> None:
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
        async with systemd_informed(environ) as informant:
            assert informant is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, LONGEST_BEAT_SECS),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, LONGEST_BEAT_SECS),
        ({"WATCHDOG_USEC": "600000000"}, LONGEST_BEAT_SECS),
        ({"WATCHDOG_USEC": "0"}, LONGEST_BEAT_SECS),
        ({"WATCHDOG_USEC": "soon"}, LONGEST_BEAT_SECS),
    ],
)
def test_the_beat_is_half_of_what_the_unit_allows(environ: dict[str, str], expected: float) -> None:
    assert beat_secs(environ) == expected
