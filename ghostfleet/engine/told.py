"""Who hears of an event once it is durable, and what follows at once? The gate, the edge, the lanes; metrics and log lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        follow = FOLLOWS.get(type(recorded.event))  # nothing follows from nearly all of them
        if follow is not None:
            follow(self, recorded.event, recorded)
        self.telemetry.on_event(recorded)

    def _paused(self, event: ev.FleetPaused, recorded: ev.Recorded) -> None:
        self.gate.shut(Reason.PAUSE)

    def _resumed(self, event: ev.FleetResumed, recorded: ev.Recorded) -> None:
        self.gate.open(Reason.PAUSE)

    def _operation(self, event: ev.Event, recorded: ev.Recorded) -> None:
        self.gate.permit(self.state.fleet.permitted)
        for changed in self.operations:
            changed()

    def _drained(self, event: ev.EndpointDrained, recorded: ev.Recorded) -> None:
        self.edge.drain(event.endpoint, drained=True)

    def _restored(self, event: ev.EndpointRestored, recorded: ev.Recorded) -> None:
        self.edge.drain(event.endpoint, drained=False)

    def _configured(self, event: ev.ConfigApplied, recorded: ev.Recorded) -> None:
        self.in_force.recorded(event.digest)
        self._wake_all(event, recorded)

    def _wake_all(self, event: ev.Event, recorded: ev.Recorded) -> None:
        for supervisor in self.supervisors:
            supervisor.nudge_all()

    def _wake(self, event: ev.Event, recorded: ev.Recorded) -> None:
        """A new wallet gets its lane, one that retires looks if there is anything left."""
        for supervisor in self.supervisors:
            supervisor.nudge(recorded.wallet or "")


FOLLOWS: dict[type[ev.Event], Callable[[Told, Any, ev.Recorded], None]] = {
    ev.FleetPaused: Told._paused,
    ev.FleetResumed: Told._resumed,
    **dict.fromkeys(ev.OPERATION_EVENTS, Told._operation),
    ev.EndpointDrained: Told._drained,
    ev.EndpointRestored: Told._restored,
    ev.ConfigApplied: Told._configured,
    ev.FleetThrottled: Told._wake_all,
    ev.WalletRegistered: Told._wake,
    ev.WalletRetired: Told._wake,
}
"""Event types from which something follows at once."""
