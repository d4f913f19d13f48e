"""One seed, from genesis to the last check: runs of the service one after the other, faults, and then quiet."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import msgspec

from ghostfleet import assembly, lifetime
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.breaker import Tripped
from ghostfleet.domain.events import ErrorRecorded
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import encode_state, fold
from ghostfleet.domain.values import WalletId
from ghostfleet.engine.gate import Reason
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.errors import GhostFleetError, StopService
from ghostfleet.keys.keyring import Keyring, WalletKey
from ghostfleet.keys.messages import signer_of_text
from ghostfleet.keys.opening import Opening
from ghostfleet.plugins.api import Plugin
from ghostfleet.store.checkpoints import Asked
from ghostfleet.store.codec import CODEC
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.log import EventLog
from tests.simulation import settings
from tests.simulation.chain import SimulatedChain
from tests.simulation.disk import DiskWeather, UnreliableRecorder, WatchedDisk
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder
from tests.simulation.network import Network, SimulatedTransport, Site
from tests.simulation.node import Node
from tests.simulation.practice import PracticePlugin, PracticeSettings
from tests.simulation.promises import Promises
from tests.simulation.universe import SimulatedClock, SimulatedEntropy, Universe, Violation
from tests.simulation.virtual_loop import Crashed, VirtualLoop
from tests.simulation.wishes import COMMANDS, Wishes

RICH_WEI = 10**21
SNAPSHOT_EVERY_EVENTS = 60
"""Often enough that most restarts begin with one."""
SETTLE_SECS = 1500.0
"""Once faults have stopped, everything is well again within this: the longest rests of breakers, limits and back-offs."""
LOOK_SECS = 3.0
MAX_RUNS = 500
SLOW_KEYS_SHARE = 0.1
"""Of the seeds, in which keys are still being opened when lanes run."""
SLOWEST_KEY_SECS = 20.0


@dataclass
class Run:
    """One life of the service."""

    number: int
    loop: VirtualLoop
    disk: WatchedDisk
    running: assembly.Running | None = None


@dataclass
class Outcome:
    """What a simulation came to."""

    seed: int
    violation: Violation | None
    log: bytes
    """Every row, and where the chain ended: equal seeds give equal bytes."""
    events: dict[str, int]
    runs: int
    simulated_secs: float
    families: tuple[str, ...] = ()


class SimulatedSettings:
    """The settings as somebody has edited them by now."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation

    async def read(self) -> Loaded:
        await asyncio.sleep(self._simulation.random.uniform(0.001, 0.5))
        wanted = self._simulation.next_loaded
        self._simulation.promises.wanted[wanted.digest] = wanted
        return wanted

    async def keys(self, wallets: Sequence[WalletKey]) -> Keyring:
        await asyncio.sleep(self._simulation.random.uniform(0.001, 2.0))
        return settings.keyring_of(self._simulation.next_loaded)

    def plugins(self, loaded: Loaded) -> Mapping[str, Plugin[Any]]:
        return {"practice": PracticePlugin(PracticeSettings(), chain_id=loaded.chain.chain_id)}


class SlowKeys(Opening):
    """Keys that open one after the other while the fleet runs: after so many seconds each, or with a problem."""

    def __init__(self, keys: Keyring, outcomes: Mapping[str, float | str]) -> None:
        super().__init__([], {})
        self.keyring = keys
        self._outcomes = {WalletId(name): outcome for name, outcome in outcomes.items()}
        self._closed = {wallet: keys.key(wallet) for wallet in self._outcomes}
        for wallet in self._outcomes:
            keys.forget(wallet)
        keys.expect(self._outcomes)

    def prefer(self, wallets: Collection[WalletId]) -> None:
        self._outcomes = dict(sorted(self._outcomes.items(), key=lambda item: item[0] not in wallets))

    async def finish(self, tell: Callable[[WalletId], None] = lambda _wallet: None) -> None:
        for wallet, outcome in self._outcomes.items():
            if isinstance(outcome, float):
                await asyncio.sleep(outcome)
            self.keyring.found(wallet, self._closed[wallet] if isinstance(outcome, float) else outcome)
            tell(wallet)


@dataclass
class Simulation:
    """The world of one seed."""

    seed: int
    families: tuple[str, ...]
    faults_secs: float
    story: Callable[[str], None] | None = None
    universe: Universe = field(init=False)

    def __post_init__(self) -> None:
        self.universe = universe = Universe(self.seed)
        if self.story is not None:
            tell = self.story
            universe.story = lambda line: tell(f"[{universe.now:9.3f}] {line}")
        random = universe.random("scene")
        self.random = universe.random("simulation")
        self._of_keys = universe.random("keys")
        self._slow_keys = self._of_keys.random() < SLOW_KEYS_SHARE
        self.next_loaded: Loaded = settings.drawn(random, sites=random.randint(1, 2))
        """The settings as they stand in the file: those of the next start or reload."""
        rich = dict.fromkeys(settings.ADDRESSES.values(), RICH_WEI) | {settings.FUNDER: 10**6 * RICH_WEI}
        self.chain = SimulatedChain(universe, rich)
        self.promises = Promises(universe, self.chain, settings.ADDRESSES | {settings.FUNDER_NAME: settings.FUNDER})
        self.promises.loaded = self.next_loaded
        self.sites: list[Site] = []
        self.nodes: list[Node] = []
        for number, endpoint in enumerate(self.loaded.chain.endpoints):
            nodes = [Node(f"{number}.{n}", universe, self.chain) for n in range(random.randint(1, 3))]
            self.sites.append(Site(endpoint.url, nodes))
            self.nodes.extend(nodes)
            self.promises.nodes[endpoint.name] = nodes
        for node in self.nodes:
            node.peers = [peer for peer in self.nodes if peer is not node]
            node.habits.sync = random.random() < 0.7
        self.network = Network(universe, self.sites, self.promises.on_send)
        self.disk_weather = DiskWeather()
        self.disk = WatchedDisk((), self.promises.on_durable)
        self.wishes = Wishes(self)
        self.run: Run | None = None
        self.runs = 0
        self.downtime_secs = 0.0
        self.quiet_since: float | None = None
        self._open_then: set[tuple[str, int]] = set()
        self._done = False
        self._resumes_asked = 0
        self._asking = 0
        self._unwritten_pause = False
        """A pause that the log could not take holds until somebody resumes: so it was answered."""

    @property
    def loaded(self) -> Loaded:
        """The settings in force."""
        loaded = self.promises.loaded
        assert loaded is not None
        return loaded

    # --- the whole of it -----------------------------------------------------------------------------------------------

    def simulate(self) -> Outcome:
        """Everything, to the first broken promise or to the end."""
        from tests.simulation import faults

        violation: Violation | None = None
        try:
            with ExitStack() as stack:
                stack.enter_context(patch.object(assembly, "SNAPSHOT_EVERY_EVENTS", SNAPSHOT_EVERY_EVENTS))
                faults.begin(self)
                self.universe.after(self.faults_secs, self._quiet)
                while not self._done:
                    self._one_run()
                self._last_checks()
        except Violation as broken:
            violation = broken
        return Outcome(
            self.seed,
            violation,
            self._log_bytes(),
            dict(sorted(self.promises.counts.items())),
            self.runs,
            self.universe.now,
            self.families,
        )

    def _one_run(self) -> None:
        self.runs += 1
        if self.runs > MAX_RUNS:
            self.universe.violated("no defect", f"{self.runs} runs and no end")
            self.universe.check()
        self.promises.loaded = self.next_loaded
        self.promises.wanted = {self.next_loaded.digest: self.next_loaded}
        self._asking, self._unwritten_pause = 0, False
        loop = VirtualLoop(self.universe, self._after_step)
        run = self.run = Run(self.runs, loop, self.disk)
        self.universe.story(f"=== run {run.number}")
        try:
            loop.live(self._life(run))
        except Crashed:
            self.universe.story(f"=== run {run.number} is killed")
        except StopService as stopped:
            self.universe.violated("no defect", f"run {run.number} stopped: {stopped}")
        except GhostFleetError as problem:
            if not self.disk_weather.full and not self.disk_weather.fails:
                self.universe.violated("no defect", f"run {run.number} ended: {problem!r}")
            self.downtime_secs = 10.0
        except Exception as defect:  # whatever else ends a run is one
            self.universe.violated("no defect", f"run {run.number} ended: {_innermost(defect)!r}")
        self.run = None
        self.universe.check()
        self._salvage(run)
        if not self._done:
            self.universe.pass_time(self.downtime_secs)

    async def _life(self, run: Run) -> None:
        recorder = UnreliableRecorder(run.disk, self._sync, self.disk_weather)
        run.disk.full = self.disk_weather.full
        log = await EventLog.over(recorder)
        try:
            keyring = settings.keyring_of(self.loaded)
            opening = self.opening(keyring)
            ports = assembly.Ports(
                log,
                SimulatedTransport(self.network),
                SimulatedClock(self.universe),
                SimulatedEntropy(self.universe, run.number),
                {"practice": PracticePlugin(PracticeSettings(), chain_id=self.loaded.chain.chain_id)},
                keyring,
                SimulatedSettings(self),
                opening,
            )

            def started(running: assembly.Running) -> None:
                run.running = running
                self.promises.on_start(running.live.state)

            await lifetime.run_on(ports, self.loaded, on_running=started)
        finally:
            await log.close()

    def opening(self, keyring: Keyring) -> Opening | None:
        """What of these keys is still to be opened when a run begins."""
        if not self._slow_keys:
            return None
        there = [name for name in settings.ADDRESSES if WalletId(name) in keyring]
        return SlowKeys(keyring, {name: self._of_keys.uniform(0.0, SLOWEST_KEY_SECS) for name in there})

    def _salvage(self, run: Run) -> None:
        """The disk as the next run finds it."""
        left = run.disk.unsynced
        self.disk = WatchedDisk(run.disk.durable, self.promises.on_durable)
        self.disk.kept = list(run.disk.kept)
        if left is not None and self.random.random() < 0.5:
            self.disk.durable.append(left)

    async def _sync(self) -> None:
        weather = self.disk_weather
        await asyncio.sleep(self.random.uniform(0.0005, weather.slowest_secs))
        if self.random.random() < weather.fails:
            weather.blind = self.random.choice((0, 0, 1, 3))
            raise LogUnavailable("the disk failed", in_doubt=self.random.random() < weather.doubts)

    def _after_step(self) -> None:
        run = self.run
        if run is not None and run.running is not None:
            self.promises.on_step(run.running.live.state, run.running.service._gate)

    # --- what faults may do --------------------------------------------------------------------------------------------

    def crash(self, within_steps: int) -> None:
        """Kill the service some steps from now."""
        run = self.run
        if run is not None and run.loop.crash_in is None:
            self.downtime_secs = self.random.choice((0.1, 1.0, 5.0, 30.0, 90.0))
            run.loop.crash_in = self.random.randint(0, within_steps)

    def stop_gracefully(self, downtime_secs: float) -> None:
        """SIGTERM."""
        run = self.run
        if run is not None and run.running is not None:
            self.downtime_secs = downtime_secs
            self.universe.story("asked to stop")
            run.running.stop.set()

    def ask(self, command: str, target: str = "") -> None:
        """An operator asks something of the running service, if there is one."""
        run = self.run
        if run is not None and run.running is not None and run.loop.crash_in != 0:
            run.loop.create_task(self._asked(run, run.running, command, target), name=f"operator {command}")

    async def _asked(self, run: Run, running: assembly.Running, command: str, target: str) -> None:
        number = f"request-{self.universe.now:.3f}"
        asked = AdminCommand(command=command, actor="operator", remote="127.0.0.1", request_id=number, target=target)
        self.universe.story(f"operator: {command} {target}")
        service = running.service
        self._asking += 1
        try:
            if command in ("pause", "cancel"):
                resumes = self._resumes_asked
                await service.pause(asked)
                if resumes == self._resumes_asked:
                    self.promises.paused = self.promises.paused_by_operator = True
                self.universe.story("operator: the pause was answered")
                if command == "cancel":
                    await self.wishes.obey(running, asked)
            elif command == "resume":
                self._resumes_asked += 1
                self.promises.paused = self.promises.paused_by_operator = False
                await service.resume(asked)
                self._unwritten_pause = False
            elif command == "throttle":
                await service.throttle(asked, float(target))
            elif command == "drain":
                await service.drain(asked, last=True)
            elif command == "restore":
                await service.restore(asked)
            elif command == "reload":
                await service.reload(asked)
            elif command == "continue":
                await self.wishes.go_on(running, asked)
            elif command in COMMANDS:
                await self.wishes.obey(running, asked)
            else:
                await service.reset(asked)
        except GhostFleetError as problem:
            self.universe.story(f"operator: {command} failed: {problem}")
            self._unwritten_pause |= command in ("pause", "cancel")
        self._asking -= 1
        if not self._asking and run is self.run:
            self._resumed_goes(running)

    def _resumed_goes(self, running: assembly.Running) -> None:
        """When nobody is asking for anything: what is not paused is not held back either."""
        held = Reason.PAUSE in running.service._gate._shut_by
        if held and self.promises.shadow.fleet.paused is None and not self._unwritten_pause:
            self.universe.violated("resume means go", "the fleet is not paused, and the gate is shut by a pause")

    def set_full(self, why: str) -> None:
        """The disk takes nothing any more, or does again."""
        self.disk_weather.full = why
        if self.run is not None:
            self.run.disk.full = why
        self.disk.full = why

    # --- quiet ---------------------------------------------------------------------------------------------------------

    def _quiet(self) -> None:
        """Faults stop. From here on everything has to come right by itself, or by what an operator would do."""
        from tests.simulation import faults

        self.universe.story("--- faults stop")
        faults.end(self)
        self.quiet_since = self.universe.now
        for address in settings.ADDRESSES.values():
            if self.chain.head.balance(address) < RICH_WEI // 2:
                self.chain.credit(address, RICH_WEI)
        if "operations" in self.families:
            self.wishes.quiet()
        good = settings.for_good(self.next_loaded, self.random)
        self.next_loaded = good
        if good.digest != self.loaded.digest or self.random.random() < 0.2:
            self.stop_gracefully(1.0)
        self._open_then = {
            (name, slot.nonce)
            for name, wallet in self.promises.shadow.wallets.items()
            for slot in wallet.slots
            if isinstance(slot, Pending)
        }
        self._settled_look()

    def _settled_look(self) -> None:
        """Is everything well again? Looked at every few seconds until it is, or until it is too late."""
        assert self.quiet_since is not None
        missing = self._missing()
        if not missing:
            self._done = True
            self.stop_gracefully(0.0)
            return
        if self.universe.now - self.quiet_since > SETTLE_SECS:
            self.universe.violated("nothing stuck", f"{SETTLE_SECS:.0f} s after the last fault: {missing}")
            return
        self._operate()
        self.universe.after(LOOK_SECS, self._settled_look)

    def _operate(self) -> None:
        """What an operator does after an incident."""
        state = self.promises.shadow
        self.wishes.operate()
        if state.fleet.pace != 1.0:
            self.ask("throttle", "1")
        for endpoint in state.fleet.drained_endpoints:
            self.ask("restore", endpoint)
        if state.fleet.paused is not None:  # a pause that the log could not take has to be there by itself by now
            self.ask("resume")
        for name, wallet in state.wallets.items():
            if isinstance(wallet.breaker, Tripped) and wallet.breaker.until_us > self.universe.now_us() + 120_000_000:
                self.ask("reset", name)
        if keyless := self._keyless():
            self.next_loaded = settings.with_enabled(self.next_loaded, keyless)
            self.ask("reload")

    def _keyless(self) -> set[str]:
        """Retired wallets of which the log says that their open transaction needs their key."""
        wallets, off = self.promises.shadow.wallets, {it.id for it in self.next_loaded.wallets if not it.enabled}
        open_ = {name for name in off if name in wallets and wallets[name].pending}
        return {name for name, error in self.errors_of(open_) if error.error_class == "no_key"}

    def errors_of(self, wallets: Collection[str]) -> Iterator[tuple[str, ErrorRecorded]]:
        """What the log says went wrong with these wallets, oldest first."""
        for commit in self.disk.durable if wallets else ():
            for recorded in (CODEC.decode(row) for row in commit.rows):
                if recorded.wallet in wallets and isinstance(recorded.event, ErrorRecorded):
                    yield recorded.wallet, recorded.event

    def _missing(self) -> str:
        """What is not well yet; empty when everything is."""
        run, state = self.run, self.promises.shadow
        if run is None or run.running is None:
            return "the service does not run"
        bad = [check for check in run.running.service.checks() if not check.ok]
        if bad:
            return f"not ready: {bad}"
        for name, nonce in sorted(self._open_then):
            if state.wallets[name].slot(nonce) is not None:
                return f"{name} nonce {nonce} is not settled: {state.wallets[name].slot(nonce)}"
        if owed := self.wishes.missing():
            return owed
        for wallet in self.loaded.wallets:
            if not wallet.enabled:
                continue
            found = state.wallets.get(wallet.id)
            if found is None:
                return f"{wallet.id} is not registered"
            if found.retired:  # by an operation, until the next start or reload
                continue
            if self.promises.opened_at.get(wallet.id, -1.0) < (self.quiet_since or 0.0) and not self.promises.at_limit(
                wallet.id
            ):
                return f"{wallet.id} does not act: {msgspec.json.encode(found, enc_hook=str).decode()[:1500]}"
        return ""

    def _last_checks(self) -> None:
        """After the last run: the log verifies, folds to the same state, and says what the chain says."""
        self.universe.pass_time(5.0)
        self.universe.check()
        self.promises.at_end(safe_after=self.universe.true_us() / 1e6 - 300.0)
        rows = [row for commit in self.disk.durable for row in commit.rows]
        state = fold(CODEC.decode(row) for row in rows)
        if encode_state(state) != encode_state(self.promises.shadow):
            self.universe.violated("state is a fold", "the log folds to another state at the end")
        verified = asyncio.run(_verified(self.disk))
        if verified:
            self.universe.violated("the hash chain verifies", verified)
        self.universe.check()

    def _log_bytes(self) -> bytes:
        rows = [row for commit in self.disk.durable for row in commit.rows]
        return msgspec.json.encode([rows, str(self.chain.head.hash)], enc_hook=str)


def _innermost(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


async def _verified(disk: MemoryDisk) -> str:
    log = await EventLog.over(MemoryRecorder(MemoryDisk(disk.durable)))
    found = await log.verify(asked=Asked(signer_of=signer_of_text))
    return "" if found.ok else str(found)
