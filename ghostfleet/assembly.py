"""The one place that wires everything: settings to ports, ports to the engine, one task group for all of it.

A start: take the log (alone), fold it, open the endpoints, answer HTTP, check the chain against the log, write down what
starts, run the lanes; keystores are opened meanwhile. A stop: shut the gate, let sends and commits finish, say so in the log,
let the log go.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ghostfleet import __version__
from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.fees import FeeOracle
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport, Transport
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import HOUR_US
from ghostfleet.engine.beginning import begin
from ghostfleet.engine.clock import SystemClock, SystemEntropy
from ghostfleet.engine.deadman import Deadman
from ghostfleet.engine.duties import Duty
from ghostfleet.engine.endpoint_check import check_endpoint
from ghostfleet.engine.endpoints import EndpointNews, endpoint_status
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.keys_at_start import KeysAtStart, prepared_to_register
from ghostfleet.engine.lending import LendingSigner
from ghostfleet.engine.ports import Clock, Entropy
from ghostfleet.engine.recovery import Snapshots, keep_anchor, recover
from ghostfleet.engine.reloading import Reloader, SettingsSource
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.settings_file import SettingsFile
from ghostfleet.engine.signals import obeying_signals
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.engine.store_watch import watch_store
from ghostfleet.engine.supervisor import Supervisor
from ghostfleet.engine.told import Told
from ghostfleet.engine.tuning import endpoint_configs, heads_depth, poll_secs, tuning_of
from ghostfleet.engine.view import LatestView
from ghostfleet.engine.world import World
from ghostfleet.errors import GhostFleetError, StopService, TryAgain
from ghostfleet.http.app import create_app
from ghostfleet.http.server import serving
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.opening import Opening
from ghostfleet.operations.backup_schedule import backups_by_schedule
from ghostfleet.operations.checkpoints import Checkpoints
from ghostfleet.operations.desk import OperationDesk
from ghostfleet.operations.runner import OperationRunner
from ghostfleet.plugins.api import Plugin
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.systemd import Informant, systemd_informed
from ghostfleet.telemetry import Metrics, Telemetry

SNAPSHOT_EVERY_EVENTS = 20_000
"""A restart folds about so many events beyond the snapshot, some 50 ms; more behind a large one (engine/recovery.py)."""
HOUSEKEEPING_SECS = 5.0
STOP_SECS = 6.0
"""A stop waits so long for sends in flight; what has no answer by then the next start asks the chain about."""


@dataclass
class Running:
    """A service that runs: what HTTP, the demo and tests look at. `stop` asks it to end gracefully."""

    service: FleetService
    desk: OperationDesk
    log: EventLog
    chain: Chain
    live: LiveState
    stop: asyncio.Event
    url: str = ""
    """Where HTTP answers, or empty without it."""


@dataclass
class Parts:
    """What one run consists of, between wiring and running."""

    world: World
    live: LiveState
    heads: Heads
    snapshots: Snapshots
    running: Running
    telemetry: Telemetry
    edge: RpcEdge
    reloader: Reloader
    operations: OperationRunner
    deadman: Deadman
    checkpoints: Checkpoints
    supervisor: list[Supervisor] = field(default_factory=list)
    keys: KeysAtStart | None = None
    operations_only: bool = False
    """Nothing is decided: wallets do the errands of operations, and nothing else."""

    @property
    def sign_heads(self) -> bool:
        """Whether checkpoints are written: by a service that has checked the chain against the log, and by nothing else."""
        return self.running.service.begun and not self.operations_only


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


def _tell_of(informant: Informant | None, on_running: Callable[[Running], None] | None, running: Running) -> None:
    """Whoever wants to know of the run is told that there is one."""
    if informant is not None:
        informant.running(running.service, running.live, running.stop)
    if on_running is not None:
        on_running(running)


@dataclass(frozen=True)
class Ports:
    """All that a run touches outside of itself. The simulator brings its own (tests/simulation)."""

    log: EventLog
    transport: Transport
    clock: Clock
    entropy: Entropy
    plugins: Mapping[str, Plugin[Any]]
    keyring: Keyring
    source: SettingsSource | None = None
    """Where a reload reads the settings again."""
    opening: Opening | None = None
    """Keys that are still to be opened."""


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
        news = EndpointNews()
        gate = Gate()
        metrics = Metrics(__version__, wal_bytes=lambda: ports.log.wal_bytes)
        edge = await stack.enter_async_context(_edge(loaded, gate, news, metrics, ports.transport))
        parts = await _wired(loaded, ports, edge, gate, metrics)
        parts.operations_only = operations_only
        if ports.opening is not None:
            await prepared_to_register(ports.opening, parts.live.state)
        if signals:
            stack.enter_context(obeying_signals(parts.running.service, parts.running.stop))
        await _run(loaded, parts, news, on_running)


@asynccontextmanager
async def _opened_log(url: str, archives: Path | None) -> AsyncIterator[EventLog]:
    log = await open_log(url, archives=archives)
    try:
        yield log
    finally:
        await log.close()


def _edge(loaded: Loaded, gate: Gate, news: EndpointNews, metrics: Metrics, transport: Transport) -> RpcEdge:
    return RpcEdge(
        endpoint_configs(loaded),
        transport,
        gate=gate,
        request_timeout_secs=loaded.chain.request_timeout_secs,
        on_change=news.changed,
        on_exchange=metrics.observe_exchange,
    )


async def _wired(loaded: Loaded, ports: Ports, edge: RpcEdge, gate: Gate, metrics: Metrics) -> Parts:
    """Everything but the tasks."""
    log, clock, chain = ports.log, ports.clock, Chain(edge)
    telemetry = Telemetry(metrics)
    state = await recover(log)
    with contextlib.suppress(TryAgain):  # a start needs it only where there is no snapshot
        await keep_anchor(log)
    telemetry.start(state)
    supervisor: list[Supervisor] = []
    in_force = InForce(tuning_of(loaded, ports.plugins))
    told = Told(telemetry=telemetry, gate=gate, edge=edge, state=state, in_force=in_force, supervisors=supervisor)
    live = LiveState(state, log, clock, told.on_event, metrics.observe_commit)
    if state.fleet.paused is not None:
        gate.shut(Reason.PAUSE)
    gate.permit(state.fleet.permitted)
    for endpoint in state.fleet.drained_endpoints:
        edge.drain(endpoint)
    heads = Heads(
        chain,
        poll_secs=poll_secs(loaded),
        depth=heads_depth(loaded),
        on_reorganisation=lambda event: live.write([ev.NewEvent(ev.FLEET_STREAM, event)]),
    )
    lending = LendingSigner(KeyringSigner(ports.keyring), [loaded.treasury.id] if loaded.treasury is not None else [])
    duties: dict[str, Duty] = {}
    world = World(
        live=live,
        chain=chain,
        heads=heads,
        fees=FeeOracle(chain, lambda: in_force.now.fee_rules),
        signer=lending,
        gate=gate,
        clock=clock,
        entropy=ports.entropy,
        in_force=in_force,
        duties=duties,
        dry_run=loaded.run.dry_run,
    )
    reloader = Reloader(
        loaded,
        ports.source,
        world=world,
        edge=edge,
        keyring=ports.keyring,
        nudge=partial(_nudge, supervisor),
        check_endpoint=lambda it: check_endpoint(it, transport=ports.transport, fleet=live.state.fleet),
    )
    stop = asyncio.Event()
    service = FleetService(
        live=live,
        gate=gate,
        heads=heads,
        nudge=partial(_nudge, supervisor),
        endpoints=lambda: endpoint_status(edge),
        in_force=in_force,
        dry_run=loaded.run.dry_run,
        reloader=reloader,
        stop=stop.set,
        keyring=ports.keyring,
    )
    operations = OperationRunner(world, duties, partial(_nudge, supervisor), lending.take_back)
    told.operations.append(operations.changed)
    desk = OperationDesk(world, log, operations, lending)
    running = Running(service=service, desk=desk, log=log, chain=chain, live=live, stop=stop)
    snapshots = Snapshots(log, live, SNAPSHOT_EVERY_EVENTS)
    deadman = Deadman(live, clock, int(loaded.safety.deadman_hours * HOUR_US))
    metrics.deadman_left.set_function(lambda: deadman.left_secs)
    keys = KeysAtStart(ports.opening, live, partial(_nudge, supervisor)) if ports.opening is not None else None
    checkpoints = Checkpoints(world, log)
    return Parts(
        world,
        live,
        heads,
        snapshots,
        running,
        telemetry,
        edge,
        reloader,
        operations,
        deadman,
        checkpoints,
        supervisor,
        keys,
    )


def _nudge(supervisors: Sequence[Supervisor], wallet: str) -> None:
    for supervisor in supervisors:
        supervisor.nudge(wallet)


async def _run(
    loaded: Loaded,
    parts: Parts,
    news: EndpointNews,
    on_running: Callable[[Running], None] | None,
) -> None:
    """The tasks: commits outlive everything that commits, so that a stop can still be written down."""
    committing = asyncio.create_task(parts.live.run(), name="commits")
    try:
        async with _maybe_http(loaded, parts) as url:
            parts.running.url = url
            if on_running is not None:
                on_running(parts.running)
            await _until_stopped(loaded, parts, news, committing)
        await _stop(parts)
    finally:
        committing.cancel()
        await asyncio.wait([committing])
        if not committing.cancelled():
            committing.result()  # a defect is never passed over


async def _until_stopped(
    loaded: Loaded,
    parts: Parts,
    news: EndpointNews,
    committing: "asyncio.Task[None]",
) -> None:
    """Run the fleet until somebody asks it to stop, or until going on would be wrong."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(parts.heads.run(), name="heads"),
                group.create_task(
                    watch_store(parts.live, parts.world.gate, parts.world.clock, parts.running.service.log_recovered),
                    name="store watch",
                ),
                group.create_task(news.write_down(parts.live), name="endpoint events"),
                group.create_task(parts.reloader.run(), name="reloads"),
                group.create_task(_housekeeping(parts), name="housekeeping"),
                group.create_task(
                    backups_by_schedule(parts.live, parts.world.clock, loaded.store.url, loaded.backups), name="backups"
                ),
                group.create_task(_fleet(loaded, parts), name="fleet"),
                *([group.create_task(parts.keys.open(), name="keys")] if parts.keys is not None else []),
                group.create_task(_no_longer_than(committing), name="commits watched"),
            ]
            await parts.running.stop.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECS):
                    await parts.world.gate.close(Reason.STOP, answers_secs=STOP_SECS)
            for task in tasks:
                task.cancel()
    except* StopService as stopping:
        raise _first(stopping) from None


async def _no_longer_than(committing: "asyncio.Task[None]") -> None:
    """A defect among those who are told of events ends the loop that commits, and with it the service: nobody waits for ever."""
    await asyncio.wait([committing])
    committing.result()


async def _fleet(loaded: Loaded, parts: Parts) -> None:
    """Check the chain against the log, write down what starts, run the lanes."""
    world = parts.world
    await begin(loaded, world, parts.running.chain)
    acts = world.duties.__contains__ if parts.operations_only else lambda _wallet: True
    supervisor = Supervisor(world, LatestView(world.chain, parts.heads), acts)
    parts.supervisor.append(supervisor)
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
        async with asyncio.timeout(STOP_SECS):
            signed = await parts.checkpoints.at_a_stop() if parts.sign_heads else ()
            await parts.live.write([*signed, ev.NewEvent(ev.FLEET_STREAM, stopped)])
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
