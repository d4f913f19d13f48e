"""LiveState: decide on a candidate, append durably, then swap. Nothing is seen before it is written, and nothing half."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest
from live_stage import Fixture, live_state, opening, pausing, signed

from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import Refused, Rules
from ghostfleet.domain.limits import Limits
from ghostfleet.domain.slot import Pending
from ghostfleet.domain.state import encode_state, fold
from ghostfleet.domain.wallet import BrokenFold
from ghostfleet.engine import commands
from ghostfleet.engine import service as engine_service
from ghostfleet.engine.commands import Obeyed
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.state import LiveState
from ghostfleet.http.status import pause_status
from ghostfleet.store.errors import EventUnwritable, LogUnavailable

PAUSE = AdminCommand(command="pause", actor="op", remote="127.0.0.1", request_id="r")


async def test_an_event_is_neither_seen_nor_told_before_it_is_durable():
    async with live_state() as it:
        it.hold.clear()
        told = len(it.told)
        committing = asyncio.create_task(it.live.commit(opening("w0")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not committing.done()
        assert it.live.state.wallets["w0"].slots == ()
        assert len(it.told) == told
        it.hold.set()
        await committing
        assert isinstance(it.live.state.wallets["w0"].slots[0], Pending)
        assert [type(each.event).__name__ for each in it.told[told:]] == ["ActionDecided", "TransactionSigned"]


async def test_an_append_that_fails_changes_nothing_and_a_later_one_works():
    async with live_state() as it:
        before = encode_state(it.live.state)
        it.disk.full = "no space left on device"
        with pytest.raises(LogUnavailable):
            await it.live.commit(opening("w0"))
        assert encode_state(it.live.state) == before
        assert it.live.trouble
        it.disk.full = ""
        await it.live.commit(opening("w0"))
        assert it.live.trouble is None
        assert it.live.state.wallets["w0"].pending


async def test_a_decision_that_fails_is_its_askers_and_its_neighbours_are_written():
    async with live_state(3) as it:
        results = await asyncio.gather(
            it.live.commit(opening("w0")),
            it.live.commit(opening("nobody")),
            it.live.write([ev.NewEvent("wallet/w1", signed("w1"))]),
            it.live.commit(opening("w2")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [tuple, Refused, BrokenFold, tuple]
        assert it.live.state.wallets["w1"].slots == ()
        rows = [recorded async for recorded in it.log.read()]
        assert encode_state(fold(rows)) == encode_state(it.live.state)


async def test_an_event_that_no_log_can_take_fails_its_asker_and_its_neighbours_are_written():
    """Half a character, say: it has no bytes in UTF-8."""
    async with live_state(2) as it:
        unwritable = ev.NewEvent(ev.FLEET_STREAM, ev.FleetPaused(actor="a", reason="\ud800"))
        results = await asyncio.gather(
            it.live.commit(opening("w0")),
            it.live.write([unwritable]),
            it.live.commit(opening("nobody")),
            it.live.commit(opening("w1")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [tuple, EventUnwritable, Refused, tuple]
        assert all(it.live.state.wallets[name].pending for name in ("w0", "w1"))
        assert it.live.state.fleet.paused is None
        assert it.live.trouble is None
        rows = [recorded async for recorded in it.log.read()]
        assert encode_state(fold(rows)) == encode_state(it.live.state)


async def test_a_limit_of_the_fleet_is_not_passed_by_many_lanes_at_once():
    rules = Rules(limits=Limits(transactions_per_minute=3))
    async with live_state(10) as it:
        await asyncio.gather(*(it.live.commit(opening(f"w{n}", rules)) for n in range(10)))
        opened = [wallet for wallet in it.live.state.wallets.values() if wallet.pending]
        assert len(opened) == 3
        assert sum(wallet.totals.rejected for wallet in it.live.state.wallets.values()) == 7


async def test_a_slot_that_comes_behind_a_pause_in_the_same_batch_is_refused():
    async with live_state(2) as it:
        pause = partial(pausing, actor="a")
        results = await asyncio.gather(
            it.live.commit(opening("w0")), it.live.commit(pause), it.live.commit(opening("w1")), return_exceptions=True
        )
        assert isinstance(results[2], Refused)
        assert it.live.state.wallets["w0"].pending
        assert not it.live.state.wallets["w1"].pending


async def test_a_decision_that_comes_behind_other_settings_in_the_same_batch_is_refused():
    """It names the digest it was made under, and the log has the settings in force at each position: the two agree."""
    async with live_state(2) as it:
        applied = ev.NewEvent(ev.FLEET_STREAM, ev.ConfigApplied(digest="other", settings={}))
        results = await asyncio.gather(
            it.live.commit(opening("w0")),
            it.live.write([applied]),
            it.live.commit(opening("w1")),
            return_exceptions=True,
        )
        assert isinstance(results[2], Refused)
        assert it.live.state.wallets["w0"].pending
        assert not it.live.state.wallets["w1"].pending


async def test_a_commit_whose_failure_was_a_lie_is_a_fact():
    """The disk took the events and could not say so: what is in the log counts."""
    async with live_state() as it:

        class Lying:
            """Appends, and then says it could not."""

            encode = staticmethod(it.log.encode)

            async def append_encoded(self, events, *, time_us, follows):
                await it.log.append_encoded(events, time_us=time_us, follows=follows)
                raise LogUnavailable("the answer of the disk was lost")

            def read(self, after: int = 0, *, until: int | None = None):
                return it.log.read(after, until=until)

        it.live._log = Lying()  # type: ignore[assignment]
        await it.live.commit(opening("w0"))
        assert it.live.state.wallets["w0"].pending
        rows = [recorded async for recorded in it.log.read()]
        assert encode_state(fold(rows)) == encode_state(it.live.state)


@pytest.fixture
async def pausing_without_a_log() -> AsyncIterator[tuple[Fixture, FleetService, Gate]]:
    """A service that was asked to pause when the disk took nothing; the disk takes events again."""
    async with live_state() as it:
        gate = Gate()
        service = FleetService(
            live=it.live,
            gate=gate,
            heads=None,  # type: ignore[arg-type]
            nudge=lambda _wallet: None,
            endpoints=list,
            in_force=None,  # type: ignore[arg-type]
            dry_run=False,
        )
        it.disk.full = "read-only file system"
        with pytest.raises(LogUnavailable):
            await service.pause(PAUSE)
        assert not gate.is_open
        assert "the pause that op asked for is in force" in service.log_check().reason
        told = pause_status(it.live.state.fleet, service.unwritten_pause)
        assert (told["paused"], told["pause_unwritten"], told["pause"]["actor"]) == (True, True, "op")
        assert service._begun_check().reason == "waiting for the log before any wallet acts"
        it.disk.full = ""
        yield it, service, gate


async def test_a_pause_that_cannot_be_written_shuts_the_gate_until_it_is_ended(
    pausing_without_a_log: tuple[Fixture, FleetService, Gate],
):
    it, service, gate = pausing_without_a_log
    await service.resume(PAUSE)
    await service.log_recovered()
    assert gate.is_open
    assert it.live.state.fleet.paused is None
    assert pause_status(it.live.state.fleet, service.unwritten_pause)["paused"] is False


async def test_a_pause_that_could_not_be_written_is_written_once_the_log_takes_it(
    pausing_without_a_log: tuple[Fixture, FleetService, Gate],
):
    it, service, gate = pausing_without_a_log
    await service.log_recovered()
    assert not gate.is_open
    assert it.live.state.fleet.paused is not None
    assert it.live.state.fleet.paused.actor == "op"
    told = pause_status(it.live.state.fleet, service.unwritten_pause)
    assert (told["paused"], told["pause_unwritten"]) == (True, False)
    await service.log_recovered()
    assert [type(each.event) for each in it.told].count(ev.FleetPaused) == 1


@pytest.mark.parametrize(("words", "goes"), [(("pause", "resume"), True), (("resume", "pause"), False)])
async def test_the_last_word_counts_where_the_pause_fails_while_the_resume_is_under_way(
    pausing_without_a_log: tuple[Fixture, FleetService, Gate],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, str],
    goes: bool,
):
    """The resume was answered, and the fleet stood still: the pause before it failed later, and was written after all."""
    it, service, gate = pausing_without_a_log
    await service.resume(PAUSE)
    resuming, failed = asyncio.Event(), asyncio.Event()

    async def obey(live: LiveState, command: AdminCommand, decide: Any) -> Obeyed:
        if command.command == "pause" and not failed.is_set():
            await resuming.wait()
            failed.set()
            raise LogUnavailable("disk full")
        resuming.set()
        await failed.wait()
        return await commands.obey(live, command, decide)

    monkeypatch.setattr(engine_service, "obey", obey)
    asked = []
    for word in words:
        command = msgspec.structs.replace(PAUSE, command=word, request_id=word)
        asked.append(asyncio.create_task(getattr(service, word)(command)))
        await asyncio.sleep(0)
    await asyncio.gather(*asked, return_exceptions=True)
    assert gate.is_open is goes
    await service.log_recovered()
    assert gate.is_open is goes
    assert (it.live.state.fleet.paused is None) is goes


async def test_a_cancelled_asker_leaves_a_whole_commit_or_none():
    async with live_state() as it:
        it.hold.clear()
        committing = asyncio.create_task(it.live.commit(opening("w0")))
        for _ in range(10):
            await asyncio.sleep(0)
        committing.cancel()
        it.hold.set()
        await it.live.write([])
        rows = [recorded async for recorded in it.log.read()]
        assert encode_state(fold(rows)) == encode_state(it.live.state)
        assert it.live.state.wallets["w0"].pending
