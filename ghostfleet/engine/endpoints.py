"""The endpoints between the edge and the log: what they are going through is written down, and told to whoever asks."""

import asyncio
import contextlib

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.chain.endpoints import handle_of
from ghostfleet.domain import events as ev
from ghostfleet.engine.ports import EndpointStatus
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain

MAX_NEWS = 1000
"""Changes of endpoints that may wait for the log; more than that say nothing new."""


class EndpointNews:
    """Endpoints trip and recover in the edge, which waits for nobody; here it is written down."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[ev.Event] = asyncio.Queue(MAX_NEWS)

    def changed(self, endpoint: str, tripped: bool, reason: str) -> None:
        """What the edge calls."""
        event = (
            ev.EndpointTripped(endpoint=endpoint, reason=reason) if tripped else ev.EndpointRecovered(endpoint=endpoint)
        )
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(event)

    async def write_down(self, live: LiveState) -> None:
        """Until cancelled."""
        while True:
            event = await self._waiting.get()
            with contextlib.suppress(TryAgain):
                await live.write([ev.NewEvent(ev.FLEET_STREAM, event)])


def endpoint_status(edge: RpcEdge) -> list[EndpointStatus]:
    """Every endpoint for operators, in order of preference."""
    return [
        EndpointStatus(
            name=it.name,
            handle=handle_of(it.name),
            healthy=it.healthy,
            drained=it.drained,
            reason="drained" if it.drained else it.reason,
            requests=it.requests,
            in_flight=it.in_flight,
            faults=it.faults,
            limits_seen=it.limits_seen,
            latency_secs=it.latency_secs,
            height=it.height,
        )
        for it in edge.status()
    ]
