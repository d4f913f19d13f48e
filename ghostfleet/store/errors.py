"""What can be wrong with the log, by what to do next."""

from ghostfleet.errors import BadInput, StopService, TryAgain


class VersionConflict(TryAgain):
    """A stream is not at the version that was expected: somebody else wrote to it. Read it again, decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at version {actual}, not {expected}")
        self.stream, self.expected, self.actual = stream, expected, actual


class LogUnavailable(TryAgain):
    """The events were not written: disk full, read-only, locked or failing. Later appends work once the disk does."""


class LogHeld(StopService):
    """Another process writes to this log. One log has one writer: stop that one, or give this one another [store] url."""


class LogCorrupt(StopService):
    """The log does not hang together: a gap, a hash or a count that does not fit. Restore a backup; nothing was changed."""


class UnknownCriticalEvent(StopService):
    """The log has an event that this release must not skip. Start the release that wrote it, or a newer one."""


class DataTooNew(StopService):
    """The data needs a newer release than this one."""


class NoLog(BadInput):
    """There is no log at this url, or the url names no database we know."""
