"""The database, the log in it, and what the log says of the fleet: breakers, open slots, the service's own life."""

import asyncio
import time
from typing import TYPE_CHECKING

from ghostfleet.domain.breaker import Tripped
from ghostfleet.domain.naming import some_of
from ghostfleet.domain.values import DAY_US, MINUTE_US
from ghostfleet.operations.doctor.finding import Finding, green, red, yellow
from ghostfleet.operations.doctor.patient import Patient
from ghostfleet.store.lock import holder_of
from ghostfleet.store.log import open_log
from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, pages
from ghostfleet.store.sqlite import quick_faults
from ghostfleet.store.verification import chain_fault
from ghostfleet.telemetry.moments import clock_time, span

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog

QUICK_CHECK_SECS = 8.0
"""SQLite's own look at its pages takes so long at most; `audit verify` looks at everything, however long it takes."""
CHAIN_SECS = 8.0
OLD_SLOT_US = MINUTE_US
STUCK_SLOT_US = 10 * MINUTE_US
NAMES_TOLD = 5
RED_TRIPPED_SHARE = 0.1
"""When one in ten wallets has tripped, it is hardly the wallets."""


async def database(patient: Patient) -> Finding:
    """Does the database hold together, and does the log end where its last commit said?"""
    file = patient.database
    if file is not None and not file.exists():
        return yellow("database", f"there is no log at {file} yet", "The first start makes it.")
    if file is not None:
        fault = await asyncio.to_thread(quick_faults, file, QUICK_CHECK_SECS)
        if fault:
            return red(
                "database",
                f"{file} is damaged: {fault}",
                "Stop the service, keep the file, and restore a backup (ghost-fleet db restore). The log must not be repaired.",
            )
    log = await open_log(patient.parts.store_url, read_only=True)
    try:
        told = f"{log.head.position} events, head {str(log.head.hash)[:18]}…"
    finally:
        await log.close()
    return green("database", told)


async def hash_chain(patient: Patient) -> Finding:
    """Do the rows of the last day fit their hashes?"""
    log = await open_log(patient.parts.store_url, read_only=True, archives=patient.archives)
    try:
        return await _walk(log)
    finally:
        await log.close()


async def _walk(log: "EventLog") -> Finding:
    """Backwards from the head, page by page: each row against the one before it."""
    since_us, until = time.time_ns() // 1000 - DAY_US, time.monotonic() + CHAIN_SECS
    checked, newer = 0, None
    async for page in pages(log.rows, EventQuery(descending=True, limit=MAX_PAGE_ROWS)):
        for row in page.items:
            if newer is not None and (fault := chain_fault(newer, row.position, row.hash)):
                return red(
                    "hash chain",
                    f"position {newer.position}: {fault}",
                    "ghost-fleet audit verify names the first row that does not fit. Keep the file, restore a backup beside it.",
                )
            newer = row
            checked += 1
            if row.time_us < since_us:
                return green("hash chain", f"the last {checked - 1} events, those of a day, fit their hashes")
        if page.next is not None and time.monotonic() >= until:
            return yellow(
                "hash chain",
                f"the last {checked} events fit their hashes; those of a whole day take longer than {CHAIN_SECS:g} s",
                "ghost-fleet audit verify looks at all of them.",
            )
    return green("hash chain", f"all {checked} events fit their hashes")


async def breakers(patient: Patient) -> Finding:
    """Which wallets are left alone because of their own errors, and which cannot pay?"""
    state = await patient.state()
    wallets = [wallet for wallet in state.wallets.values() if not wallet.retired]
    tripped = [wallet.id for wallet in wallets if isinstance(wallet.breaker, Tripped)]
    if not tripped:
        return green("breakers", f"no breaker of {len(wallets)} wallets has tripped")
    told = f"{len(tripped)} of {len(wallets)} wallets have tripped: {some_of(tripped, NAMES_TOLD)}"
    remedy = f"ghost-fleet explain {tripped[0]}; ghost-fleet errors; when it is mended: ghost-fleet reset --all"
    return (
        red("breakers", told, remedy)
        if len(tripped) > RED_TRIPPED_SHARE * len(wallets)
        else yellow("breakers", told, remedy)
    )


async def slots(patient: Patient) -> Finding:
    """Which transactions has the chain not settled for more than a minute?"""
    state, now_us = await patient.state(), time.time_ns() // 1000
    opened = sorted(
        (slot.attempts[0].signed_us, wallet.id) for wallet in state.wallets.values() for slot in wallet.pending
    )
    old = [name for signed_us, name in opened if now_us - signed_us > OLD_SLOT_US]
    if not old:
        return green("open slots", f"{len(opened)} open, none older than a minute")
    oldest_us = now_us - opened[0][0]
    named, oldest = some_of(old, NAMES_TOLD), span(oldest_us)
    told = f"{len(old)} of {len(opened)} open slots are older than a minute, the oldest {oldest}: {named}"
    remedy = f"ghost-fleet explain {old[0]}"
    return red("open slots", told, remedy) if oldest_us > STUCK_SLOT_US else yellow("open slots", told, remedy)


async def fleet(patient: Patient) -> Finding:
    """Is the fleet paused or slowed down?"""
    state = await patient.state()
    pause = state.fleet.paused
    if pause is not None:
        why = f": {pause.reason}" if pause.reason else ""
        told = f"paused by {pause.actor} since {clock_time(pause.since_us)}{why}"
        return yellow("fleet", told, "When that is settled: ghost-fleet resume")
    if state.fleet.pace != 1:
        return yellow(
            "fleet", f"throttled to {state.fleet.pace:g} of its pace", "At full pace again: ghost-fleet throttle 1.0"
        )
    return green("fleet", "neither paused nor throttled")


async def service(patient: Patient) -> Finding | list[Finding]:
    """Does a service run on this log, and does it call itself ready?"""
    file = patient.database
    holder = holder_of(file) if file is not None else ""
    if holder:
        why = await asyncio.to_thread(patient.unhealthy)
        if not why:
            runs = green("service", f"runs: {holder} writes the log, and answers")
            unready = await asyncio.to_thread(patient.unready)
            remedy = (
                "Log, chain and endpoints have lines of their own. Keys that are being opened need no help; of those that"
                " cannot be used ghost-fleet errors says why."
            )
            return [runs, yellow("readiness", unready, remedy)] if unready else runs
        admin = patient.loaded.admin if patient.loaded is not None else None
        if admin is not None and admin.tls is not None and admin.tls.client_ca is not None and admin.socket is None:
            told = f"runs: {holder} writes the log; whether it answers is told only to who has a certificate (tls_client_ca)"
            return yellow(
                "service", told, "ghost-fleet status --client-cert FILE says it; with [admin] socket so do I."
            )
        return red(
            "service",
            f"runs ({holder} writes the log) and does not answer as it should: {why}",
            "Is this its address ([admin], [service] health_port)? If it hangs, restart it: it goes on from the log.",
        )
    if file is not None and not file.exists():
        return yellow("service", "has never run on this log", "Start it: systemctl start ghost-fleet")
    state = await patient.state()
    if file is None:
        return yellow(
            "service", "who writes the log stands in the database server", "ghost-fleet health says if it answers."
        )
    if not state.fleet.running:
        return yellow("service", "does not run; it was stopped in good order", "Start it: systemctl start ghost-fleet")
    return red(
        "service",
        "does not run, and it did not stop in good order: it was killed or it crashed",
        "Look at its last lines (journalctl -u ghost-fleet, docker logs ghost-fleet), then start it: it goes on from the log.",
    )
