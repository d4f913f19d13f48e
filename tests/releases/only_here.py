"""Everything that only this release can do, asked of a running service, so that the log has it before a rollback.

It ends with what a rollback must not disturb: the pace that was asked for, and two operations under way.
"""

import json
from typing import Any

import aiohttp

from ghostfleet.devnet.accounts import dev_accounts
from ghostfleet.domain import events as ev
from ghostfleet.engine.duties import MAX_ERRANDS_AT_ONCE
from ghostfleet.keys.addresses import checksummed
from tests.acceptance.service_process import GHOST_FLEET, Fleet, ServiceProcess, until

TREASURY = dev_accounts()[7]
PAID_WEI = 123_456_789
PAID = {f"outsider-{n:03d}": f"0x{0xA000 + n:040x}" for n in range(MAX_ERRANDS_AT_ONCE + 3)}
"""Who is funded: addresses that nobody else pays, more of them than an operation has in flight at a time."""
FACTOR = 0.9
WRONG_CREDENTIALS = 12
"""More than an address may present before it is locked out."""
NOT_DONE: dict[type[ev.Event], str] = {
    ev.LogArchived: "ends the way back (decision 0013)",
    ev.LogRestored: "replaces the log; what it writes is read as every skipped event is",
    ev.FleetSpendingCarriedOver: "beside LogRestored, as that is",
    ev.SpendingCarriedOver: "beside LogRestored, as that is",
    ev.BackupFailed: "needs a disk in trouble",
    ev.HeadNotSigned: "needs a signer in trouble",
    ev.OperationSuspended: "here the previous release's pause suspends, which knows of no operation",
}


def settings_of_ours(fleet: Fleet) -> dict[str, object]:
    """Keys that the previous release does not know: a treasury, backups by schedule."""
    return {
        "treasury.address": checksummed(TREASURY.address),
        "treasury.private_key": str(TREASURY.private_key),
        "backup.dir": str(fleet.directory / "backups"),
        "backup.every_secs": 2,
    }


async def use_everything_new(fleet: Fleet, service: ServiceProcess) -> None:
    """Each of these leaves its events in the log."""
    await service.post("/admin/throttle", factor=FACTOR, reason="the provider limits us")
    await _endpoints(service)
    await _told(fleet, service, "checkin", "--reason", "on call")
    await _tokens(fleet, service)
    await _lock_out(service)
    await fleet.see(ev.BackupMade)
    await fleet.see(ev.HeadSigned)
    await fund(service, {"wallet-001": checksummed(fleet.wallets["wallet-001"])}, 1_000)
    await fleet.see(ev.OperationFinished)
    assert (await service.post("/admin/reload"))["status"]


async def fund(service: ServiceProcess, targets: dict[str, str], wei: int) -> str:
    """An operation that pays from the treasury; returns its id."""
    funding = {"funder": checksummed(TREASURY.address), "targets": targets, "native_wei": str(wei)}
    return str((await service.post("/admin/operations", kind="fund", fund=funding))["operation"])


async def operations_under_way(fleet: Fleet, service: ServiceProcess) -> None:
    """Give every open nonce away and pay the outsiders; return when all that these have in flight has been accepted."""
    await service.post("/admin/operations", kind="cancel", cancel={})
    await fund(service, PAID, PAID_WEI)
    wanted = len(fleet.wallets) + MAX_ERRANDS_AT_ONCE

    async def in_flight() -> bool:
        wallets = (await service.get("/admin/status"))["wallets"]
        slots = [slot for wallet in wallets for slot in wallet["open_slots"]]
        return len(slots) == wanted and all(slot["accepted_by"] for slot in slots)

    await until(in_flight, f"{wanted} transactions are in flight")


async def operations_end(fleet: Fleet, service: ServiceProcess) -> None:
    """The pause of the previous release suspended what was open; asked once more it ends, and everybody was paid once."""
    states = {it["kind"]: it["state"] for it in (await service.get("/admin/operations"))["operations"]}
    assert states["fund"] == "suspended"
    before = await fleet.head()
    await fund(service, PAID, PAID_WEI)
    await fleet.see(ev.OperationContinued, after=before)
    await fleet.see(ev.OperationFinished, after=before)
    balances = [int(await fleet.chain.call("eth_getBalance", address, "latest"), 16) for address in PAID.values()]
    assert set(balances) == {PAID_WEI}


async def _endpoints(service: ServiceProcess) -> None:
    endpoints = (await service.get("/admin/endpoints"))["endpoints"]
    for command in ("drain", "restore", "drain"):
        await service.post(f"/admin/endpoints/{endpoints[-1]['handle']}/{command}")


async def _tokens(fleet: Fleet, service: ServiceProcess) -> None:
    made = await _told(fleet, service, "admin", "token", "create", "journey", "--role", "operator", "--json")
    holder = ("/usr/bin/env", f"GHOST_FLEET_ADMIN_TOKEN={made[-1]['token']}", str(GHOST_FLEET))
    await _told(fleet, service, "admin", "token", "revoke", "journey", "--json", program=holder)


async def _lock_out(service: ServiceProcess) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer not-a-token-of-ours"}) as session:
        for _ in range(WRONG_CREDENTIALS):
            async with session.post(service.url + "/admin/pause") as answer:
                assert answer.status in (401, 429)


async def _told(
    fleet: Fleet, service: ServiceProcess, *arguments: str, program: tuple[str, ...] = (str(GHOST_FLEET),)
) -> list[Any]:
    done = await fleet.command(*arguments, "--url", service.url, program=program)
    assert done.code == 0, f"{arguments}: {done.code} {done.err}"
    return [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
