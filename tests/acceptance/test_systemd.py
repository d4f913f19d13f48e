"""What the real service tells systemd over a real socket: ready, alive, paused, stopping; and nothing while it hangs."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ghostfleet.domain import events as ev
from tests.acceptance.service_process import GHOST_FLEET, Fleet, ServiceProcess, until

WATCHDOG_SECS = 1.0
HANG_SECS = 2.0
pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [1], indirect=True)]


class Systemd:
    """The socket of a service manager, and what it was told, datagram by datagram."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    async def listen(self) -> None:
        while True:
            datagram = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
            self.told.append(dict(line.split("=", 1) for line in datagram.decode().splitlines()))

    def heard(self, name: str, text: str = "", *, after: int = 0) -> int:
        """How many datagrams since number `after` have this name, with this text in its value."""
        return sum(name in words and text in words[name] for words in self.told[after:])

    async def hears(self, name: str, text: str = "", *, times: int = 1, after: int = 0) -> None:
        async def heard() -> bool:
            return self.heard(name, text, after=after) >= times

        await until(heard, f"{name}={text} {times} times, told {self.told[-3:]}")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
async def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@ghost-fleet-test-{os.getpid()}"
    manager = Systemd(address)
    listening = asyncio.create_task(manager.listen())
    yield manager
    listening.cancel()
    await asyncio.wait([listening])
    manager.close()


@contextlib.asynccontextmanager
async def under_systemd(fleet: Fleet, systemd: Systemd, **settings: object) -> AsyncIterator[ServiceProcess]:
    """The service as a unit of Type=notify runs it."""
    watchdog = f"WATCHDOG_USEC={round(WATCHDOG_SECS * 1e6)}"
    program = ("/usr/bin/env", f"NOTIFY_SOCKET={systemd.address}", watchdog, str(GHOST_FLEET))
    service = await fleet.start(
        program=program, settings={name.replace("__", "."): value for name, value in settings.items()}
    )
    try:
        yield service
    finally:
        with contextlib.suppress(ProcessLookupError):
            service.process.send_signal(signal.SIGCONT)
        await service.kill()


async def test_ready_when_the_lanes_run_alive_while_it_works_and_stopping_before_it_ends(
    fleet: Fleet, systemd: Systemd
) -> None:
    async with under_systemd(fleet, systemd) as service:
        await systemd.hears("READY", "1")
        assert await fleet.recorded(ev.ServiceStarted) != []
        await systemd.hears("WATCHDOG", "1", times=4)
        await systemd.hears("STATUS", "running 6 wallets, log at ")
        await service.post("/admin/pause", reason="a look\nat\tthe pools")
        await systemd.hears("STATUS", "paused by local: a look at the pools")
        assert systemd.heard("STOPPING") == 0
        assert await service.terminate() == 0
    await systemd.hears("STOPPING", "1")
    assert systemd.heard("READY") == 1
    ready = next(n for n, words in enumerate(systemd.told) if "READY" in words)
    assert systemd.heard("WATCHDOG") == systemd.heard("WATCHDOG", after=ready), "not before it is ready"
    assert systemd.heard("EXTEND_TIMEOUT_USEC", after=ready) == 0


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
async def test_a_start_that_waits_for_its_chain_is_given_time_and_is_not_ready(fleet: Fleet, systemd: Systemd) -> None:
    async with under_systemd(fleet, systemd, chain__rpc_url="http://127.0.0.1:9") as service:
        await systemd.hears("STATUS", "waiting for the chain", times=4)
        assert systemd.heard("EXTEND_TIMEOUT_USEC", "60000000") >= 4
        assert systemd.heard("READY") == systemd.heard("WATCHDOG") == 0
        assert await service.terminate() == 0


@pytest.mark.parametrize("systemd", ["path"], indirect=True)
async def test_a_process_that_hangs_is_silent_and_one_that_goes_on_is_not(fleet: Fleet, systemd: Systemd) -> None:
    async with under_systemd(fleet, systemd) as service:
        await systemd.hears("WATCHDOG", times=2)
        service.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)  # what was under way has arrived
        before = len(systemd.told)
        await asyncio.sleep(HANG_SECS)
        assert len(systemd.told) == before
        service.process.send_signal(signal.SIGCONT)
        await systemd.hears("WATCHDOG", times=2, after=before)
        assert await service.terminate() == 0
