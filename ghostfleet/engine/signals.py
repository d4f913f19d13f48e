"""What do signals ask of the service? SIGTERM and Ctrl-C: a graceful stop. SIGHUP: to read its settings again."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Iterator

from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.service import FleetService
from ghostfleet.errors import GhostFleetError
from ghostfleet.telemetry.logs import LOGGER

SIGNAL_ACTOR = "signal"
STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def obeying_signals(service: FleetService, stop: asyncio.Event) -> Iterator[None]:
    """While the block runs."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(service), name="reload by signal")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in STOPPING:
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (*STOPPING, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for task in reloads:
            task.cancel()


async def _reload(service: FleetService) -> None:
    """Nobody waits for the answer of a signal: a refusal goes into the log and the log lines, with everything that is wrong."""
    command = AdminCommand(
        command="reload", actor=SIGNAL_ACTOR, remote="", request_id=secrets.token_hex(8), reason="SIGHUP"
    )
    try:
        await service.reload(command)
    except GhostFleetError as problem:
        problems = problem.problems if isinstance(problem, ConfigInvalid) else (problem,)
        for found in problems:
            logging.getLogger(LOGGER).error("the settings are not reloaded: %s", found)
        with contextlib.suppress(GhostFleetError):
            await service.refused(command, str(problem))
