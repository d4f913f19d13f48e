"""The settings and the machine: can the service start here, and is there room for it to go on?"""

import os
import shutil
from pathlib import Path

from ghostfleet.operations.doctor.finding import Finding, green, red, yellow
from ghostfleet.operations.doctor.patient import Patient

PROBLEMS_TOLD = 3
RED_FREE_BYTES = 200 * 2**20
"""Under this the log may not have room for the transactions that are open."""
YELLOW_FREE_BYTES = 2 * 2**30
MIB = 2**20
MAKE_ROOM = (
    "Make room, in this order: what the machine can do without (journalctl --vacuum-size=200M, docker image prune -f); backups"
    " and *.replaced-* logs, moved to another machine; a larger disk. Never the database, its -wal or its .witness."
)
ARCHIVE = (
    "While there is room for the log twice, ghost-fleet db archive moves old events to another disk; it ends the way back"
    " to 0.1.0."
)
"""`db archive` is no way out of a full disk: it writes the archive, and then compacts the database into a copy."""
WRITABLE_BY_OTHERS = 0o022


async def config(patient: Patient) -> Finding:
    """Can the service start with these settings?"""
    if patient.loaded is None:
        told = "; ".join(str(problem) for problem in patient.problems[:PROBLEMS_TOLD])
        more = len(patient.problems) - PROBLEMS_TOLD
        return red(
            "config",
            f"cannot be used: {told}{f' (and {more} more)' if more > 0 else ''}",
            f"Put it right; ghost-fleet --config {patient.path} validate lists every problem.",
        )
    loaded = patient.loaded
    enabled = sum(wallet.enabled for wallet in loaded.wallets)
    told = f"{loaded.path}: {enabled} of {len(loaded.wallets)} wallets enabled, digest {loaded.digest[:16]}"
    if loaded.warnings:
        return yellow("config", f"{told}; {'; '.join(loaded.warnings)}", "See docs/config.md; a warning stops nothing.")
    return green("config", told)


async def permissions(patient: Patient) -> Finding:
    """May we write the log and its folder, and nobody else? Those of keys are a matter of the settings' own check."""
    database = patient.database
    if database is None:
        return green("permissions", "the log is no file of this machine")
    folder = database.parent
    if not folder.is_dir():
        return red(
            "permissions", f"there is no folder {folder} for the log", f"mkdir -p {folder}, for the service's user"
        )
    files = [path for path in (database, *_beside(database)) if path.exists()]
    closed = [path for path in (folder, *files) if not os.access(path, os.W_OK)]
    if closed:
        return _not_ours(closed[0])
    loose = [path for path in (folder, *files) if path.stat().st_mode & WRITABLE_BY_OTHERS]
    if loose:
        return yellow("permissions", f"others may write {loose[0]}", f"chmod go-w {' '.join(map(str, loose))}")
    return green("permissions", f"{folder} and the log in it can be written")


def _beside(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("-wal", "-shm", ".lock", ".witness")]


def _not_ours(path: Path) -> Finding:
    """Another user's file is the service's business when it is that user's service."""
    owner = path.stat().st_uid
    if owner != os.getuid():
        return yellow(
            "permissions",
            f"{path} belongs to user {owner}, this is user {os.getuid()}: what the service may write was not seen",
            f"Ask as the service's user: sudo -u '#{owner}' ghost-fleet doctor",
        )
    return red("permissions", f"{path} cannot be written", f"chmod u+w {path}; is the disk mounted read-only?")


async def disk(patient: Patient) -> Finding:
    """Is there room for the log to grow?"""
    place = next(path for path in ((patient.database or patient.path).absolute(), *_parents(patient)) if path.exists())
    usage = shutil.disk_usage(place)
    inodes = os.statvfs(place)
    size = patient.database.stat().st_size if patient.database is not None and patient.database.exists() else 0
    told = f"{usage.free // MIB} MiB free ({usage.free * 100 // max(usage.total, 1)} %), the log has {size // MIB} MiB"
    remedy = MAKE_ROOM
    if usage.free > 2 * size:
        remedy += f" {ARCHIVE}"
    if usage.free < RED_FREE_BYTES:
        return red("disk", told, remedy)
    if inodes.f_files and not inodes.f_favail:
        return red(
            "disk", f"{told}, and no inode is left", "Remove files: there is room for bytes, not for another file."
        )
    return yellow("disk", told, remedy) if usage.free < YELLOW_FREE_BYTES else green("disk", told)


def _parents(patient: Patient) -> tuple[Path, ...]:
    return tuple((patient.database or patient.path).absolute().parents)
