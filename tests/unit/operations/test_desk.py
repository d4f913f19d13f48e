"""Who asks again for an operation is told which one it is, also where that one ends in the same moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from ghostfleet.domain import events as ev
from ghostfleet.domain import operating
from ghostfleet.domain.state import Candidate
from ghostfleet.domain.values import Address, WalletId
from ghostfleet.engine.lending import LendingSigner
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.recovery import recover
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.keys.keyring import Keyring, signing_key
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.desk import Keyfile, OperationDesk
from ghostfleet.operations.wishes import BadWish, Extraction, Funding
from ghostfleet.store.log import open_log
from tests.unit.engine.live_stage import decided

WALLET = ev.NewEvent(
    "wallet/w1",
    ev.WalletRegistered(address=Address(bytes(19) + b"\1"), profile="p", plugin="transfer", first_turn_us=0),
    "",
)
PAUSED = ev.NewEvent(ev.FLEET_STREAM, ev.FleetPaused(actor="op", reason="drill"), "")


class Clock:
    def now_us(self) -> int:
        return 1


@asynccontextmanager
async def desk_over(
    tmp_path: Path, *events: ev.NewEvent, dry_run: bool = False
) -> AsyncIterator[tuple[OperationDesk, LiveState, LendingSigner]]:
    """Where operations are asked for, over the log there, with these events more."""
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    live = LiveState(await recover(log), log, Clock(), lambda _row: None)
    commits = asyncio.create_task(live.run())
    await live.write(events)
    world = SimpleNamespace(state=live.state, live=live, plugins={}, dry_run=dry_run, clock=Clock())
    lending = LendingSigner(KeyringSigner(Keyring({})))
    try:
        yield OperationDesk(cast(Any, world), log, cast(Any, None), lending), live, lending
    finally:
        commits.cancel()
        await asyncio.wait([commits])
        await log.close()


def command(number: int) -> AdminCommand:
    return AdminCommand(command="fund", actor="op", remote="", request_id=f"r{number}")


async def test_a_key_is_lent_for_as_long_as_its_operation_is_open_and_not_at_all_where_none_comes_of_it(
    tmp_path: Path,
) -> None:
    secret, password = Secret(b"\x11" * 32), Secret(b"a password")
    funder = signing_key(secret).address
    write_keystore(tmp_path / "funder.json", secret, password, scrypt_n=2)
    keyfile = Keyfile(tmp_path / "funder.json", password)
    asked = Funding(funder=str(funder), targets={"w1": str(Address(bytes(19) + b"\1"))}, native_wei="1", again="payday")
    async with desk_over(tmp_path, WALLET, dry_run=True) as (desk, _, lending):
        with pytest.raises(BadWish, match="dry run"):
            await desk.start(command(0), desk.wish(asked), keyfile)
        assert not lending._lent
    async with desk_over(tmp_path) as (desk, live, lending):
        begun = await desk.start(command(1), desk.wish(asked), keyfile)
        assert lending._lent
        with pytest.raises(BadWish, match="does not open"):
            await desk.start(command(2), desk.wish(asked), Keyfile(keyfile.file, Secret(b"another")))
        assert lending._lent, "the operation that is open needs it"
        name = operating.funder_id(funder)
        step = msgspec.structs.replace(decided(name), operation=begun.operation, step="w1/native")
        await live.write([ev.NewEvent(ev.wallet_stream(name), step)])
        finish = partial(operating.finish, operation_id=begun.operation, outcome="done", actor="op", summary={})
        await live.commit(finish)
        lending.take_back(WalletId(name))
        assert (await desk.start(command(3), desk.wish(asked), keyfile)).before, "it was paid"
        assert not lending._lent


async def test_asked_for_again_in_the_moment_in_which_it_ends(tmp_path: Path) -> None:
    """Found by make crashtest-money: "the same operation ended just now, ask again", to somebody who had asked in time."""
    async with desk_over(tmp_path, WALLET, PAUSED) as (desk, live, _):
        wish = desk.wish(Extraction(to=str(Address(bytes(19) + b"\2")), wallets=("w1",)))
        first = await desk.start(command(1), wish)

        def ends(state: Candidate, now_us: int) -> list[ev.NewEvent]:
            return operating.finish(
                state, now_us, operation_id=first.operation, outcome="done", actor="the fleet", summary={}
            )

        again, _ = await asyncio.gather(desk.start(command(2), wish), live.commit(ends))
        assert live.state.fleet.operation(first.operation) is None, "it had ended before the answer was made"
        assert again.operation == first.operation
