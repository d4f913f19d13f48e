"""A LiveState over a log in memory whose disk a test can hold, fill or let lie, and decisions to commit to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import Address, Call, Fees, Hash, Octets
from ghostfleet.engine.state import LiveState
from ghostfleet.store.log import EventLog
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder

ADDRESS = Address(b"\x22" * 20)
NOW_US = 1_700_000_000_000_000


class Clock:
    def now_us(self) -> int:
        return NOW_US


class Fixture:
    """A live state over a log in memory whose sync a test can hold or break."""

    def __init__(self, log: EventLog, disk: MemoryDisk, hold: asyncio.Event) -> None:
        self.log, self.disk, self.hold = log, disk, hold
        self.told: list[ev.Recorded] = []
        self.live = LiveState(State(), log, Clock(), self.told.append)


@asynccontextmanager
async def live_state(wallets: int = 1, recorder: type[MemoryRecorder] = MemoryRecorder) -> AsyncIterator[Fixture]:
    """Each commit of the log waits for `hold`, which is set."""
    disk = MemoryDisk()
    hold = asyncio.Event()
    hold.set()
    fixture = Fixture(await EventLog.over(recorder(disk, hold.wait)), disk, hold)
    running = asyncio.create_task(fixture.live.run())
    try:
        for number in range(wallets):
            registered = ev.WalletRegistered(address=ADDRESS, profile="p", plugin="t", first_turn_us=0)
            await fixture.live.write([ev.NewEvent(f"wallet/w{number}", registered)])
        yield fixture
    finally:
        hold.set()
        running.cancel()
        await asyncio.wait([running])


def decided(name: str, number: int = 1) -> ev.ActionDecided:
    return ev.ActionDecided(
        action_id=f"{name}/{number}",
        plugin="t",
        kind="k",
        params={},
        seed=1,
        observation={},
        profile="p",
        config_digest="",
        call=Call(to=ADDRESS),
        spend_wei=0,
        balance_wei=1,
        next_turn_us=0,
    )


def signed(name: str, number: int = 1, nonce: int = 0) -> ev.TransactionSigned:
    return ev.TransactionSigned(
        action_id=f"{name}/{number}",
        nonce=nonce,
        attempt=1,
        purpose="action",
        hash=Hash(f"{name}{nonce}".encode().ljust(32, b"\0")),
        raw=Octets(b"\x02"),
        to=ADDRESS,
        value_wei=0,
        gas=21_000,
        fees=Fees(1, 0),
    )


def opening(name: str, rules: Rules | None = None):
    return partial(decisions.open_slot, name=name, decided=decided(name), signed=signed(name), rules=rules or Rules())


def pausing(state: Candidate, now_us: int, *, actor: str) -> Sequence[ev.NewEvent]:
    return decisions.pause(state, actor, "")
