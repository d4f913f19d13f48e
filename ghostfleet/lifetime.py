"""How does a run begin, go on and end? From taking the log to letting it go, with one task group for all that runs.

A start: take the log (alone), fold it, open the endpoints, answer HTTP, check the chain against the log, write down what
starts, run the lanes; keystores are opened meanwhile. A stop: shut the gate, let sends and commits finish, say so in the log,
let the log go.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ghostfleet import __version__
from ghostfleet.assembly import Parts, Ports, Running, assembled, edge_of
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.engine.beginning import begin
from ghostfleet.engine.clock import SystemClock, SystemEntropy
from ghostfleet.engine.endpoints import EndpointNews
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.keys_at_start import prepared_to_register
from ghostfleet.engine.settings_file import SettingsFile
from ghostfleet.engine.signals import obeying_signals
from ghostfleet.engine.store_watch import watch_store
from ghostfleet.engine.supervisor import Supervisor
from ghostfleet.engine.view import LatestView
from ghostfleet.errors import GhostFleetError, StopService
from ghostfleet.http.app import create_app
from ghostfleet.http.server import serving
from ghostfleet.operations.backup_schedule import backups_by_schedule
from ghostfleet.store.errors import LogHeld
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.systemd import Informant, systemd_informed
from ghostfleet.telemetry import Metrics

HOUSEKEEPING_SECS = 5.0
HELD_LOOKS, HELD_POLL_SECS = 30, 0.1
"""A start waits so often and so long for who writes the log: a command without the service (a pause, the note of a backup) does
for a moment."""
SENDS_SECS = 5.0
"""A stop waits so long for sends in flight; what has no answer by then the next start asks the chain about."""
LAST_WORDS_SECS = 2.0
"""And so long for the log to take the last words. With what HTTP may take (http/server.py) a stop is over in eight seconds."""


async def run_service(
    loaded: Loaded,
    *,
    environ: Mapping[str, str] | None = None,
    signals: bool = False,
    operations_only: bool = False,
    on_running: Callable[[Running], None] | None = None,
) -> None:
    """From taking the log to letting it go. Raises StopService where going on would be wrong, BadInput for keys and plugins."""
    environ = os.environ if environ is None else environ
    source = SettingsFile(loaded.path, environ)
    plugins = source.plugins(loaded)
    async with systemd_informed(environ) as informant:
        opening = source.opening(loaded.wallet_keys())
        async with contextlib.aclosing(opening.keyring) as keyring:
            await opening.begin()
            opening.require_usable()
            async with _opened_log(loaded.store.url, loaded.archive_dir) as log:
                ports = Ports(
                    log, AiohttpTransport(), SystemClock(), SystemEntropy(), plugins, keyring, source, opening
                )
                told = partial(_tell_of, informant, on_running)
                await run_on(ports, loaded, signals=signals, operations_only=operations_only, on_running=told)


async def run_on(
    ports: Ports,
    loaded: Loaded,
    *,
    signals: bool = False,
    operations_only: bool = False,
    on_running: Callable[[Running], None] | None = None,
) -> None:
    """One run over these ports, from folding the log to the last words."""
    async with AsyncExitStack() as stack:
        news, gate = EndpointNews(), Gate()
        metrics = Metrics(__version__, wal_bytes=lambda: ports.log.wal_bytes)
        edge = await stack.enter_async_context(edge_of(loaded, gate, news, metrics, ports.transport))
        parts = await assembled(loaded, ports, edge, news, gate, metrics)
        parts.operations_only = operations_only
        if ports.opening is not None:
            await prepared_to_register(ports.opening, parts.running.live.state)
        if signals:
            stack.enter_context(obeying_signals(parts.running.service, parts.running.stop))
        await _run(loaded, parts, on_running)


def _tell_of(informant: Informant | None, on_running: Callable[[Running], None] | None, running: Running) -> None:
    """Whoever wants to know of the run is told that there is one."""
    if informant is not None:
        informant.running(running.service, running.live, running.stop)
    if on_running is not None:
        on_running(running)


@asynccontextmanager
async def _opened_log(url: str, archives: Path | None) -> AsyncIterator[EventLog]:
    log = await taken_log(url, archives)
    try:
        yield log
    finally:
        await log.close()


async def taken_log(url: str, archives: Path | None) -> EventLog:
    """The log, alone. Raises what opening it raises: LogHeld where another process does not let go of it."""
    for _look in range(HELD_LOOKS):
        with contextlib.suppress(LogHeld):
            return await open_log(url, archives=archives)
        await asyncio.sleep(HELD_POLL_SECS)
    return await open_log(url, archives=archives)


async def _run(loaded: Loaded, parts: Parts, on_running: Callable[[Running], None] | None) -> None:
    """The tasks: commits outlive everything that commits, so that a stop can still be written down."""
    committing = asyncio.create_task(parts.world.live.run(), name="commits")
    try:
        async with _maybe_http(loaded, parts) as url:
            parts.running.url = url
            if on_running is not None:
                on_running(parts.running)
            await _until_stopped(loaded, parts, committing)
        await _stop(parts)
    finally:
        committing.cancel()
        await asyncio.wait([committing])
        if not committing.cancelled():
            committing.result()  # a defect is never passed over


async def _until_stopped(loaded: Loaded, parts: Parts, committing: "asyncio.Task[None]") -> None:
    """Run the fleet until somebody asks it to stop, or until going on would be wrong."""
    works = _watches(loaded, parts) | {"fleet": _fleet(loaded, parts), "commits watched": _no_longer_than(committing)}
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name=name) for name, work in works.items()]
            await parts.running.stop.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SENDS_SECS):
                    await parts.world.gate.close(Reason.STOP, answers_secs=SENDS_SECS)
            for task in tasks:
                task.cancel()
    except* StopService as stopping:
        raise _first(stopping) from None


def _watches(loaded: Loaded, parts: Parts) -> dict[str, Coroutine[Any, Any, None]]:
    """What goes on beside the lanes from the first moment on, by its name."""
    world, service = parts.world, parts.running.service
    watches = {
        "heads": world.heads.run(),
        "store watch": watch_store(world.live, world.gate, world.clock, service.log_recovered),
        "endpoint events": parts.news.write_down(world.live),
        "reloads": parts.reloader.run(),
        "housekeeping": _housekeeping(parts),
        "backups": backups_by_schedule(world.live, world.clock, loaded.store.url, loaded.backups),
    }
    return watches if parts.keys is None else watches | {"keys": parts.keys.open()}


async def _no_longer_than(committing: "asyncio.Task[None]") -> None:
    """A defect among those who are told of events ends the loop that commits, and with it the service: nobody waits for ever."""
    await asyncio.wait([committing])
    committing.result()


async def _fleet(loaded: Loaded, parts: Parts) -> None:
    """Check the chain against the log, write down what starts, run the lanes."""
    world = parts.world
    await begin(loaded, world, parts.running.chain)
    acts = world.duties.__contains__ if parts.operations_only else lambda _wallet: True
    supervisor = Supervisor(world, LatestView(world.chain, world.heads), acts)
    parts.supervisors.append(supervisor)
    await parts.deadman.look()
    parts.running.service.begun = True
    async with asyncio.TaskGroup() as group:
        group.create_task(parts.operations.run(), name="operations")
        group.create_task(supervisor.run(), name="lanes")
        group.create_task(parts.deadman.watch(), name="deadman")
        if parts.keys is not None:
            group.create_task(parts.keys.note_unusable(), name="unusable keys")


async def _housekeeping(parts: Parts) -> None:
    async with asyncio.TaskGroup() as group:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECS)
            await parts.snapshots.if_due()
            if parts.sign_heads and parts.checkpoints.due:
                group.create_task(parts.checkpoints.write(), name="checkpoint")


async def _stop(parts: Parts) -> None:
    """The last words. A log that does not take them is no reason not to stop."""
    with contextlib.suppress(GhostFleetError, TimeoutError):
        stopped = ev.ServiceStopped(reason=parts.running.service.stop_reason)
        async with asyncio.timeout(LAST_WORDS_SECS):
            signed = await parts.checkpoints.at_a_stop() if parts.sign_heads else ()
            await parts.world.live.write([*signed, ev.NewEvent(ev.FLEET_STREAM, stopped)])
    await parts.snapshots.save()


@asynccontextmanager
async def _maybe_http(loaded: Loaded, parts: Parts) -> AsyncIterator[str]:
    admin = loaded.admin
    if not admin.port and admin.socket is None:
        yield ""
        return
    running, metrics = parts.running, parts.telemetry.metrics
    clock, signer = parts.world.clock, parts.world.signer
    app = create_app(running.service, running.log, admin, clock, metrics, desk=running.desk, signer=signer)
    host = admin.host if admin.port else None
    async with serving(
        app, host, admin.port, tls=admin.tls, socket_path=admin.socket, socket_mode=admin.socket_mode
    ) as server:
        yield server.url


def _first(group: BaseExceptionGroup[StopService]) -> BaseException:
    """The error that stopped it, out of however many groups it came in."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
