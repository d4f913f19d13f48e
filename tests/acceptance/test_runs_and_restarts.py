"""Started, stopped, killed, started again: nothing lost, nothing doubled, and the right refusals."""

import asyncio
import time
from pathlib import Path

import pytest

from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.launch import running_anvil
from ghostfleet.domain import events as ev
from ghostfleet.engine.recovery import recover
from tests.acceptance.agreement import assert_agreement, differences
from tests.acceptance.service_process import Fleet, until
from tests.findings import nothing

IN_TIME_SECS = 10.0
"""What a graceful stop may take (issue 2)."""
pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]


async def test_it_runs_and_every_transaction_is_in_the_log_as_it_is_on_chain(fleet: Fleet):
    """The daily health check of RUNBOOK.md, and IR-005: what did it do?"""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(3)
        assert (await service.get("/health"))["status"] == "healthy"
        await service.settled()
        status = await service.get("/admin/status")
        listed = await fleet.command("audit", "transactions", "--json")
        tx = listed.lines[0]["hash"]
        up = await fleet.command("audit", "transaction", tx, "--json")
        assert up.lines == [await service.get(f"/audit/transactions/{tx}")]
        events = (await service.get("/audit/events?type=TransactionMined&limit=5"))["events"]
        over_cli = await fleet.command("audit", "events", "--type", "TransactionMined", "--limit", "5", "--json")
        assert over_cli.lines == events
        exported = await service.get("/audit/export")
        assert await service.terminate() == 0
    assert len(listed.lines) == sum(wallet["actions"]["decided"] for wallet in status["wallets"])
    assert {line["status"] for line in listed.lines} <= {"mined", "final"}
    down = await fleet.command("audit", "transaction", tx, "--json")
    assert down.out == up.out
    assert (await fleet.command("audit", "export")).out.startswith(exported)
    timeline = await fleet.command("audit", "wallet", "wallet-001", "--json")
    assert {line["stream"] for line in timeline.lines} == {"wallet/wallet-001"}
    for question in (
        ("wallet", "walet-001"),
        ("events", "--wallet", "walet-001"),
        ("transactions", "--wallet", "walet-001"),
    ):
        misspelt = await fleet.command("audit", *question)
        assert (misspelt.code, misspelt.out) == (2, "")
        assert misspelt.err == "ghost-fleet: error: the log knows no wallet walet-001; did you mean wallet-001?\n"
    assert (await fleet.command("audit", "verify")).code == 0
    await assert_agreement(fleet)


@pytest.mark.long
async def test_killed_three_times_under_load_it_carries_on(fleet: Fleet):
    for _ in range(3):
        async with fleet.service() as service:
            await service.ready()
            await fleet.acted(1)
            await asyncio.sleep(0.3)
            await service.kill()
        by_fold = await fleet.command("audit", "state", "--json", "--by", "fold")
        by_snapshot = await fleet.command("audit", "state", "--json", "--by", "snapshot")
        assert by_fold.out == by_snapshot.out
        assert by_fold.code == 0
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    await assert_agreement(fleet)
    stops = await fleet.recorded(ev.ServiceStarted, ev.ServiceStopped)
    assert [type(each.event) for each in stops] == [ev.ServiceStarted] * 4 + [ev.ServiceStopped]


async def test_sigterm_under_load_ends_in_time_and_leaves_open_slots_to_the_next_start(
    fleet: Fleet, chain: DevnetClient
):
    """MP-003: it ends within 10 seconds, and open transactions are left to the next start."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await chain.call("evm_setIntervalMining", 0)
        await until(lambda: _have_open(fleet, set(fleet.wallets)), "an open slot of every wallet")
        started = time.monotonic()
        assert await service.terminate() == 0
        assert time.monotonic() - started < IN_TIME_SECS
    left = [row for row in await fleet.attempts() if row.status == "open"]
    assert {row.wallet for row in left} == set(fleet.wallets)
    await chain.call("evm_setIntervalMining", 1)
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        assert await service.terminate() == 0
    after = {row.hash: row.status for row in await fleet.attempts()}
    assert {after[row.hash] for row in left} <= {"mined", "final"}
    await assert_agreement(fleet)


async def test_a_second_service_on_the_same_log_refuses_and_names_the_first(fleet: Fleet):
    """MP-003: two services never run on one log."""
    async with fleet.service() as first:
        await first.ready()
        async with fleet.service() as second:
            assert await second.ended() == 3
            assert f"process {first.pid} on " in second.output
            assert "Traceback" not in second.output
        await fleet.acted(1)
        await first.settled()
        assert await first.terminate() == 0
    await assert_agreement(fleet)


@pytest.mark.parametrize(("chain_id", "args"), [(31338, ()), (31337, ("--timestamp", "1700000000"))])
async def test_another_chain_than_the_logs_is_refused_before_anything_is_signed(
    fleet: Fleet, chain_id: int, args: tuple[str, ...]
):
    """IR-001: exit code 3 is a refusal to go on; the last line names the reason."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        await service.post("/admin/resume")
        await service.terminate()
    head = await fleet.head()
    other = running_anvil(block_time_secs=0.5, chain_id=chain_id, args=args)
    async with other as elsewhere, connected(elsewhere.url) as client:
        settings: dict[str, object] = {"chain.rpc_url": elsewhere.url, "chain.chain_id": chain_id}
        async with fleet.service(settings=settings) as service:
            assert await service.ended() == 3
            last = service.output.splitlines()[-1]
        assert "chain" in last
        assert "rpc_url" in last
        pool = await client.call("txpool_status")
        assert int(pool["pending"], 16) == int(pool["queued"], 16) == 0
    signed = await fleet.recorded(ev.TransactionSigned, ev.ActionDecided)
    assert all(each.position <= head for each in signed)


async def test_an_endpoint_of_another_chain_than_the_settings_is_refused_at_the_first_start(fleet: Fleet):
    async with fleet.service(settings={"chain.chain_id": 31338}) as service:
        assert await service.ended() == 3
        assert "serves chain 31337, [chain] chain_id is 31338" in service.output
    assert await fleet.recorded() == []


async def test_a_dry_run_decides_and_sends_nothing(fleet: Fleet):
    async with fleet.service("--dry-run") as service:
        await service.ready()
        await fleet.see(ev.ActionDecided, count=12)
        assert (await service.get("/admin/status"))["dry_run"] is True
        assert await service.terminate() == 0
    assert await fleet.recorded(ev.TransactionSigned, ev.BroadcastAccepted, ev.BroadcastFailed) == []
    assert {each.event.error_class for each in await fleet.recorded(ev.ActionRejected)} == {"dry_run"}  # type: ignore[attr-defined]
    assert [await fleet.nonce(wallet, "pending") for wallet in fleet.wallets] == [0] * 6
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        await service.terminate()
    await assert_agreement(fleet)


async def test_a_wallet_taken_out_retires_and_comes_back_where_it_was(fleet: Fleet, chain: DevnetClient):
    """MP-001 and MP-002: wallets are added and taken out between runs; an open transaction is followed to its end."""
    table = fleet.without_wallet("wallet-006")
    async with fleet.service() as service:  # five wallets; the sixth is added later
        await service.ready()
        await fleet.acted(1)
        await chain.call("evm_setIntervalMining", 0)
        await until(lambda: _have_open(fleet, {"wallet-001"}), "an open slot of the wallet")
        await service.terminate()
    fleet.config.write_text(fleet.config.read_text() + table)
    retired = fleet.without_wallet("wallet-001")
    async with fleet.service() as service:
        await service.ready()
        await fleet.see(ev.WalletRetired, wallet="wallet-001")
        head = await fleet.head()
        await chain.call("evm_setIntervalMining", 1)
        await fleet.see(
            ev.TransactionMined, wallet="wallet-001", after=head
        )  # the slot that was open when it was taken out
        await fleet.acted(1, wallets=[f"wallet-{n:03d}" for n in (2, 3, 4, 5, 6)])
        assert await fleet.recorded(ev.ActionDecided, wallet="wallet-001") == [
            each for each in await fleet.recorded(ev.ActionDecided, wallet="wallet-001") if each.position <= head
        ]
        await service.settled()
        await service.post("/admin/resume")
        await service.terminate()
    fleet.config.write_text(fleet.config.read_text() + retired)
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        await service.terminate()
    await assert_agreement(fleet)


async def test_a_gap_filled_by_a_snapshot_is_the_same_state_as_the_whole_log(fleet: Fleet):
    """P6: deleting the caches loses nothing."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(2)
        await service.settled()
        assert await service.terminate() == 0
    async with fleet.log() as log:
        whole, quick = await recover(log, use_snapshot=False), await recover(log)
    assert whole == quick
    nothing(await differences(fleet))


async def test_an_old_backup_goes_on_without_using_a_nonce_twice(fleet: Fleet, tmp_path: Path):
    """MP-005: what the restored log does not know is found on chain and recorded as sent from outside."""
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.settled()
        backup = tmp_path / "backup.db"
        await asyncio.to_thread(_backup, fleet.database, backup)
        await service.post("/admin/resume")
        await fleet.acted(2)
        await service.settled()
        await service.terminate()
    newer = {row.hash for row in await fleet.attempts()}
    for old in fleet.database.parent.glob("ghostfleet.db*"):
        if old.suffix != ".witness" and not old.name.endswith(".witness"):
            old.unlink()
    fleet.database.write_bytes(backup.read_bytes())
    async with fleet.service() as service:
        assert await service.ended() == 3  # the witness beside the log knows better
        assert "older copy" in service.output
    fleet.database.with_name(fleet.database.name + ".witness").unlink()
    older = {row.hash for row in await fleet.attempts()}
    async with fleet.service() as service:
        await service.ready()
        await service.post("/admin/resume")
        await fleet.acted(1)
        await service.settled()
        await service.terminate()
    seen = {each.event.hash for each in await fleet.recorded(ev.OutsideTransactionSeen)}  # type: ignore[attr-defined]
    assert newer - older == seen
    assert {each.wallet for each in await fleet.recorded(ev.NonceResynced)} == set(fleet.wallets)
    found = await differences(fleet)
    nothing(each for each in found if "transfers took effect" not in each)  # what the lost part of the log did


async def _have_open(fleet: Fleet, wallets: set[str]) -> bool:
    """Whether each of them has sent what no block holds yet."""
    return wallets <= {row.wallet for row in await fleet.attempts() if row.status == "open"}


def _backup(source: Path, target: Path) -> None:
    import sqlite3

    with sqlite3.connect(source) as log, sqlite3.connect(target) as copy:
        log.backup(copy)
    log.close()
    copy.close()
