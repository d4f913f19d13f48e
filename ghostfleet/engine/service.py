"""What an operator can ask of the running fleet: pause, resume, reset, and how it is."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import Candidate, State
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.ports import AdminCommand, Check, EndpointStatus
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import BadInput, GhostFleetError

HEAD_TOO_OLD_SECS = 30.0
"""Without an answer about the head for so long the service is not ready."""


class UnknownWallet(BadInput):
    """There is no wallet of that id in the log."""


class FleetService:
    """Commands change the fleet only by events; the gate follows the events, except that a pause shuts it first."""

    def __init__(
        self,
        *,
        live: LiveState,
        gate: Gate,
        heads: Heads,
        nudge: Callable[[str], None],
        endpoints: Callable[[], Sequence[EndpointStatus]],
        dry_run: bool,
    ) -> None:
        self._live = live
        self._gate = gate
        self._heads = heads
        self._nudge = nudge
        self._endpoints = endpoints
        self._dry_run = dry_run
        self._started = asyncio.get_running_loop().time()
        self.begun = False
        """Whether the chain was checked against the log and the lanes run."""
        self._unwritten_pause: AdminCommand | None = None
        """Asked for when the log took nothing: in force, and written as soon as the log takes events again."""

    @property
    def state(self) -> State:
        return self._live.state

    @property
    def uptime_secs(self) -> float:
        return asyncio.get_running_loop().time() - self._started

    @property
    def dry_run(self) -> bool:
        return self._dry_run

    async def pause(self, command: AdminCommand) -> ev.Recorded:
        """Durable, and nothing leaves any more, when it returns.

        A log that cannot take it leaves the gate shut all the same, and gets it when it takes events again.
        """
        self._gate.shut()
        try:
            recorded = await self._live.commit(partial(_paused, command=command))
        except GhostFleetError:
            self._unwritten_pause = command
            raise
        if self.state.fleet.paused is not None:  # else a resume came right after, and has the last word
            await self._gate.close()
        return recorded[-1]

    async def resume(self, command: AdminCommand) -> ev.Recorded:
        """Ends a pause, whoever asked for it, also one that the log could not take."""
        unwritten, self._unwritten_pause = self._unwritten_pause, None
        try:
            recorded = await self._live.commit(partial(_resumed, command=command))
        except GhostFleetError:
            self._unwritten_pause = self._unwritten_pause or unwritten
            raise
        if self.state.fleet.paused is None:  # else a pause came right after
            self._gate.open()
        return recorded[-1]

    async def log_recovered(self) -> None:
        """The log takes events again: what it missed is written now."""
        unwritten, self._unwritten_pause = self._unwritten_pause, None
        if unwritten is not None:
            await self.pause(unwritten)

    async def reset(self, command: AdminCommand) -> ev.Recorded:
        """Closes the breaker of the target wallet and ends its parking. Raises UnknownWallet."""
        recorded = await self._live.commit(partial(_reset, command=command))
        self._nudge(command.target)
        return recorded[-1]

    async def refused(self, command: AdminCommand, why: str) -> None:
        """A refused command is an event too."""
        refused = ev.AdminCommandRefused(
            command=command.command,
            actor=command.actor,
            remote=command.remote,
            request_id=command.request_id,
            why=why,
        )
        await self._live.write([ev.NewEvent(ev.FLEET_STREAM, refused, command.request_id)])

    def endpoints(self) -> Sequence[EndpointStatus]:
        return self._endpoints()

    def checks(self) -> Sequence[Check]:
        """What has to hold for the fleet to act. A pause is a wish, not a fault: it is told by the status."""
        return [self.log_check(), self._chain_check(), self._endpoint_check(), self._begun_check()]

    def log_check(self) -> Check:
        """Whether the log takes events, and what holds meanwhile."""
        trouble, pause = self._live.trouble, self._unwritten_pause
        if trouble is not None and pause is not None:
            trouble += f"; the pause that {pause.actor} asked for is in force and is written once the log takes events"
        return Check("log", trouble is None, trouble or "")

    def _chain_check(self) -> Check:
        fresh_at = self._heads.fresh_at
        now = asyncio.get_running_loop().time()
        if fresh_at is None:
            return Check("chain", False, "no endpoint has told the head of the chain yet")
        age = now - fresh_at
        if age > HEAD_TOO_OLD_SECS:
            return Check("chain", False, f"no endpoint has told the head of the chain for {age:.0f} s")
        return Check("chain", True)

    def _endpoint_check(self) -> Check:
        endpoints = self._endpoints()
        if any(endpoint.healthy for endpoint in endpoints):
            return Check("endpoints", True)
        return Check("endpoints", False, "; ".join(f"{it.name}: {it.reason}" for it in endpoints) or "none configured")

    def _begun_check(self) -> Check:
        return Check("started", self.begun, "" if self.begun else "waiting for the chain before any wallet acts")


def _received(command: AdminCommand) -> ev.NewEvent:
    received = ev.AdminCommandReceived(
        command=command.command,
        actor=command.actor,
        remote=command.remote,
        request_id=command.request_id,
        target=command.target,
        reason=command.reason,
    )
    return ev.NewEvent(ev.FLEET_STREAM, received, command.request_id)


def _paused(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    return [_received(command), *decisions.pause(state, command.actor, command.reason, command.request_id)]


def _resumed(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    return [_received(command), *decisions.resume(state, command.actor, command.reason, command.request_id)]


def _reset(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    if state.wallet(command.target) is None:
        raise UnknownWallet(f"no wallet {command.target!r}; GET /admin/status lists them")
    reset = ev.BreakerReset(actor=command.actor)
    return [_received(command), ev.NewEvent(ev.wallet_stream(command.target), reset, command.request_id)]
