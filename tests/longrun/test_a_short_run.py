"""The long run in short: what `make longrun` does for ten minutes with a hundred wallets, so that it stays able to."""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import connected
from ghostfleet.devnet.process import Devnet
from tests.acceptance.service_process import prepared_fleet
from tests.acceptance.wire import wire_to
from tests.findings import nothing
from tests.longrun.run import long_run

pytestmark = [pytest.mark.anvil, pytest.mark.long]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("anvil", [0.5], indirect=True)
async def test_work_a_kill_on_a_pause_and_work_again(anvil: Devnet, tmp_path: Path):
    async with connected(anvil.url) as chain, wire_to(anvil.url) as wire:
        fleet = await prepared_fleet(
            chain, tmp_path / "fleet", wallets=4, interval_secs=0.5, chain__rpc_url=wire.url, chain__finality_blocks=4
        )
        summary = await long_run(fleet, wire, minutes=0.1, kills=1, watch_secs=1.0)
    nothing(summary.differences)
    assert summary.late_answers == []
    assert (summary.kills, summary.pauses, summary.left_after_a_pause) == (1, 1, 0)
    assert summary.pause_outlived_a_kill
    assert summary.transactions > summary.wallets
    assert summary.verified == summary.events
