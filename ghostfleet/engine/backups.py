"""A backup that somebody made by hand goes into the log, with who said so. The service's own are written by its schedule."""

from ghostfleet.domain import events as ev
from ghostfleet.engine.commands import obey
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.engine.state import LiveState

MAX_FILE_CHARS = 300
"""Of a path that the log keeps; a longer one is not told whole."""


async def record_backup(live: LiveState, command: AdminCommand, made: ev.BackupMade) -> Obeyed:
    """The log knows of this backup from here on. Raises what `obey` does."""
    return await obey(live, command, lambda _state, _now_us: [ev.NewEvent(ev.FLEET_STREAM, made, command.request_id)])
