"""When is a checkpoint due, who signs it, and what becomes of a signer that does not answer?"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain.checkpoint import checkpoint_text, text_of
from ghostfleet.domain.state import State, fold
from ghostfleet.domain.values import HOUR_US, SECOND_US, Address, Hash, WalletId
from ghostfleet.engine.lending import LendingSigner
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.keys.far import SignerUnavailable
from ghostfleet.keys.keyring import Keyring
from ghostfleet.keys.messages import signer_of_text
from ghostfleet.operations import checkpoints as module
from ghostfleet.operations.checkpoints import RETRY_SECS, Checkpoints
from ghostfleet.store.checkpoints import Asked
from ghostfleet.store.log import EventLog
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder

SECRETS = {WalletId(f"w{n}"): bytes([n]) * 32 for n in (1, 2, 3, 4)}
GENESIS_HASH = Hash(b"\x07" * 32)
STARTED = ev.ServiceStarted(version="0.3.0", config_digest="d", chain_id=6343, genesis_hash=GENESIS_HASH)
PAUSED = ev.FleetPaused(actor="ada")


class Clock:
    us = 1_767_225_600_000_000

    def now_us(self) -> int:
        return self.us


class Signer(LendingSigner):
    """Signs with the keys of a fleet; `silent` raises or waits in place of signing."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(KeyringSigner(keyring))
        self.asked: list[WalletId] = []
        self.was_asked = asyncio.Event()
        self.silent: Any = None

    async def sign_message(self, wallet: WalletId, text: bytes) -> Any:
        self.asked.append(wallet)
        self.was_asked.set()
        if isinstance(self.silent, Exception):
            raise self.silent
        if self.silent is not None:
            await self.silent.wait()
        return await super().sign_message(wallet, text)


class Stage:
    """A fleet of four wallets that has just started, with a checkpoint an hour."""

    def __init__(self, log: EventLog) -> None:
        self.log, self.clock = log, Clock()
        self.live = LiveState(State(), log, self.clock, lambda _recorded: None)
        self.keyring = Keyring.of(SECRETS)
        self.signer = Signer(self.keyring)
        self.addresses = {name: self.keyring.address(name) for name in SECRETS}
        self.tuning = SimpleNamespace(checkpoint_secs=3600.0)
        self.world: Any = SimpleNamespace(
            live=self.live,
            clock=self.clock,
            signer=self.signer,
            in_force=SimpleNamespace(now=self.tuning),
            dry_run=False,
            state=self.live.state,
        )
        self.checkpoints = Checkpoints(self.world, log)

    async def write(self, *events: ev.Event) -> None:
        await self.live.write([ev.NewEvent(ev.FLEET_STREAM, event) for event in events])

    async def an_hour(self) -> None:
        """Something happens, and an hour goes by."""
        await self.write(PAUSED)
        self.clock.us += HOUR_US

    async def written(self) -> list[ev.Recorded]:
        return [it async for it in self.log.read() if isinstance(it.event, ev.HeadSigned | ev.HeadNotSigned)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(await EventLog.over(MemoryRecorder(MemoryDisk())))
    running = asyncio.create_task(stage.live.run())
    await stage.write(STARTED)
    for name, address in stage.addresses.items():
        registered = ev.WalletRegistered(address=address, profile="p", plugin="t", first_turn_us=0)
        await stage.live.write([ev.NewEvent(f"wallet/{name}", registered)])
    yield stage
    running.cancel()
    await asyncio.wait([running])


def test_the_text_is_the_whole_statement_and_ends_without_a_newline() -> None:
    text = checkpoint_text(6343, GENESIS_HASH, 812, Hash(b"\xab" * 32))
    assert text == (f"Ghost Fleet checkpoint 1\nchain 6343\ngenesis 0x{'07' * 32}\nposition 812\nhash 0x{'ab' * 32}")


async def test_the_head_is_signed_by_the_first_active_wallet_and_its_signature_recovers_to_it(stage: Stage) -> None:
    await stage.live.write([ev.NewEvent("wallet/w1", ev.WalletRetired(reason="gone"))])
    head = stage.log.head
    assert stage.checkpoints.due
    await stage.checkpoints.write()
    (written,) = await stage.written()
    signed = written.event
    assert isinstance(signed, ev.HeadSigned)
    assert (signed.position, signed.head_hash) == (head.position, head.hash)
    assert (signed.chain_id, signed.genesis_hash) == (6343, GENESIS_HASH)
    assert written.position == head.position + 1
    assert signed.signer == stage.addresses[WalletId("w2")]
    assert signer_of_text(text_of(signed).encode(), signed.signature) == signed.signer
    kept = stage.live.state.fleet.signed_head
    assert kept is not None
    assert (kept.position, kept.head_hash, kept.time_us) == (head.position, head.hash, stage.clock.us)
    found = await stage.log.verify(asked=Asked(signer_of=signer_of_text))
    assert (found.ok, found.checkpoints) == (True, 1)


async def test_the_next_one_is_due_when_the_interval_is_over_and_a_restart_hands_out_no_fresh_one(stage: Stage) -> None:
    await stage.checkpoints.write()
    await stage.write(PAUSED)
    stage.clock.us += HOUR_US - 1
    assert not stage.checkpoints.due
    assert not Checkpoints(stage.world, stage.log).due
    stage.clock.us += 1
    assert Checkpoints(stage.world, stage.log).due
    assert stage.checkpoints.due


async def test_nothing_is_written_where_nothing_has_happened_since_the_last_one(stage: Stage) -> None:
    await stage.checkpoints.write()
    stage.clock.us += 5 * HOUR_US
    assert not stage.checkpoints.due
    assert await stage.checkpoints.at_a_stop() == ()
    await stage.write(PAUSED)
    assert stage.checkpoints.due
    assert len(await stage.checkpoints.at_a_stop()) == 1


async def test_what_was_recorded_while_the_signature_was_made_counts_as_new(stage: Stage) -> None:
    stage.signer.silent = asyncio.Event()
    writing = asyncio.create_task(stage.checkpoints.write())
    await stage.signer.was_asked.wait()
    await stage.write(PAUSED)
    stage.signer.silent.set()
    await writing
    (written,) = await stage.written()
    assert isinstance(written.event, ev.HeadSigned)
    assert written.position == written.event.position + 2
    stage.clock.us += HOUR_US
    assert stage.checkpoints.due
    assert (await stage.log.verify(asked=Asked(signer_of=signer_of_text))).checkpoints == 1


@pytest.mark.parametrize("why", ["the settings want none", "a dry run"])
async def test_none_is_due_where_none_is_wanted(stage: Stage, why: str) -> None:
    assert stage.checkpoints.due
    if why == "a dry run":
        stage.world.dry_run = True
    else:
        stage.tuning.checkpoint_secs = 0.0
    assert not stage.checkpoints.due
    assert await stage.checkpoints.at_a_stop() == ()
    assert stage.signer.asked == []


async def test_other_settings_count_from_the_moment_they_are_in_force(stage: Stage) -> None:
    await stage.checkpoints.write()
    await stage.write(PAUSED)
    stage.clock.us += 60 * SECOND_US
    assert not stage.checkpoints.due
    stage.tuning.checkpoint_secs = 60.0
    assert stage.checkpoints.due


async def test_a_clock_that_is_put_back_does_not_end_them(stage: Stage) -> None:
    await stage.checkpoints.write()
    await stage.write(PAUSED)
    stage.clock.us -= 48 * HOUR_US
    assert stage.checkpoints.due


async def test_a_signer_that_does_not_answer_is_said_once_until_it_does(stage: Stage) -> None:
    stage.signer.silent = SignerUnavailable("kms does not answer within 5 s")
    for _ in range(3):
        assert stage.checkpoints.due
        await stage.checkpoints.write()
        assert not stage.checkpoints.due, "tried again later"
        await stage.an_hour()
    assert [it.event for it in await stage.written()] == [ev.HeadNotSigned(reason="kms does not answer within 5 s")]
    assert len(stage.signer.asked) == 9, "three wallets each time, whatever the size of the fleet"
    after_a_restart = Checkpoints(stage.world, stage.log)
    assert after_a_restart.due
    await after_a_restart.write()
    assert len(await stage.written()) == 1, "nor does a restart say it again"
    stage.signer.silent = None
    await stage.checkpoints.write()
    await stage.an_hour()
    stage.signer.silent = SignerUnavailable("away again")
    await stage.checkpoints.write()
    kinds = [type(it.event).__name__ for it in await stage.written()]
    assert kinds == ["HeadNotSigned", "HeadSigned", "HeadNotSigned"]


async def test_after_a_failure_it_is_tried_again_sooner_than_after_the_interval(stage: Stage) -> None:
    stage.signer.silent = SignerUnavailable("away")
    await stage.checkpoints.write()
    stage.clock.us += int(RETRY_SECS * SECOND_US) - 1
    assert not stage.checkpoints.due
    stage.clock.us += 1
    assert stage.checkpoints.due


async def test_a_signature_under_way_is_not_asked_for_twice_and_holds_nobody_up(stage: Stage) -> None:
    stage.signer.silent = asyncio.Event()
    writing = asyncio.create_task(stage.checkpoints.write())
    await stage.signer.was_asked.wait()
    stage.clock.us += 3 * HOUR_US
    assert not stage.checkpoints.due
    await stage.write(PAUSED)
    writing.cancel()
    await asyncio.wait([writing])
    assert await stage.written() == []
    assert stage.checkpoints.due


async def test_a_stop_does_not_wait_for_a_signer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECS", 0.01)
    stage.signer.silent = asyncio.Event()
    async with asyncio.timeout(2):
        assert await stage.checkpoints.at_a_stop() == ()
    stage.signer.silent = SignerUnavailable("away")
    assert await stage.checkpoints.at_a_stop() == ()


async def test_while_keystores_are_being_opened_nothing_is_said_and_the_first_open_one_signs(stage: Stage) -> None:
    for name in SECRETS:
        stage.keyring.forget(name)
    stage.keyring.expect(SECRETS)
    await stage.checkpoints.write()
    assert (await stage.written(), stage.signer.asked) == ([], [])
    assert stage.checkpoints.due, "at the next look"
    opened = Keyring.of(SECRETS).key(WalletId("w4"))
    stage.keyring.found(WalletId("w4"), opened)
    await stage.checkpoints.write()
    (written,) = await stage.written()
    assert isinstance(written.event, ev.HeadSigned)
    assert written.event.signer == stage.addresses[WalletId("w4")]


async def test_where_no_wallet_is_active_that_is_said_once(stage: Stage) -> None:
    await stage.live.write([ev.NewEvent(f"wallet/{name}", ev.WalletRetired(reason="gone")) for name in SECRETS])
    await stage.checkpoints.write()
    assert [it.event for it in await stage.written()] == [ev.HeadNotSigned(reason="no wallet is active")]


def test_the_fold_of_a_checkpoint_is_all_that_is_remembered() -> None:
    signed = ev.HeadSigned(
        chain_id=1, genesis_hash=GENESIS_HASH, position=1, head_hash=GENESIS_HASH, signer=Address(b"\1" * 20),
        signature=Hash(bytes(32)),
    )  # fmt: skip
    events = [STARTED, ev.HeadNotSigned(reason="away"), signed]
    rows = [ev.Recorded(n + 1, ev.FLEET_STREAM, n + 1, n, "", event) for n, event in enumerate(events)]
    assert fold(rows[:2]).fleet.head_unsigned
    state = fold(rows)
    assert not state.fleet.head_unsigned
    assert state.fleet.signed_head is not None
    assert state.fleet.signed_head.time_us == 2
