"""Who hears of an event once it is durable, and what follows at once? The gate, the edge, the lanes; metrics and log lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.engine.gate import Gate, Reason
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.supervisor import Supervisor
from ghostfleet.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Told:
    """Those who are told, in the order of the log. `supervisors` holds one once the lanes run."""

    telemetry: Telemetry
    gate: Gate
    edge: RpcEdge
    state: State
    in_force: InForce
    supervisors: Sequence[Supervisor]
    operations: list[Callable[[], None]] = field(default_factory=list)
    """Woken by every event of an operation."""

    def on_event(self, recorded: ev.Recorded) -> None:
        """Nobody waits here: what takes time is started, not done."""
        event = recorded.event
        if isinstance(event, ev.FleetPaused):
            self.gate.shut(Reason.PAUSE)
        elif isinstance(event, ev.FleetResumed):
            self.gate.open(Reason.PAUSE)
        elif isinstance(event, ev.OPERATION_EVENTS):
            self.gate.permit(self.state.fleet.permitted)
            for changed in self.operations:
                changed()
        elif isinstance(event, ev.EndpointDrained | ev.EndpointRestored):
            self.edge.drain(event.endpoint, drained=isinstance(event, ev.EndpointDrained))
        elif isinstance(event, ev.ConfigApplied):
            self.in_force.recorded(event.digest)
        self._wake(recorded)
        self.telemetry.on_event(recorded)

    def _wake(self, recorded: ev.Recorded) -> None:
        """The lanes of those whom it concerns: a new wallet gets its lane, one that retires looks if there is anything left."""
        for supervisor in self.supervisors:
            if isinstance(recorded.event, ev.FleetThrottled | ev.ConfigApplied):
                supervisor.nudge_all()
            elif isinstance(recorded.event, ev.WalletRegistered | ev.WalletRetired):
                supervisor.nudge(recorded.wallet or "")
