"""A snapshot of a large fleet takes megabytes: it is saved after as many events as are worth ten of it."""

from types import SimpleNamespace
from typing import Any, cast

from ghostfleet.domain.state import State, encode_state
from ghostfleet.domain.values import Address
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.recovery import STATE_BYTES_AN_EVENT, Snapshots


class Saved:
    """Where snapshots go."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    async def save_snapshot(self, position: int, fold_version: int, state: bytes) -> None:
        self.positions.append(position)


async def positions(state: State, *, until: int) -> list[int]:
    """Where snapshots of this state are saved, events coming one by one and 20 asked for."""
    log, live = Saved(), SimpleNamespace(state=state)
    snapshots = Snapshots(cast(Any, log), cast(Any, live), 20)
    while state.position < until:
        state.position += 1
        await snapshots.if_due()
    return log.positions


async def test_a_small_one_every_so_many_events() -> None:
    assert await positions(State(), until=90) == [20, 40, 60, 80]


async def test_a_large_one_after_as_many_as_it_is_worth() -> None:
    wallets = {f"w{n}": Wallet(id=f"w{n}", address=Address(bytes(20)), profile="p", plugin="t") for n in range(20)}
    worth = len(encode_state(State(wallets=wallets))) // STATE_BYTES_AN_EVENT
    assert worth > 50
    first, second = await positions(State(wallets=wallets), until=20 + worth + 5)
    assert first == 20
    assert abs(second - first - worth) <= 1
