"""What does systemd have to know? That the service is ready, that it stops, and that it still makes progress.

A unit of Type=notify is told over the datagram socket that $NOTIFY_SOCKET names, in lines of NAME=value (sd_notify(3)); elsewhere
nothing is told. The watchdog hears from us only while the event loop turns and the commit loop takes what it is given: a service
that hangs is killed and started again, which is always safe. One whose log or chain is in trouble does not hang, and lives on.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping

from ghostfleet.engine.service import FleetService
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import GhostFleetError

SOCKET_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE, WATCHDOG_PID_VARIABLE = "WATCHDOG_USEC", "WATCHDOG_PID"
LONGEST_BEAT_SECS = 10.0
"""Between two words to systemd, also where it sets no watchdog: what `systemctl status` shows is never older."""
BEGINNING_BEAT_SECS = 0.5
"""Between two looks whether the lanes run."""
PATIENCE_SECS = 60.0
"""A start may take so long after each word: waiting for a chain is no fault, hanging is."""
MAX_STATUS_CHARS = 200


class ServiceManager:
    """The other end of the socket. That it does not listen is no reason to stop a fleet."""

    def __init__(self, address: str) -> None:
        self._address = os.fsencode("\0" + address[1:] if address.startswith("@") else address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def tell(self, **words: object) -> None:
        """One datagram. Lost where systemd is gone or does not keep up."""
        text = "\n".join(f"{name}={value}" for name, value in words.items())
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(errors="replace"), self._address)

    def close(self) -> None:
        self._socket.close()


class Informant:
    """Keeps systemd informed about one run of the service, from before its keys are opened to its end."""

    def __init__(self, manager: ServiceManager, beat_secs: float) -> None:
        self._manager = manager
        self._beat_secs = beat_secs
        self._service: FleetService | None = None
        self._live: LiveState | None = None
        self._stop = asyncio.Event()

    def running(self, service: FleetService, live: LiveState, stop: asyncio.Event) -> None:
        """From here on there is a commit loop that has to make progress. `stop` is set when the service is asked to end."""
        self._service, self._live, self._stop = service, live, stop

    async def run(self) -> None:
        """Until cancelled."""
        ready = stopping = False
        while True:
            if await self._makes_progress():
                begun = self._service is not None and self._service.begun
                if begun and not ready:
                    self._manager.tell(READY=1)
                ready = ready or begun
                alive = {"WATCHDOG": 1} if ready else {"EXTEND_TIMEOUT_USEC": round(PATIENCE_SECS * 1e6)}
                self._manager.tell(**alive, STATUS=self._status())
            if self._stop.is_set() and not stopping:
                stopping = True
                self._manager.tell(STOPPING=1, STATUS="stopping: what is being sent and recorded is finished first")
            await self._pause(self._beat_secs if ready else BEGINNING_BEAT_SECS, stopping)

    async def _makes_progress(self) -> bool:
        """A commit of nothing goes through the loop as every other does, behind those that wait. One that fails with what it was
        decided on, because the log takes nothing, has been answered too: that is no hang."""
        if self._live is None:
            return True
        try:
            async with asyncio.timeout(self._beat_secs):
                await self._live.write([])
        except TimeoutError:
            return False
        except GhostFleetError:
            return True
        return True

    def _status(self) -> str:
        service = self._service
        if service is None:
            return "opening keys and log"
        log, paused = service.log_check(), service.state.fleet.paused
        if not log.ok:
            text = f"nothing is sent: {log.reason}"
        elif not service.begun:
            text = "waiting for the chain"
        elif paused is not None:
            text = f"paused by {paused.actor}: {paused.reason}"
        else:
            text = f"running {len(service.state.wallets)} wallets, log at {service.state.position}"
            if missing := service.keys_check().reason:
                text += f"; {missing}"
        return " ".join(text.split())[:MAX_STATUS_CHARS]

    async def _pause(self, secs: float, stopping: bool) -> None:
        if stopping:
            return await asyncio.sleep(secs)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), secs)
        return None


@contextlib.asynccontextmanager
async def systemd_informed(environ: Mapping[str, str]) -> AsyncIterator[Informant | None]:
    """Tells systemd what it has to know while the block runs. None where there is nobody to tell."""
    address = environ.get(SOCKET_VARIABLE, "")
    if not address.startswith(("/", "@")):
        yield None
        return
    manager = ServiceManager(address)
    informant = Informant(manager, beat_secs(environ))
    telling = asyncio.create_task(informant.run(), name="systemd")
    try:
        yield informant
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        manager.close()


def beat_secs(environ: Mapping[str, str]) -> float:
    """Half of what the unit's WatchdogSec allows, as sd_watchdog_enabled(3) advises."""
    usec, pid = environ.get(WATCHDOG_VARIABLE, ""), environ.get(WATCHDOG_PID_VARIABLE, "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in ("", str(os.getpid())):
        return LONGEST_BEAT_SECS
    return min(int(usec) / 1e6 / 2, LONGEST_BEAT_SECS)
