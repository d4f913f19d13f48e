"""The one place that wires everything: settings to ports, ports to the engine, one task group for all of it.

A start: take the log (alone), fold it, open the endpoints, answer HTTP, check the chain against the log, write down what
starts, run the lanes. A stop: shut the gate, let sends and commits finish, say so in the log, let the log go.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ghostfleet import __version__
from ghostfleet.chain.edge import RpcEdge, RpcRefused
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.fees import FeeOracle
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport, Transport
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.ports import Clock, EndpointStatus, Entropy
from ghostfleet.engine.recovery import Snapshots, recover
from ghostfleet.engine.registration import Start, WrongChain, start_events
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.engine.store_watch import watch_store
from ghostfleet.engine.supervisor import Supervisor
from ghostfleet.engine.tuning import chain_rules_of, configured_wallets, fee_rules_of, pace_of, rules_of
from ghostfleet.engine.view import LatestView
from ghostfleet.engine.world import World
from ghostfleet.errors import GhostFleetError, StopService, TryAgain
from ghostfleet.http.app import create_app
from ghostfleet.http.server import serving
from ghostfleet.keys.keyring import Keyring, load_keyring
from ghostfleet.plugins.api import Plugin
from ghostfleet.plugins.loading import load_plugins
from ghostfleet.store.log import EventLog, open_log
from ghostfleet.telemetry import Metrics, Telemetry

SNAPSHOT_EVERY_EVENTS = 20_000
"""A restart folds at most this many events beyond the snapshot: some 50 ms."""
HOUSEKEEPING_SECS = 5.0
MAX_ENDPOINT_NEWS = 1000
"""Changes of endpoints that may wait for the log; more than that say nothing new."""
STOP_SECS = 6.0
"""A stop waits so long for sends in flight; what has no answer by then the next start asks the chain about."""
CHAIN_RETRY_SECS = 2.0


class SystemClock:
    """The machine's wall clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class SystemEntropy:
    """Seeds from the operating system, short enough for any JSON reader."""

    def seed(self) -> int:
        return random.SystemRandom().getrandbits(48)


@dataclass
class Running:
    """A service that runs: what HTTP, the demo and tests look at. `stop` asks it to end gracefully."""

    service: FleetService
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
    supervisor: list[Supervisor] = field(default_factory=list)


async def run_service(
    loaded: Loaded,
    *,
    environ: Mapping[str, str] | None = None,
    signals: bool = False,
    on_running: Callable[[Running], None] | None = None,
) -> None:
    """From taking the log to letting it go. Raises StopService where going on would be wrong, BadInput for keys and plugins."""
    tables = {it.name: it.table for it in loaded.plugins}
    plugins = load_plugins(tables, list(tables), loaded.chain.chain_id)
    keyring = await load_keyring(loaded.wallet_keys(), os.environ if environ is None else environ)
    async with _opened_log(loaded.store.url) as log:
        ports = Ports(log, AiohttpTransport(), SystemClock(), SystemEntropy(), plugins, keyring)
        await run_on(ports, loaded, signals=signals, on_running=on_running)


@dataclass(frozen=True)
class Ports:
    """All that a run touches outside of itself. The simulator brings its own (tests/simulation)."""

    log: EventLog
    transport: Transport
    clock: Clock
    entropy: Entropy
    plugins: Mapping[str, Plugin[Any]]
    keyring: Keyring


async def run_on(
    ports: Ports,
    loaded: Loaded,
    *,
    signals: bool = False,
    on_running: Callable[[Running], None] | None = None,
) -> None:
    """One run over these ports, from folding the log to the last words."""
    async with AsyncExitStack() as stack:
        news: asyncio.Queue[ev.Event] = asyncio.Queue(MAX_ENDPOINT_NEWS)
        gate = Gate()
        edge = await stack.enter_async_context(_edge(loaded, gate, news, ports.transport))
        parts = await _wired(loaded, ports, edge, gate)
        if signals:
            stack.enter_context(_stopped_by_signals(parts.running.stop))
        await _run(loaded, parts, ports.plugins, news, on_running)


@asynccontextmanager
async def _opened_log(url: str) -> AsyncIterator[EventLog]:
    log = await open_log(url)
    try:
        yield log
    finally:
        await log.close()


def _edge(loaded: Loaded, gate: Gate, news: "asyncio.Queue[ev.Event]", transport: Transport) -> RpcEdge:
    chain = loaded.chain

    def changed(endpoint: str, tripped: bool, reason: str) -> None:
        event = (
            ev.EndpointTripped(endpoint=endpoint, reason=reason) if tripped else ev.EndpointRecovered(endpoint=endpoint)
        )
        with contextlib.suppress(asyncio.QueueFull):
            news.put_nowait(event)

    return RpcEdge(
        [
            EndpointConfig(name=it.name, url=it.url, max_requests_per_second=chain.max_requests_per_second)
            for it in chain.endpoints
        ],
        transport,
        gate=gate,
        request_timeout_secs=chain.request_timeout_secs,
        on_change=changed,
    )


async def _wired(loaded: Loaded, ports: Ports, edge: RpcEdge, gate: Gate) -> Parts:
    """Everything but the tasks."""
    log, clock, chain = ports.log, ports.clock, Chain(edge)
    metrics = Metrics(__version__, wal_bytes=lambda: log.wal_bytes)
    telemetry = Telemetry(metrics)
    state = await recover(log)
    telemetry.start(state)
    supervisor: list[Supervisor] = []
    live = LiveState(state, log, clock, partial(_on_event, telemetry, gate), metrics.observe_commit)
    if state.fleet.paused is not None:
        gate.shut(Reason.PAUSE)
    heads = Heads(
        chain,
        poll_secs=min(loaded.tick_secs, 1.0),
        depth=2 * loaded.chain.finality_blocks,
        on_reorganisation=lambda event: live.write([ev.NewEvent(ev.FLEET_STREAM, event)]),
    )
    world = World(
        live=live,
        chain=chain,
        heads=heads,
        fees=FeeOracle(chain, fee_rules_of(loaded)),
        signer=KeyringSigner(ports.keyring),
        gate=gate,
        clock=clock,
        entropy=ports.entropy,
        plugins=ports.plugins,
        profiles=loaded.profiles,
        rules=rules_of(loaded),
        chain_rules=chain_rules_of(loaded),
        pace=pace_of(loaded),
        config_digest=loaded.digest,
        dry_run=loaded.run.dry_run,
    )
    service = FleetService(
        live=live,
        gate=gate,
        heads=heads,
        nudge=partial(_nudge, supervisor),
        endpoints=lambda: _endpoint_status(edge),
        dry_run=loaded.run.dry_run,
    )
    running = Running(service=service, log=log, chain=chain, live=live, stop=asyncio.Event())
    snapshots = Snapshots(log, live, SNAPSHOT_EVERY_EVENTS)
    return Parts(world, live, heads, snapshots, running, telemetry, edge, supervisor)


def _nudge(supervisors: Sequence[Supervisor], wallet: str) -> None:
    for supervisor in supervisors:
        supervisor.nudge(wallet)


def _on_event(telemetry: Telemetry, gate: Gate, recorded: ev.Recorded) -> None:
    """Called for each event once it is durable: the gate follows the pause, metrics and log lines follow everything."""
    event = recorded.event
    if isinstance(event, ev.FleetPaused):
        gate.shut(Reason.PAUSE)
    elif isinstance(event, ev.FleetResumed):
        gate.open(Reason.PAUSE)
    telemetry.on_event(recorded)


async def _run(
    loaded: Loaded,
    parts: Parts,
    plugins: Mapping[str, Plugin[Any]],
    news: "asyncio.Queue[ev.Event]",
    on_running: Callable[[Running], None] | None,
) -> None:
    """The tasks: commits outlive everything that commits, so that a stop can still be written down."""
    committing = asyncio.create_task(parts.live.run(), name="commits")
    try:
        async with _maybe_http(loaded, parts) as url:
            parts.running.url = url
            if on_running is not None:
                on_running(parts.running)
            await _until_stopped(loaded, parts, plugins, news)
        await _stop(parts)
    finally:
        committing.cancel()
        await asyncio.wait([committing])


async def _until_stopped(
    loaded: Loaded, parts: Parts, plugins: Mapping[str, Plugin[Any]], news: "asyncio.Queue[ev.Event]"
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
                group.create_task(_endpoint_events(parts.live, news), name="endpoint events"),
                group.create_task(_housekeeping(parts), name="housekeeping"),
                group.create_task(_fleet(loaded, parts, plugins), name="fleet"),
            ]
            await parts.running.stop.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECS):
                    await parts.world.gate.close(Reason.STOP)
            for task in tasks:
                task.cancel()
    except* StopService as stopping:
        raise _first(stopping) from None


async def _fleet(loaded: Loaded, parts: Parts, plugins: Mapping[str, Plugin[Any]]) -> None:
    """Check the chain against the log, write down what starts, run the lanes."""
    genesis = await _checked_chain(loaded, parts.running.chain)
    start = Start(
        release=__version__,
        config_digest=loaded.digest,
        settings=loaded.redacted,
        chain_id=loaded.chain.chain_id,
        genesis_hash=genesis,
        wallets=configured_wallets(loaded),
        paused_by_config=loaded.safety.global_pause,
        dry_run=loaded.run.dry_run,
    )
    decide = partial(
        start_events,
        start=start,
        known=list(parts.live.state.wallets),
        profiles=loaded.profiles,
        random=parts.world.random(parts.world.entropy.seed()),
    )
    while True:
        try:
            await parts.live.commit(decide)
            break
        except TryAgain:
            await asyncio.sleep(CHAIN_RETRY_SECS)
    supervisor = Supervisor(parts.world, LatestView(parts.world.chain, parts.heads))
    parts.supervisor.append(supervisor)
    parts.running.service.begun = True
    await supervisor.run()


async def _checked_chain(loaded: Loaded, chain: Chain) -> Hash:
    """The genesis hash, once an endpoint answers. Raises WrongChain when it is not the chain of the settings."""
    while True:
        try:
            chain_id = await chain.chain_id()
            if chain_id != loaded.chain.chain_id:
                raise WrongChain(
                    f"the endpoint serves chain {chain_id}, [chain] chain_id is {loaded.chain.chain_id}: correct one of them"
                )
            return await chain.genesis_hash()
        except (TryAgain, RpcRefused):
            await asyncio.sleep(CHAIN_RETRY_SECS)


async def _endpoint_events(live: LiveState, news: "asyncio.Queue[ev.Event]") -> None:
    """Endpoints trip and recover in the edge; here it is written down."""
    while True:
        event = await news.get()
        with contextlib.suppress(TryAgain):
            await live.write([ev.NewEvent(ev.FLEET_STREAM, event)])


async def _housekeeping(parts: Parts) -> None:
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECS)
        await parts.snapshots.if_due()


async def _stop(parts: Parts) -> None:
    """The last words. A log that does not take them is no reason not to stop."""
    with contextlib.suppress(GhostFleetError):
        stopped = ev.ServiceStopped(reason="asked to stop")
        await parts.live.write([ev.NewEvent(ev.FLEET_STREAM, stopped)])
    await parts.snapshots.save()


@asynccontextmanager
async def _maybe_http(loaded: Loaded, parts: Parts) -> AsyncIterator[str]:
    if not loaded.admin.port:
        yield ""
        return
    running, metrics = parts.running, parts.telemetry.metrics
    app = create_app(running.service, running.log, loaded.admin, parts.world.clock, metrics)
    async with serving(app, loaded.admin.host, loaded.admin.port) as server:
        yield server.url


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask for a graceful stop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _first(group: BaseExceptionGroup[StopService]) -> BaseException:
    """The error that stopped it, out of however many groups it came in."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _endpoint_status(edge: RpcEdge) -> list[EndpointStatus]:
    return [
        EndpointStatus(name=it.name, healthy=it.healthy, reason=it.reason, requests=it.requests, faults=it.faults)
        for it in edge.status()
    ]
