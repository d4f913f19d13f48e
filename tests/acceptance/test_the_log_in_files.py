"""Backup beside the running service, restore and archive with the commands that an operator types, against a real chain."""

import json
import sqlite3
from contextlib import closing

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash
from tests.acceptance.agreement import assert_agreement, reading
from tests.acceptance.service_process import Fleet, prepared_fleet

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(900), pytest.mark.parametrize("anvil", [0.3], indirect=True)]


@pytest.fixture
async def fleet(chain: DevnetClient, tmp_path) -> Fleet:
    return await prepared_fleet(
        chain,
        tmp_path / "fleet",
        wallets=3,
        chain__finality_blocks=3,
        chain__block_time_secs=0.3,
        fees__stuck_after_secs=3,
    )


@pytest.mark.long
async def test_backed_up_under_load_restored_over_a_newer_log_and_reconciled(fleet: Fleet) -> None:
    """What happened on chain after the backup is told, and the fleet goes on after it: no nonce is used twice."""
    file = str(fleet.directory / "backup.gz")
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted()
        made = await fleet.command("db", "backup", file, "--json")
        assert made.code == 0, made.err
        position = made.lines[0]["position"]
        again = await fleet.command("db", "backup", file)
        assert (again.code, "--force to replace it" in again.err) == (2, True), again.err
        busy = await fleet.command("db", "restore", file, "--force")
        assert (busy.code, f"process {service.pid} on " in busy.err) == (3, True), busy.err
        await fleet.acted(each=2)
        await service.settled()
        assert await service.terminate() == 0

    newer = await fleet.command("db", "restore", file)
    assert (newer.code, "events after the backup's last one" in newer.err) == (3, True), newer.err
    done = await fleet.command("db", "restore", file, "--force", "--json")
    assert done.code == 0, done.err
    told = done.lines[0]
    assert (told["position"], told["chain_skipped"]) == (position, "")
    assert {it["wallet"] for it in told["chain"]["wallets"]} == set(fleet.wallets)
    for ahead in told["chain"]["wallets"]:
        assert len(ahead["unknown"]) == ahead["chain_nonce"] - ahead["log_nonce"] > 0
    kept = await fleet.command("audit", "verify", "--json")
    (restored,) = (await fleet.command("audit", "events", "--type", "LogRestored", "--json")).lines
    carried_over = restored["data"]["effects"]
    assert (kept.code, kept.lines[0]["rows"]) == (0, position + 1 + carried_over)
    assert carried_over >= len(fleet.wallets), "what their limits count today, at least"
    with closing(sqlite3.connect(told["aside"])) as aside:
        assert aside.execute("SELECT max(position) FROM events").fetchone()[0] == told["replaced_position"]

    resumed_from = await fleet.head()
    async with fleet.service() as service:
        await service.ready()
        assert (await service.get("/admin/status"))["pause"]["actor"] == "restore", "the replaced log was paused"
        await service.post("/admin/resume")
        await fleet.acted()
        await fleet.see(ev.NonceResynced, count=3, after=resumed_from)
        await service.settled()
        assert await service.terminate() == 0
    async with reading(fleet.chain.url) as chain:
        for wallet, address in fleet.wallets.items():
            nonces = [row.nonce for row in await fleet.attempts() if row.wallet == wallet and row.attempt == 1]
            assert len(nonces) == len(set(nonces)), "one action, one nonce"
            assert max(nonces) < await chain.nonce(address)


async def test_a_backup_made_by_hand_is_in_the_log_with_the_service_up_and_down(fleet: Fleet) -> None:
    async def back_up(name: str, *options: str) -> dict[str, object]:
        made = await fleet.command("db", "backup", str(fleet.directory / name), "--json", *options)
        assert made.code == 0, made.err
        told: dict[str, object] = made.lines[0]
        assert bool(told["recorded"]) is (told["not_recorded"] == "") is ("it is not in the log" not in made.err)
        return told

    async with fleet.service() as service:
        fleet.settings["admin.port"] = int(service.url.rpartition(":")[2])
        await service.ready()
        up = await back_up("up.gz", "--reason", "before the upgrade")
        fleet.settings["admin.port"] = 1  # where nobody answers, while a service holds the log
        untold = await back_up("untold.gz")
        assert f"is written by process {service.pid}" in str(untold["not_recorded"])
        assert await service.terminate() == 0
    down = await back_up("down.gz")
    doctor = await fleet.command("doctor")
    assert "the newest by hand is of" in doctor.out
    assert (up["recorded"], untold["recorded"], down["recorded"]) == (True, False, True)
    made = [each.event for each in await fleet.recorded(ev.BackupMade)]
    assert made == [
        ev.BackupMade(
            file=str(fleet.directory / name),
            position=told["position"],
            head_hash=Hash.from_hex(str(told["head_hash"])),
            size_bytes=told["size_bytes"],
            actor="local",
        )
        for name, told in (("up.gz", up), ("down.gz", down))
    ]
    commands = [it.event for it in await fleet.recorded(ev.AdminCommandReceived)]
    asked = [(it.command, it.remote, it.reason) for it in commands if isinstance(it, ev.AdminCommandReceived)]
    assert asked == [("record_backup", "127.0.0.1", "before the upgrade"), ("record_backup", "offline", "")]
    assert (await fleet.command("audit", "verify")).code == 0


@pytest.mark.long
async def test_archived_events_are_explained_while_the_fleet_goes_on(fleet: Fleet) -> None:
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(each=2)
        running = await fleet.command(
            "db", "archive", "--before", "2100-01-01", "--to", str(fleet.directory / "old.db"), "--yes"
        )
        assert (running.code, f"process {service.pid} on " in running.err) == (3, True), running.err
        assert await service.terminate() == 0
    first = next(row for row in await fleet.attempts() if row.status == "final")
    before = (await fleet.command("audit", "transaction", str(first.hash), "--json")).lines
    events = await fleet.head()
    archive = ("db", "archive", "--before", "2100-01-01")
    unasked = await fleet.command(*archive)
    assert (unasked.code, "release 0.1.0 refuses this log" in unasked.err) == (2, True), unasked.err
    done = await fleet.command(*archive, "--yes", "--json")
    assert done.code == 0, done.err
    assert 0 < done.lines[0]["events"] <= events
    archived = fleet.directory / "archive-before-21000101T000000.db"
    assert archived.exists()

    async with fleet.service() as service:
        await service.ready()
        await fleet.acted()
        assert (await fleet.command("audit", "transaction", str(first.hash), "--json")).lines == before
        story = await service.get(f"/audit/transactions/{first.hash}")
        assert story == before[0]
        page = await service.get("/audit/events?limit=5")
        assert [it["position"] for it in page["events"]] == [1, 2, 3, 4, 5]
        archived.rename(fleet.directory / "taken-away.db")
        page = await service.get("/audit/events?limit=5")
        assert page["events"][0]["position"] == done.lines[0]["last_position"] + 1
        assert f"are in archive {archived.name}, which is not in" in page["missing"][0]
        (fleet.directory / "taken-away.db").rename(archived)
        await service.settled()
        assert await service.terminate() == 0
    await assert_agreement(fleet)
    archived.unlink()
    verified = await fleet.command("audit", "verify")
    assert (verified.code, "not verified" in verified.err) == (0, True)
    status = await fleet.command("db", "status", "--json")
    assert status.lines[0]["archived"] == done.lines[0]["last_position"]


async def test_the_service_makes_backups_by_schedule(fleet: Fleet) -> None:
    fleet.settings |= {"backup.dir": "backups", "backup.every_secs": 1, "backup.keep": 2}
    async with fleet.service() as service:
        await service.ready()
        await fleet.see(ev.BackupMade, count=3)
        metrics = await service.get("/metrics")
        assert 'ghost_fleet_backups_total{outcome="failed"} 0.0' in metrics
        assert await service.terminate() == 0
    kept = sorted(it.name for it in (fleet.directory / "backups").glob("*.db.gz"))
    made = [it.event for it in await fleet.recorded(ev.BackupMade)]
    assert len(kept) == 2
    assert made[-1].file == kept[-1] or made[-1].file == kept[0]
    file = fleet.directory / "backups" / kept[0]
    restored = await fleet.command("db", "restore", str(file), "--force", "--no-chain", "--json")
    assert restored.code == 0, restored.err
    assert json.loads(restored.out)["chain_skipped"] == "--no-chain"
