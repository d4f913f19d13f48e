"""Who asks again for an operation is told which one it is, also where that one ends in the same moment."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ghostfleet.domain import events as ev
from ghostfleet.domain import operating
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import Address
from ghostfleet.engine.ports import AdminCommand
from ghostfleet.engine.state import LiveState
from ghostfleet.operations.desk import OperationDesk
from ghostfleet.operations.wishes import Extraction
from ghostfleet.store.log import open_log

WALLET = ev.NewEvent(
    "wallet/w1",
    ev.WalletRegistered(address=Address(bytes(19) + b"\1"), profile="p", plugin="transfer", first_turn_us=0),
    "",
)
PAUSED = ev.NewEvent(ev.FLEET_STREAM, ev.FleetPaused(actor="op", reason="drill"), "")


class Clock:
    def now_us(self) -> int:
        return 1


async def test_asked_for_again_in_the_moment_in_which_it_ends(tmp_path: Path) -> None:
    """Found by make crashtest-money: "the same operation ended just now, ask again", to somebody who had asked in time."""
    log = await open_log(f"sqlite:///{tmp_path}/log.db")
    live = LiveState(State(), log, Clock(), lambda _row: None)
    commits = asyncio.create_task(live.run())
    await live.write([WALLET, PAUSED])
    world = SimpleNamespace(state=live.state, live=live, plugins={}, dry_run=False, clock=Clock())
    desk = OperationDesk(cast(Any, world), log, cast(Any, None), cast(Any, None))
    wish = desk.wish(Extraction(to=str(Address(bytes(19) + b"\2")), wallets=("w1",)))

    def command(number: int) -> AdminCommand:
        return AdminCommand(command="extract", actor="op", remote="", request_id=f"r{number}")

    first = await desk.start(command(1), wish)

    def ends(state: Candidate, now_us: int) -> list[ev.NewEvent]:
        return operating.finish(
            state, now_us, operation_id=first.operation, outcome="done", actor="the fleet", summary={}
        )

    again, _ = await asyncio.gather(desk.start(command(2), wish), live.commit(ends))
    assert live.state.fleet.operation(first.operation) is None, "it had ended before the answer was made"
    assert again.operation == first.operation
    commits.cancel()
    await asyncio.wait([commits])
    await log.close()
