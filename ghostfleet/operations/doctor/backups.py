"""How old is the newest backup, by the log and by the directory it went to?"""

import time

from ghostfleet.domain.values import DAY_US, SECOND_US
from ghostfleet.operations.backup_schedule import PREFIX, SUFFIX
from ghostfleet.operations.doctor.finding import Finding, green, red, yellow
from ghostfleet.operations.doctor.patient import Patient
from ghostfleet.telemetry.moments import clock_time, span

LATE_TIMES = 2
"""A backup so many intervals old was missed."""
BY_HAND_US = 2 * DAY_US
"""The same of those that an operator makes by the clock, whose interval the settings do not say: twice that of a schedule."""


async def backups(patient: Patient) -> Finding:
    """Are scheduled backups made, and is the newest one where it was put?"""
    loaded = patient.loaded
    if loaded is None:
        return yellow("backups", "the settings cannot be read", "See config.")
    settings = loaded.backups
    fleet = (await patient.state()).fleet
    if settings is None:
        return _by_hand(fleet.backed_up_by_hand_us)
    made_us = fleet.backed_up_us
    files = sorted(settings.directory.glob(f"{PREFIX}*{SUFFIX}")) if settings.directory.is_dir() else []
    if not made_us:
        return yellow(
            "backups",
            "none was made yet",
            "The running service makes the first one at once; its log lines say why not.",
        )
    age_us = time.time_ns() // 1000 - made_us
    told = f"the newest is of {clock_time(made_us)}, {span(age_us)} old, {len(files)} in {settings.directory}"
    if not files:
        return red(
            "backups",
            f"{told}: they are gone",
            "Make one now (ghost-fleet db backup FILE) and find out who removed them.",
        )
    if age_us > LATE_TIMES * settings.every_secs * SECOND_US:
        return red(
            "backups", told, "Does the service run? Its log lines name what failed (BackupFailed); is the disk full?"
        )
    return green("backups", told)


def _by_hand(made_us: int) -> Finding:
    """Without a schedule: what operators made and the log was told of. Where these files are nobody knows."""
    if not made_us:
        return yellow("backups", "not configured", "Set [backup] dir, or run ghost-fleet db backup FILE by the clock.")
    age_us = time.time_ns() // 1000 - made_us
    told = f"no schedule; the newest by hand is of {clock_time(made_us)}, {span(age_us)} old"
    if age_us > BY_HAND_US:
        return yellow("backups", told, "Run ghost-fleet db backup FILE by the clock, or set [backup] dir.")
    return green("backups", told)
