"""A reload prepares, records, and only then lets anybody work by the new settings; what goes wrong leaves the old ones."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ghostfleet.config.loaded import Endpoint, Loaded
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import State
from ghostfleet.domain.values import WalletId
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.in_force import InForce
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.reloading import MAX_WAITING, NotWhileRunning, PauseWaits, Reloader, ReloadInDoubt, ReloadsWait
from ghostfleet.engine.state import LiveState
from ghostfleet.engine.tuning import tuning_of
from ghostfleet.keys.keyring import InlineKey, Keyring, KeysUnusable, WalletKey
from ghostfleet.keys.secret import Secret
from ghostfleet.plugins.api import Plugin
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.log import EventLog
from ghostfleet.store.rows import EventRow, LogHead
from tests.simulation import settings
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder

NOW_US = 1_700_000_000_000_000
OLD = settings.drawn(Random(1), sites=1)
NEW = settings.with_digest(
    msgspec.structs.replace(OLD, safety=msgspec.structs.replace(OLD.safety, max_consecutive_errors=77))
)


def command(number: int = 0) -> AdminCommand:
    return AdminCommand(command="reload", actor="ada", remote="", request_id=f"request-{number}")


class Source:
    """Settings that a test edits; reading them takes until `hold` is set."""

    def __init__(self) -> None:
        self.wanted: Loaded = NEW
        self.reads = 0
        self.asked: list[list[WalletId]] = []
        self.damaged: set[WalletId] = set()
        self.hold = asyncio.Event()
        self.hold.set()

    async def read(self) -> Loaded:
        self.reads += 1
        await self.hold.wait()
        return self.wanted

    async def keys(self, wallets: Sequence[WalletKey]) -> Keyring:
        self.asked.append([it.wallet for it in wallets])
        if self.damaged & {it.wallet for it in wallets}:
            raise KeysUnusable(["a keystore is damaged"])
        return Keyring.of({it.wallet: settings.KEYS[it.wallet] for it in wallets})

    def plugins(self, loaded: Loaded) -> Mapping[str, Plugin[Any]]:
        return {}


class Fixture:
    """A reloader over a real commit loop and a log in memory whose sync a test can hold or break."""

    def __init__(self, log: EventLog, disk: MemoryDisk, hold: asyncio.Event) -> None:
        self.log, self.disk, self.hold, self.source = log, disk, hold, Source()
        self.in_force = InForce(tuning_of(OLD, {}))
        self.live = LiveState(State(), log, SimpleNamespace(now_us=lambda: NOW_US), self._on_event)
        self.used: list[str] = []
        self.nudged: list[str] = []
        self.keyring = Keyring({})
        world = SimpleNamespace(
            live=self.live, state=self.live.state, in_force=self.in_force, gate=Gate(), random=Random,
            entropy=SimpleNamespace(seed=lambda: 1), heads=SimpleNamespace(tune=lambda **_: None),
        )  # fmt: skip
        edge = SimpleNamespace(use=lambda *_, **__: self.used.append("endpoints"), drain=lambda _name: None)
        self.reloader = Reloader(
            OLD, self.source, world=world, edge=edge, keyring=self.keyring, check_endpoint=self._check, nudge=self.nudged.append  # type: ignore[arg-type]
        )  # fmt: skip

    def _on_event(self, recorded: ev.Recorded) -> None:
        if isinstance(recorded.event, ev.ConfigApplied):
            self.in_force.recorded(recorded.event.digest)

    async def _check(self, endpoint: Endpoint) -> bool:
        return endpoint.name != "silent"

    async def recorded(self) -> list[str]:
        return [type(each.event).__name__ async for each in self.log.read()]


@asynccontextmanager
async def reloading() -> AsyncIterator[Fixture]:
    disk, hold = MemoryDisk(), asyncio.Event()
    hold.set()
    fixture = Fixture(await EventLog.over(MemoryRecorder(disk, hold.wait)), disk, hold)
    tasks = [asyncio.create_task(fixture.live.run()), asyncio.create_task(fixture.reloader.run())]
    try:
        yield fixture
    finally:
        hold.set()
        fixture.source.hold.set()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def a_while() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_nobody_works_by_the_new_settings_before_they_are_durable() -> None:
    async with reloading() as it:
        it.hold.clear()
        asked = asyncio.create_task(it.reloader.reload(command()))
        await a_while()
        assert not asked.done()
        assert it.in_force.now.config_digest == OLD.digest
        assert it.in_force.now.rules.breaker.max_consecutive_errors != 77
        it.hold.set()
        reloaded = await asked
        assert reloaded.digest == it.in_force.now.config_digest == it.live.state.fleet.config_digest == NEW.digest
        assert it.in_force.now.rules.breaker.max_consecutive_errors == 77
        assert it.reloader.loaded is NEW


async def test_settings_as_they_were_are_a_reason_to_try_keys_again_that_did_not_open() -> None:
    wallet, other = OLD.wallets[:2]
    async with reloading() as it:
        it.source.wanted = it.reloader.loaded = msgspec.structs.replace(
            OLD, wallets=tuple(msgspec.structs.replace(each, key=InlineKey(Secret(bytes(32)))) for each in OLD.wallets)
        )
        await it.reloader.reload(command(1))
        assert not it.source.asked
        it.keyring.expect([wallet.id, other.id])
        it.keyring.found(wallet.id, "keystore w1.json is damaged")
        it.keyring.found(other.id, "keystore w2.json is damaged")
        it.source.damaged = {wallet.id}
        await it.reloader.reload(command(2))
        assert it.source.asked == [[wallet.id], [other.id]]
        assert (it.keyring.withheld(wallet.id), it.keyring.withheld(other.id)) == ("keystore w1.json is damaged", "")
        assert it.nudged == [other.id]
        it.source.damaged = set()
        await it.reloader.reload(command(3))
        assert it.source.asked[2:] == [[wallet.id]]
        assert not it.keyring.unusable
        assert it.reloader.loaded.digest == OLD.digest


async def test_a_log_that_does_not_take_them_leaves_the_old_ones_and_the_next_reload_works() -> None:
    async with reloading() as it:
        it.disk.full = "no space left on device"
        with pytest.raises(LogUnavailable):
            await it.reloader.reload(command())
        assert (it.in_force.now.config_digest, it.in_force.successor) == (OLD.digest, None)
        assert it.reloader.loaded is OLD
        it.disk.full = ""
        await it.reloader.reload(command())
        assert it.in_force.now.config_digest == NEW.digest


class Blind(MemoryRecorder):
    """Cannot be read for a while."""

    blind = False

    def _look(self) -> None:
        if self.blind:
            raise LogUnavailable("the connection is lost")

    async def head(self) -> LogHead:
        self._look()
        return await super().head()

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        self._look()
        return await super().page(after, until, limit)


@asynccontextmanager
async def in_doubt(*, landed: bool, wanted: Loaded = NEW) -> AsyncIterator[Fixture]:
    """A reload whose commit was not answered by a log that cannot be read either, and has it or not."""

    async def lost() -> None:
        if recorder.blind:
            raise LogUnavailable("the connection is lost", in_doubt=landed)

    disk, hold = MemoryDisk(), asyncio.Event()
    recorder = Blind(disk, lost)
    fixture = Fixture(await EventLog.over(recorder), disk, hold)
    fixture.source.wanted = wanted
    tasks = [asyncio.create_task(fixture.live.run()), asyncio.create_task(fixture.reloader.run())]
    try:
        recorder.blind = True
        with pytest.raises(LogUnavailable) as unknown:
            await fixture.reloader.reload(command(1))
        assert unknown.value.in_doubt
        with pytest.raises(ReloadInDoubt):
            await fixture.reloader.reload(command(2))
        assert fixture.in_force.now.config_digest == OLD.digest
        recorder.blind = False
        yield fixture
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


HEARTBEAT = ev.NewEvent(ev.FLEET_STREAM, ev.StoreRecovered(reason="", failed_us=0))


async def test_a_reload_that_turns_up_in_the_log_later_is_in_force_from_then_on() -> None:
    """What the log says and what everybody works by would differ, and every decision be refused."""
    async with in_doubt(landed=True) as it:
        await it.live.write([HEARTBEAT])
        assert it.live.state.fleet.config_digest == it.in_force.now.config_digest == NEW.digest
        assert it.reloader.loaded is NEW
        it.source.wanted = OLD
        assert (await it.reloader.reload(command(3))).digest == it.in_force.now.config_digest == OLD.digest


async def test_a_reload_that_never_reached_the_log_leaves_nothing() -> None:
    async with in_doubt(landed=False) as it:
        await it.live.write([HEARTBEAT])
        assert it.in_force.now.config_digest == OLD.digest
        await it.reloader.reload(command(3))
        assert it.live.state.fleet.config_digest == it.in_force.now.config_digest == NEW.digest
        assert (await it.recorded()).count("ConfigApplied") == 1
        assert it.in_force.successor is None


async def test_the_keys_of_a_reload_in_doubt_are_there_when_it_turns_up() -> None:
    wallet = NEW.wallets[0]
    held = tuple(msgspec.structs.replace(it, key=InlineKey(Secret(bytes(32)))) for it in NEW.wallets)
    async with in_doubt(landed=True, wanted=msgspec.structs.replace(NEW, wallets=held)) as it:
        with pytest.raises(KeyError):
            it.keyring.key(wallet.id)
        await it.live.write([HEARTBEAT])
        assert it.keyring.key(wallet.id).address == wallet.address


async def test_a_pause_that_the_log_does_not_have_yet_comes_first() -> None:
    async with reloading() as it:
        with pytest.raises(PauseWaits):
            await it.reloader.reload(command(), held=lambda: True)
        assert await it.recorded() == []
        assert it.in_force.now.config_digest == OLD.digest


async def test_a_key_that_needs_a_restart_stops_all_of_it() -> None:
    async with reloading() as it:
        other_chain = msgspec.structs.replace(NEW.chain, chain_id=5)
        it.source.wanted = settings.with_digest(msgspec.structs.replace(NEW, chain=other_chain))
        with pytest.raises(NotWhileRunning, match=r"chain\.chain_id needs a restart") as refused:
            await it.reloader.reload(command())
        assert [change.key for change in refused.value.changes] == ["chain.chain_id"]
        assert await it.recorded() == []


async def test_settings_whose_every_endpoint_is_drained_are_refused() -> None:
    async with reloading() as it:
        drained = ev.EndpointDrained(endpoint=OLD.chain.endpoints[0].name, actor="ada")
        await it.live.write([ev.NewEvent(ev.FLEET_STREAM, drained)])
        with pytest.raises(NotWhileRunning, match="drained: restore one first"):
            await it.reloader.reload(command())


async def test_a_new_endpoint_that_does_not_answer_is_taken_and_named() -> None:
    async with reloading() as it:
        endpoints = (*OLD.chain.endpoints, Endpoint(name="silent", url="http://silent/"))
        chain = msgspec.structs.replace(NEW.chain, endpoints=endpoints)
        it.source.wanted = settings.with_digest(msgspec.structs.replace(NEW, chain=chain))
        # the simulator's settings name endpoints by a key of their own
        with pytest.raises(NotWhileRunning, match="endpoints"):
            await it.reloader.reload(command())
        redacted = {**NEW.redacted, "chain": {**NEW.redacted["chain"], "rpc_urls": ["…"]}}
        it.source.wanted = msgspec.structs.replace(it.source.wanted, redacted=redacted)
        assert (await it.reloader.reload(command())).unchecked == ("silent",)
        assert it.used == ["endpoints"]


async def test_reloads_are_served_one_at_a_time_and_those_beyond_the_bound_are_told_to_ask_again() -> None:
    async with reloading() as it:
        it.source.hold.clear()
        asked = [asyncio.create_task(it.reloader.reload(command()))]
        await a_while()
        asked += [asyncio.create_task(it.reloader.reload(command(number))) for number in range(1, MAX_WAITING + 1)]
        await a_while()
        assert it.source.reads == 1
        with pytest.raises(ReloadsWait):
            await it.reloader.reload(command(99))
        it.source.hold.set()
        done = await asyncio.gather(*asked)
        assert [bool(answer.difference.changes) for answer in done] == [True] + [False] * MAX_WAITING
        assert (await it.recorded()).count("ConfigApplied") == 1


async def test_an_asker_that_goes_away_does_not_stop_what_it_asked_for() -> None:
    async with reloading() as it:
        it.source.hold.clear()
        asked = asyncio.create_task(it.reloader.reload(command()))
        await a_while()
        asked.cancel()
        it.source.hold.set()
        await a_while()
        assert it.in_force.now.config_digest == NEW.digest
        assert "ConfigApplied" in await it.recorded()


async def test_a_key_of_a_wallet_that_has_retired_is_let_go_of_when_the_settings_no_longer_name_it() -> None:
    """Until then an extraction that left something in it may be asked for again; its lane has ended, so nobody else lets go."""
    first, *others = OLD.wallets
    async with reloading() as fixture:
        fixture.keyring.adopt(Keyring.of({it.id: settings.KEYS[it.id] for it in OLD.wallets}))
        stream = ev.wallet_stream(first.id)
        registered = ev.WalletRegistered(
            address=first.address, profile=first.profile, plugin=first.plugin, first_turn_us=0
        )
        retired = ev.WalletRetired(reason="emptied by extract-1")
        await fixture.live.write([ev.NewEvent(stream, registered), ev.NewEvent(stream, retired)])
        fixture.source.wanted = settings.with_digest(msgspec.structs.replace(NEW, wallets=tuple(others)))
        await fixture.reloader.reload(command())
        assert [it.id in fixture.keyring for it in OLD.wallets] == [False, *(True for _ in others)]
