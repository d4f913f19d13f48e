"""The one place that wires everything: settings and ports to the engine, operations and what HTTP asks. lifetime.py runs it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.fees import FeeOracle
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import Transport
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.fleet import Fleet
from ghostfleet.domain.state import State
from ghostfleet.domain.values import HOUR_US
from ghostfleet.engine.deadman import Deadman
from ghostfleet.engine.duties import Duty
from ghostfleet.engine.endpoint_check import check_endpoint
from ghostfleet.engine.endpoints import EndpointNews, endpoint_status
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.keys_at_start import KeysAtStart
from ghostfleet.engine.lending import LendingSigner
from ghostfleet.engine.ports import Clock, Entropy
from ghostfleet.engine.recovery import Snapshots, keep_anchor, recover
from ghostfleet.engine.reloading import Reloader, SettingsSource
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.engine.supervisor import Supervisor
from ghostfleet.engine.told import Told
from ghostfleet.engine.tuning import endpoint_configs, heads_depth, poll_secs, tuning_of
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.opening import Opening
from ghostfleet.operations.checkpoints import Checkpoints
from ghostfleet.operations.desk import OperationDesk
from ghostfleet.operations.runner import OperationRunner
from ghostfleet.plugins.api import Plugin
from ghostfleet.store.log import EventLog
from ghostfleet.telemetry import Metrics, Telemetry

SNAPSHOT_EVERY_EVENTS = 20_000
"""A restart folds about so many events beyond the snapshot, some 50 ms; more behind a large one (engine/recovery.py)."""


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


@dataclass(kw_only=True)
class Parts:
    """What one run consists of, between wiring and running."""

    world: World
    news: EndpointNews
    snapshots: Snapshots
    running: Running
    telemetry: Telemetry
    reloader: Reloader
    operations: OperationRunner
    deadman: Deadman
    checkpoints: Checkpoints
    supervisors: list[Supervisor]
    """One, once the lanes run."""
    keys: KeysAtStart | None = None
    operations_only: bool = False
    """Nothing is decided: wallets do the errands of operations, and nothing else."""

    @property
    def sign_heads(self) -> bool:
        """Whether checkpoints are written: by a service that has checked the chain against the log, and by nothing else."""
        return self.running.service.begun and not self.operations_only


def edge_of(loaded: Loaded, gate: Gate, news: EndpointNews, metrics: Metrics, transport: Transport) -> RpcEdge:
    """The endpoints of the settings, behind the gate."""
    return RpcEdge(
        endpoint_configs(loaded),
        transport,
        gate=gate,
        request_timeout_secs=loaded.chain.request_timeout_secs,
        on_change=news.changed,
        on_exchange=metrics.observe_exchange,
    )


async def assembled(
    loaded: Loaded, ports: Ports, edge: RpcEdge, news: EndpointNews, gate: Gate, metrics: Metrics
) -> Parts:
    """Everything but the tasks, around what the log tells."""
    telemetry, supervisors = Telemetry(metrics), list[Supervisor]()
    state = await _recovered(ports.log)
    telemetry.start(state)
    in_force = InForce(tuning_of(loaded, ports.plugins))
    told = Told(telemetry=telemetry, gate=gate, edge=edge, state=state, in_force=in_force, supervisors=supervisors)
    live = LiveState(state, ports.log, ports.clock, told.on_event, metrics.observe_commit)
    _as_recorded(state.fleet, gate, edge)

    nudge = partial(_nudge, supervisors)
    lending = LendingSigner(KeyringSigner(ports.keyring), [loaded.treasury.id] if loaded.treasury is not None else [])
    duties: dict[str, Duty] = {}
    chain = Chain(edge)
    world = _world(loaded, ports, live, chain, lending, gate, in_force, duties)
    operations = OperationRunner(world, duties, nudge, lending.take_back)
    told.operations.append(operations.changed)

    reloader = _reloader(loaded, ports, world, edge, nudge)
    stop = asyncio.Event()
    service = FleetService(
        live=live,
        gate=gate,
        heads=world.heads,
        nudge=nudge,
        endpoints=lambda: endpoint_status(edge),
        in_force=in_force,
        dry_run=loaded.run.dry_run,
        reloader=reloader,
        stop=stop.set,
        keyring=ports.keyring,
    )
    desk = OperationDesk(world, ports.log, operations, lending)
    deadman = Deadman(live, ports.clock, int(loaded.safety.deadman_hours * HOUR_US))
    metrics.deadman_left.set_function(lambda: deadman.left_secs)
    return Parts(
        world=world,
        news=news,
        snapshots=Snapshots(ports.log, live, SNAPSHOT_EVERY_EVENTS),
        running=Running(service=service, desk=desk, log=ports.log, chain=chain, live=live, stop=stop),
        telemetry=telemetry,
        reloader=reloader,
        operations=operations,
        deadman=deadman,
        checkpoints=Checkpoints(world, ports.log),
        supervisors=supervisors,
        keys=KeysAtStart(ports.opening, live, nudge) if ports.opening is not None else None,
    )


async def _recovered(log: EventLog) -> State:
    """What the log tells, folded."""
    state = await recover(log)
    with contextlib.suppress(TryAgain):  # a start needs it only where there is no snapshot
        await keep_anchor(log)
    return state


def _as_recorded(fleet: Fleet, gate: Gate, edge: RpcEdge) -> None:
    """Gate and endpoints as the log left them, before anything can be sent."""
    if fleet.paused is not None:
        gate.shut(Reason.PAUSE)
    gate.permit(fleet.permitted)
    for endpoint in fleet.drained_endpoints:
        edge.drain(endpoint)


def _world(
    loaded: Loaded,
    ports: Ports,
    live: LiveState,
    chain: Chain,
    lending: LendingSigner,
    gate: Gate,
    in_force: InForce,
    duties: dict[str, Duty],
) -> World:
    """What lanes have at hand."""
    heads = Heads(
        chain,
        poll_secs=poll_secs(loaded),
        depth=heads_depth(loaded),
        on_reorganisation=lambda event: live.write([ev.NewEvent(ev.FLEET_STREAM, event)]),
    )
    return World(
        live=live,
        chain=chain,
        heads=heads,
        fees=FeeOracle(chain, lambda: in_force.now.fee_rules),
        signer=lending,
        gate=gate,
        clock=ports.clock,
        entropy=ports.entropy,
        in_force=in_force,
        duties=duties,
        dry_run=loaded.run.dry_run,
    )


def _reloader(loaded: Loaded, ports: Ports, world: World, edge: RpcEdge, nudge: Callable[[str], None]) -> Reloader:
    return Reloader(
        loaded,
        ports.source,
        world=world,
        edge=edge,
        keyring=ports.keyring,
        nudge=nudge,
        check_endpoint=lambda it: check_endpoint(it, transport=ports.transport, fleet=world.state.fleet),
    )


def _nudge(supervisors: Sequence[Supervisor], wallet: str) -> None:
    for supervisor in supervisors:
        supervisor.nudge(wallet)
