"""What an operator can ask of the running fleet: pause, resume, reset, and how it is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import JsonObject, WalletId
from ghostfleet.engine import backups, tokens
from ghostfleet.engine.commands import KeyReused, earlier, obey
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.keys_at_start import keys_missing
from ghostfleet.engine.ports import AdminCommand, Check, EndpointStatus, InFlight, Obeyed, Reloaded
from ghostfleet.engine.reloading import NothingToReload, Reloader
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import BadInput, GhostFleetError, TryAgain
from ghostfleet.keys.keyring import Keyring

HEAD_TOO_OLD_SECS = 30.0
"""Without an answer about the head for so long the service is not ready."""


class UnknownWallet(BadInput):
    """There is no wallet of that id in the log."""


class UnknownEndpoint(BadInput):
    """There is no endpoint of that name in the settings in force."""


class LastEndpoint(BadInput):
    """Nobody would be left to ask: no other endpoint is well and not drained. Restore one, or say that it is meant (`last`)."""


class NotBegun(TryAgain):
    """The service has not begun: it waits for an endpoint, to check the chain against the log. Ask again."""


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
        in_force: InForce,
        dry_run: bool,
        reloader: Reloader | None = None,
        stop: Callable[[], None] = lambda: None,
        keyring: Keyring | None = None,
    ) -> None:
        self._live = live
        self._gate = gate
        self._heads = heads
        self._nudge = nudge
        self._endpoints = endpoints
        self._in_force = in_force
        self._dry_run = dry_run
        self._reloader = reloader
        self._stop = stop
        self._keyring = keyring if keyring is not None else Keyring({})
        self.stop_reason = "asked to stop"
        self._started = asyncio.get_running_loop().time()
        self.begun = False
        """Whether the chain was checked against the log and the lanes run."""
        self._words = 0
        """Pauses and resumes that were asked for: the later one has the last word, whichever fails or is written first."""
        self._unwritten: tuple[int, AdminCommand] | None = None
        """A pause that was asked for when the log took nothing, and the how manieth word it was: in force, and written as soon as
        the log takes events again."""

    @property
    def state(self) -> State:
        return self._live.state

    @property
    def uptime_secs(self) -> float:
        return asyncio.get_running_loop().time() - self._started

    @property
    def dry_run(self) -> bool:
        return self._dry_run

    @property
    def rules(self) -> decisions.Rules:
        return self._in_force.now.rules

    @property
    def profiles(self) -> Mapping[str, Profile]:
        return self._in_force.now.profiles

    async def pause(self, command: AdminCommand) -> Obeyed:
        """Durable, and nothing leaves any more, when it returns; except that a repeated one changes nothing.

        A log that cannot take it leaves the gate shut all the same, and gets it when it takes events again.
        """
        before = earlier(self.state, command)
        if before is not None:
            return before
        self._words += 1
        return await self._pausing(command, self._words)

    async def _pausing(self, command: AdminCommand, word: int) -> Obeyed:
        self._gate.shut()
        self._gate.permit(frozenset())  # a running operation stops with everything else
        try:
            done = await obey(self._live, command, partial(_paused, command=command))
        except KeyReused:
            self._gate.permit(self.state.fleet.permitted)
            self._open_unless_paused()
            raise
        except GhostFleetError:
            self._unwritten = (word, command)
            self._gate.shut()  # a resume that was recorded meanwhile, be it of a reload, opened it
            raise
        if self.state.fleet.paused is not None:  # else a resume came right after, and has the last word
            await self._gate.close()
        else:
            self._open_unless_paused()
        return done

    async def resume(self, command: AdminCommand) -> Obeyed:
        """Ends a pause, whoever asked for it, also one that the log could not take."""
        before = earlier(self.state, command)
        if before is not None:
            return before
        self._words += 1
        word = self._words
        unwritten, self._unwritten = self._unwritten, None
        try:
            done = await obey(self._live, command, partial(_resumed, command=command))
        except GhostFleetError:
            self._unwritten = self._unwritten or unwritten
            raise
        self._forget_pause_before(word)
        self._open_unless_paused()
        return done

    @property
    def unwritten_pause(self) -> AdminCommand | None:
        """A pause that is in force although the log could not take it; it ends with the process."""
        return self._unwritten[1] if self._unwritten is not None else None

    def _forget_pause_before(self, word: int) -> None:
        """One that was asked for before this resume and failed while it was under way."""
        if self._unwritten is not None and self._unwritten[0] < word:
            self._unwritten = None

    def _open_unless_paused(self) -> None:
        """A pause may have come right after, recorded or not; then it holds."""
        if self.state.fleet.paused is None and self._unwritten is None:
            self._gate.open()

    def in_flight(self) -> InFlight:
        """What has left the process and has no answer yet."""
        return self._gate.in_flight

    async def log_recovered(self) -> None:
        """The log takes events again: what it missed is written now."""
        unwritten, self._unwritten = self._unwritten, None
        if unwritten is not None and earlier(self.state, unwritten[1]) is None:
            await self._pausing(unwritten[1], unwritten[0])

    async def reset(self, command: AdminCommand) -> Obeyed:
        """Closes the breaker of the target wallet and ends its parking. Raises UnknownWallet."""
        done = await obey(self._live, command, partial(_reset, command=command))
        self._nudge(command.target)
        return done

    async def reset_all(self, command: AdminCommand) -> Obeyed:
        """The same for every wallet that needs it, in one commit; the effects name them."""
        names = tuple(self.state.wallets)
        done = await obey(self._live, command, partial(_reset_all, names=names, command=command))
        for name in names:
            self._nudge(name)
        return done

    async def throttle(self, command: AdminCommand, factor: float) -> Obeyed:
        """The fleet goes at this factor of its pace from here on."""
        return await obey(self._live, command, partial(_throttled, factor=factor, command=command))

    async def drain(self, command: AdminCommand, *, last: bool = False) -> Obeyed:
        """The target endpoint gets no new request. `last` says that it may be the last one that could be asked.

        Raises UnknownEndpoint, LastEndpoint."""
        others = frozenset(it.name for it in self._endpoints() if it.healthy) - {command.target}
        return await obey(
            self._live, command, partial(_drained, self._known_endpoint, others=others, last=last, command=command)
        )

    async def restore(self, command: AdminCommand) -> Obeyed:
        """The target endpoint may be asked again. Raises UnknownEndpoint."""
        return await obey(self._live, command, partial(_restored, self._known_endpoint, command=command))

    def _known_endpoint(self, state: Candidate, name: str) -> None:
        known = [it.name for it in self._endpoints()]
        if name not in known and name not in state.fleet.drained_endpoints:
            raise UnknownEndpoint(f"there is no endpoint {name!r}; there are {', '.join(known)}")

    async def reload(self, command: AdminCommand) -> Reloaded:
        """Reads the settings again and applies all that differs, or nothing. Raises what Reloader.reload does."""
        if self._reloader is None:
            raise NothingToReload("this service was not started from a settings file")
        if not self.begun:
            raise NotBegun("the service waits for the chain before it acts by the settings it has")
        return await self._reloader.reload(command, held=lambda: self._unwritten is not None)

    def settings(self) -> JsonObject:
        """The settings in force, redacted; empty where there is no file."""
        return self._reloader.loaded.redacted if self._reloader is not None else {}

    async def create_token(self, command: AdminCommand, created: ev.AdminTokenCreated) -> Obeyed:
        """The token is valid when it returns. Raises TokenExists, TooManyTokens."""
        return await tokens.create_token(self._live, command, created)

    async def revoke_token(self, command: AdminCommand) -> Obeyed:
        """The token of the target's name is not valid any more when it returns. Raises UnknownToken."""
        return await tokens.revoke_token(self._live, command)

    async def record_backup(self, command: AdminCommand, made: ev.BackupMade) -> Obeyed:
        """A backup that was made by hand is in the log when it returns."""
        return await backups.record_backup(self._live, command, made)

    async def check_in(self, command: AdminCommand) -> Obeyed:
        """Somebody is there: the deadman's time starts anew."""
        return await obey(self._live, command, partial(_checked_in, command=command))

    async def stop(self, command: AdminCommand) -> Obeyed:
        """The process ends as after SIGTERM, once this is recorded. A repeated one ends nothing that was started since."""
        done = await obey(self._live, command, lambda _state, _now_us: [])
        if not done.repeated:
            self.stop_reason = f"asked to stop by {command.actor}" + (f": {command.reason}" if command.reason else "")
            self._stop()
        return done

    async def locked_out(self, lockout: ev.AdminLockedOut, request_id: str) -> None:
        """A lock-out is an event."""
        await self._live.write([ev.NewEvent(ev.FLEET_STREAM, lockout, request_id)])

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
        return [self.log_check(), self._chain_check(), self._endpoint_check(), self.keys_check(), self._begun_check()]

    def log_check(self) -> Check:
        """Whether the log takes events, and what holds meanwhile."""
        trouble, pause = self._live.trouble, self.unwritten_pause
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
        if any(endpoint.healthy and not endpoint.drained for endpoint in endpoints):
            return Check("endpoints", True)
        return Check("endpoints", False, "; ".join(f"{it.name}: {it.reason}" for it in endpoints) or "none configured")

    def withheld(self, wallet: str) -> str:
        """Why this wallet cannot sign although the settings have a key for it; empty where it can."""
        return self._keyring.withheld(WalletId(wallet))

    def keys_check(self) -> Check:
        """Whether every wallet can sign that the settings have a key for."""
        missing = keys_missing(self._keyring)
        return Check("keys", not missing, missing)

    def _begun_check(self) -> Check:
        awaited = "chain" if self._live.trouble is None else "log"
        return Check("started", self.begun, "" if self.begun else f"waiting for the {awaited} before any wallet acts")


def _checked_in(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    return [ev.NewEvent(ev.FLEET_STREAM, ev.OperatorCheckedIn(actor=command.actor), command.request_id)]


def _paused(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    return decisions.pause(state, command.actor, command.reason, command.request_id)


def _resumed(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    return decisions.resume(state, command.actor, command.reason, command.request_id)


def _throttled(state: Candidate, now_us: int, *, factor: float, command: AdminCommand) -> list[ev.NewEvent]:
    return decisions.throttle(state, command.actor, factor, command.reason, command.request_id)


def _drained(
    known: Callable[[Candidate, str], None],
    state: Candidate,
    now_us: int,
    *,
    others: frozenset[str],
    last: bool,
    command: AdminCommand,
) -> list[ev.NewEvent]:
    known(state, command.target)
    if not last and not others - set(state.fleet.drained_endpoints):
        raise LastEndpoint(
            f"no other endpoint than {command.target} could be asked: restore one, or say that it is meant"
        )
    return decisions.drain(state, command.target, command.actor, command.reason, command.request_id)


def _restored(
    known: Callable[[Candidate, str], None], state: Candidate, now_us: int, *, command: AdminCommand
) -> list[ev.NewEvent]:
    known(state, command.target)
    return decisions.restore(state, command.target, command.actor, command.reason, command.request_id)


def _reset(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    if state.wallet(command.target) is None:
        raise UnknownWallet(f"no wallet {command.target!r}; GET /admin/status lists them")
    return decisions.reset(state, (command.target,), command.actor, command.request_id)


def _reset_all(state: Candidate, now_us: int, *, names: Sequence[str], command: AdminCommand) -> list[ev.NewEvent]:
    needy = [name for name in names if decisions.needs_reset(decisions.require_wallet(state, name))]
    return decisions.reset(state, needy, command.actor, command.request_id)
