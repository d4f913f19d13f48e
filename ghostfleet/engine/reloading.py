"""How do other settings come into force while the service runs? All of them at once, or none.

Everything that can fail comes first: reading and checking, what needs a restart, keys, plugins, new endpoints. Then one commit
records what is wanted, and in the step in which it becomes visible everybody works by it. A crash leaves the old or the new.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from ghostfleet.chain.edge import RpcEdge
from ghostfleet.config.changes import Applies, Change, Difference, difference
from ghostfleet.config.loaded import Endpoint, Loaded
from ghostfleet.domain.events import NewEvent
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import WalletId
from ghostfleet.engine import registration
from ghostfleet.engine.commands import earlier, obey
from ghostfleet.engine.in_force import Successor
from ghostfleet.engine.ports import AdminCommand, Reloaded
from ghostfleet.engine.registration import AddressChanged
from ghostfleet.engine.state import Decide
from ghostfleet.engine.tuning import configured_wallets, endpoint_configs, heads_depth, poll_secs, tuning_of
from ghostfleet.engine.world import World
from ghostfleet.errors import BadInput, TryAgain
from ghostfleet.keys.keyring import Keyring, KeysUnusable, WalletKey
from ghostfleet.plugins.api import Plugin
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.telemetry.logs import LOGGER

MAX_WAITING = 16
"""Reloads that wait for the one under way; whoever asks beyond them is told to ask again."""


class NotWhileRunning(BadInput):
    """Some of what changed cannot change while the service runs; nothing was applied. Put those keys back, or restart the
    service with the new settings. `changes` are those keys."""

    def __init__(self, changes: Sequence[Change]) -> None:
        assert changes
        self.changes = tuple(changes)
        named = "; ".join(f"{it.key} {it.applies.value}" + (f" ({it.why})" if it.why else "") for it in changes)
        super().__init__(f"nothing was applied: {named}")


class NothingToReload(BadInput):
    """This service was not started from a settings file, so there is none to read again."""


class ReloadsWait(TryAgain):
    """Too many reloads wait already: each takes as long as reading the settings and opening new keys. Ask again."""


class PauseWaits(TryAgain):
    """An operator's pause waits for the log to take it, and comes first. Nothing was applied. Ask again."""


class ReloadInDoubt(TryAgain):
    """Whether the log has an earlier reload cannot be seen yet. Nothing was applied. Ask again once the log can be read."""


class WrongEndpoint(BadInput):
    """A new endpoint serves another chain than the log's; nothing was applied. Correct its address."""


class SettingsSource(Protocol):
    """Where settings come from, and what takes time or files to make of them."""

    async def read(self) -> Loaded:
        """The settings as they stand now. Raises ConfigInvalid with every problem."""
        ...

    async def keys(self, wallets: Sequence[WalletKey]) -> Keyring:
        """The keys of these wallets. Raises KeysUnusable with every problem."""
        ...

    def plugins(self, loaded: Loaded) -> Mapping[str, Plugin[Any]]:
        """The enabled plugins, alive. Raises PluginUnusable."""
        ...


CheckEndpoint = Callable[[Endpoint], Awaitable[bool]]
"""Whether a new endpoint answered; raises WrongEndpoint when it serves another chain."""


class Reloader:
    """Holds the settings in force as they were read, and replaces them, one reload at a time."""

    def __init__(
        self,
        loaded: Loaded,
        source: SettingsSource | None,
        *,
        world: World,
        edge: RpcEdge,
        keyring: Keyring,
        check_endpoint: CheckEndpoint,
        nudge: Callable[[str], None] = lambda _wallet: None,
    ) -> None:
        self.loaded = loaded
        self._source = source
        self._world = world
        self._edge = edge
        self._keyring = keyring
        self._check_endpoint = check_endpoint
        self._nudge = nudge
        self._waiting: deque[tuple[AdminCommand, Callable[[], bool], asyncio.Future[Reloaded]]] = deque()
        self._some = asyncio.Event()
        self._in_doubt: contextlib.AsyncExitStack | None = None
        """What a reload holds that the log may have after all: in force from the moment in which it turns up there."""

    async def reload(self, command: AdminCommand, held: Callable[[], bool] = lambda: False) -> Reloaded:
        """Read the settings again and apply what differs. Whoever asked may go away meanwhile; it is done all the same.

        `held` says whether a pause is in force that the log does not have yet: then nothing changes, for settings that end
        a pause would end that one.

        Raises ConfigInvalid, NotWhileRunning, KeysUnusable, PluginUnusable, WrongEndpoint, ReloadsWait, NothingToReload: then
        the settings in force are what they were.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise ReloadsWait(f"{MAX_WAITING} reloads wait already")
        done: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, held, done))
        self._some.set()
        return await done

    async def run(self) -> None:
        """Serve reloads, in the order they were asked for, until cancelled."""
        try:
            while True:
                await self._some.wait()
                command, held, done = self._waiting.popleft()
                if not self._waiting:
                    self._some.clear()
                await self._serve(command, held, done)
        finally:
            await self._forget_doubt()

    async def _serve(self, command: AdminCommand, held: Callable[[], bool], done: "asyncio.Future[Reloaded]") -> None:
        try:
            reloaded = await self._reload(command, held)
        except Exception as problem:  # whatever went wrong is the asker's to hear; the next one is served
            if not done.done():
                done.set_exception(problem)
        else:
            if not done.done():
                done.set_result(reloaded)

    async def _forget_doubt(self) -> None:
        """What was in doubt is in force by now, or never will be."""
        if self._in_doubt is not None:
            self._world.in_force.successor = None
            await self._in_doubt.aclose()
            self._in_doubt = None

    async def _reload(self, command: AdminCommand, held: Callable[[], bool]) -> Reloaded:
        done = earlier(self._world.state, command)
        if done is not None:
            return Reloaded(obeyed=done, difference=Difference(), digest=self.loaded.digest)
        if self._source is None:
            raise NothingToReload("this service was not started from a settings file")
        if self._in_doubt is not None and self._world.live.trouble is not None:
            raise ReloadInDoubt(
                f"whether the log has the reload before this one cannot be seen: {self._world.live.trouble}"
            )
        await self._forget_doubt()
        after = await self._source.read()
        found = difference(self.loaded, after)
        refused = [*found.refused(), *self._known_otherwise(after), *self._all_drained(after)]
        if refused:
            raise NotWhileRunning(refused)
        if not found.changes:
            await self._keys_again(after, self._source)
            done = await obey(self._world.live, command, lambda _state, _now_us: [])
            return Reloaded(obeyed=done, difference=found, digest=after.digest)
        events = partial(self._events, command=command, after=after, found=found, held=held)
        return await self._change(command, after, found, self._source, events)

    async def _change(
        self, command: AdminCommand, after: Loaded, found: Difference, source: SettingsSource, events: Decide
    ) -> Reloaded:
        world, in_force = self._world, self._world.in_force
        plugins = source.plugins(after)
        async with contextlib.AsyncExitStack() as held:
            keyring = await held.enter_async_context(contextlib.aclosing(await source.keys(self._new_keys(after))))
            unchecked = await self._checked_endpoints(after)
            in_force.successor = Successor(tuning_of(after, plugins), partial(self._take_effect, after, keyring))
            try:
                done = await obey(world.live, command, events)
            except AddressChanged as problem:
                raise BadInput(f"nothing was applied: {problem}") from None
            except LogUnavailable as trouble:
                if trouble.in_doubt:
                    self._in_doubt = held.pop_all()
                raise
            finally:
                if self._in_doubt is None:
                    in_force.successor = None
        if world.state.fleet.paused is not None and after.safety.global_pause:
            await world.gate.close()
        return Reloaded(obeyed=done, difference=found, digest=after.digest, unchecked=unchecked)

    def _events(
        self,
        state: Candidate,
        now_us: int,
        *,
        command: AdminCommand,
        after: Loaded,
        found: Difference,
        held: Callable[[], bool],
    ) -> Sequence[NewEvent]:
        world = self._world
        if held():
            raise PauseWaits("a pause that the log does not have yet is in force: nothing was applied, ask again")
        change = registration.Change(
            config_digest=after.digest,
            settings=after.redacted,
            wallets=configured_wallets(after),
            paused_by_config=after.safety.global_pause,
            was_paused_by_config=self.loaded.safety.global_pause,
            changes=tuple(it.shown() for it in found.changes),
            actor=command.actor,
            reason=command.reason,
        )
        events = registration.change_events(
            state,
            now_us,
            change=change,
            known=tuple(world.state.wallets),
            profiles=after.profiles,
            random=world.random(world.entropy.seed()),
        )
        return [NewEvent(it.stream, it.event, command.request_id) for it in events]

    def _take_effect(self, after: Loaded, keyring: Keyring) -> None:
        """Called in the step in which the commit becomes visible: nothing in here waits."""
        world = self._world
        self._keyring.adopt(keyring)
        self._let_go(after)
        if (after.chain.endpoints, after.chain) != (self.loaded.chain.endpoints, self.loaded.chain):
            self._edge.use(endpoint_configs(after), request_timeout_secs=after.chain.request_timeout_secs)
            for name in world.state.fleet.drained_endpoints:
                self._edge.drain(name)
        world.heads.tune(poll_secs=poll_secs(after), depth=heads_depth(after))
        if after.run.log_level != self.loaded.run.log_level:
            logging.getLogger(LOGGER).setLevel(after.run.log_level.upper())
        self.loaded = after

    def _let_go(self, after: Loaded) -> None:
        """Keys of wallets that leave the settings and have retired before; those that retire with this have lanes that let go."""
        stay = {it.id for it in configured_wallets(after)}
        for name in (it.id for it in configured_wallets(self.loaded) if it.id not in stay):
            wallet = self._world.state.wallets.get(WalletId(name))
            if wallet is not None and wallet.retired and not wallet.slots:
                self._keyring.forget(WalletId(name))

    async def _keys_again(self, after: Loaded, source: SettingsSource) -> None:
        """Open what could not be opened at the start: by now somebody may have mended some of it."""
        for wanted in [it for it in after.wallet_keys() if it.wallet in self._keyring.unusable]:
            try:
                keyring = await source.keys([wanted])
            except KeysUnusable:
                continue  # as readiness says
            async with contextlib.aclosing(keyring):
                self._keyring.adopt(keyring)
            self._nudge(wanted.wallet)

    def _new_keys(self, after: Loaded) -> list[WalletKey]:
        """Keys of wallets that are new or come back, and those that are kept elsewhere than before."""
        before = {it.wallet: it for it in self.loaded.wallet_keys()}
        acting = {name for name, wallet in self._world.state.wallets.items() if not wallet.retired}
        return [it for it in after.wallet_keys() if before.get(it.wallet) != it or it.wallet not in acting]

    def _known_otherwise(self, after: Loaded) -> list[Change]:
        """Enabled wallets that the log knows by another address, also such as had left the settings meanwhile."""
        known = self._world.state.wallets
        return [
            Change(
                key=f"wallets.{it.id}.address",
                before=known[it.id].address,
                after=it.address,
                applies=Applies.NEVER,
                why="a new key needs a new id: the log knows this wallet by its address",
            )
            for it in configured_wallets(after)
            if it.id in known and known[it.id].address != it.address
        ]

    def _all_drained(self, after: Loaded) -> list[Change]:
        """Settings whose every endpoint an operator has drained would leave nobody to ask."""
        drained = self._world.state.fleet.drained_endpoints
        if not all(it.name in drained for it in after.chain.endpoints):
            return []
        names = [it.name for it in after.chain.endpoints]
        why = "every one of them is drained: restore one first"
        return [Change(key="chain.rpc_urls", before=None, after=names, applies=Applies.NEVER, why=why)]

    async def _checked_endpoints(self, after: Loaded) -> tuple[str, ...]:
        """Every new endpoint serves this chain, as far as it answers. Names of those that do not."""
        known = {it.url for it in self.loaded.chain.endpoints}
        new = [it for it in after.chain.endpoints if it.url not in known]
        answered = await asyncio.gather(*(self._check_endpoint(it) for it in new))
        return tuple(it.name for it, answers in zip(new, answered, strict=True) if not answers)
