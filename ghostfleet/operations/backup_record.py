"""How does a backup get into the log that was made while the service is down? The log itself is told, as its one writer."""

from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.events import BackupMade
from ghostfleet.engine.backups import record_backup
from ghostfleet.engine.ports import AdminCommand, Clock, Obeyed
from ghostfleet.errors import TryAgain
from ghostfleet.operations.offline import log_alone
from ghostfleet.store.plan import plan_of


class WouldMigrate(TryAgain):
    """The data is of an earlier release, and writing to it would migrate it. A backup must not do that: it stays unrecorded."""


async def record_alone(loaded: Loaded, clock: Clock, command: AdminCommand, made: BackupMade) -> Obeyed:
    """Raises WouldMigrate, LogHeld, and what opening a log raises."""
    plan = await plan_of(loaded.store.url)
    if plan.steps:
        raise WouldMigrate(f"the data is at {plan.current}, and writing to it would bring it to {plan.target}")
    async with log_alone(loaded, clock) as live:
        return await record_backup(live, command, made)
