"""Hundreds of wallets through one life: work, a long stop, a funding, an extraction, a rebuild.

What is right for three wallets need not be for hundreds: bounds that nobody met, questions that every lane asks by itself,
statements of many rows. Each step here has failed before with a large fleet, and with no small one.
"""

from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.prepare import prepare
from tests.acceptance.service_process import SINK, ServiceProcess, until
from tests.findings import nothing
from tests.operations.stage import SAFE, TREASURY, TREASURY_KEY, MoneyFleet, answer

WALLETS = 400
BLOCKS_MISSED = 700
"""Fewer than the headers that are remembered, so that the way down to the open slots' blocks is walked."""
HEADERS_ASKED = 5_000
"""Once that way, and the new blocks: each lane by itself would be hundreds of thousands."""

pytestmark = [
    pytest.mark.anvil,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.parametrize("anvil", [0.5], indirect=True),
]


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path: Path) -> MoneyFleet:
    directory = tmp_path / "fleet"
    await prepare(chain.url, WALLETS, directory, 0.5, plugin="transfer", transfer_to=SINK, health_port=1)
    config = directory / "config.toml"
    config.write_text(
        config.read_text() + f'\n[treasury]\naddress = "{TREASURY}"\nprivate_key = "{TREASURY_KEY}"\n', encoding="utf-8"
    )
    return MoneyFleet(directory, chain, {"chain.block_time_secs": 0.5, "chain.finality_blocks": 1_000})


async def calls_of(service: ServiceProcess, method: str) -> float:
    """How often the service has asked the chain this."""
    lines = (await service.get("/metrics")).splitlines()
    counts = [line for line in lines if line.startswith("ghost_fleet_rpc_calls_total") and f'"{method}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


async def succeeded(service: ServiceProcess, actions: int) -> bool:
    status = await service.get("/admin/status")
    return sum(it["actions"]["succeeded"] for it in status["wallets"]) >= actions


async def test_hundreds_of_wallets_work_stop_long_are_paid_emptied_and_asked_about(fleet: MoneyFleet):
    async with fleet.service() as service:
        await service.ready()
        await until(lambda: succeeded(service, 3 * WALLETS), "three actions of each wallet")
        assert await service.terminate() == 0
    await fleet.chain.call("anvil_mine", hex(BLOCKS_MISSED))
    async with fleet.service() as service:
        await service.ready()
        await until(lambda: succeeded(service, 5 * WALLETS), "two more of each")
        assert await calls_of(service, "eth_getBlockByNumber") < HEADERS_ASKED
        await service.post("/admin/pause", reason="everything out")
        paid = await fleet.run("fund", "--from", "treasury", "--native", "0.01", "--yes", "--json", url=service.url)
        assert paid.code == 0, paid.err[-2000:]
        assert set(fleet.wallets) <= set(answer(paid)["rows"])
        out = await fleet.run("extract-all", "--to", SAFE, "--yes", "--json", url=service.url)
        assert out.code == 0, out.err[-2000:]
        assert set(fleet.wallets) == set(answer(out)["rows"])
        assert await service.terminate() == 0
    addresses = [str(at) for at in fleet.wallets.values()]
    held = await fleet.chain.batch([("eth_getBalance", [at, "latest"]) for at in addresses])
    assert {int(wei, 16) for wei in held} == {0}
    listed = await fleet.run("audit", "transactions", "--json")
    rebuilt = await fleet.run("db", "rebuild")
    assert rebuilt.code == 0, rebuilt.err
    assert (await fleet.run("audit", "transactions", "--json")).out == listed.out
    by_fold, by_snapshot = [await fleet.run("audit", "state", "--by", by) for by in ("fold", "snapshot")]
    nothing([] if by_fold.out == by_snapshot.out else ["the state by fold is not the state by snapshot"])
    await fleet.agrees()
