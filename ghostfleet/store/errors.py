"""What can go wrong with the log, arranged by what the caller may do next."""

from ghostfleet.errors import BadInput, StopService, TryAgain


class LogUnavailable(TryAgain):
    """The log could not be written or read: disk full, read-only, locked, unreachable. Nothing in memory has changed.

    `in_doubt` says that the commit may have reached the disk all the same; the log finds out before it writes again.
    """

    def __init__(self, message: str, *, in_doubt: bool = False) -> None:
        self.in_doubt = in_doubt
        super().__init__(message)


class ArchiveMissing(LogUnavailable):
    """Events that were moved to an archive file are needed, and the file is not in its place. Put it back, and ask again."""


class VersionConflict(TryAgain):
    """A stream does not have the version that the caller had seen. Nothing of the call was written: look again, decide again."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream, self.expected, self.actual = stream, expected, actual
        super().__init__(f"stream {stream} has version {actual}, not {expected}: read it and decide again")


class HeadMoved(TryAgain):
    """The log does not end where the caller's events were to follow. Nothing of the call was written: decide again."""

    def __init__(self, follows: int, actual: int) -> None:
        super().__init__(f"the log ends at position {actual}, not {follows}: read it and decide again")


class EventUnwritable(BadInput):
    """An event that cannot be a row: too large, or text that is not Unicode."""


class LogMissing(BadInput):
    """There is no log at this place, and none was to be made."""


class LogHeld(StopService):
    """Another process writes this log. Stop it first; two writers would sign two transactions for one nonce."""


class LogCorrupt(StopService):
    """The log does not fit together: a gap, a row that was changed, a page that cannot be read. Restore it from a backup."""


class LogCutBack(LogCorrupt):
    """The log ends before a position that it is known to have reached: writes were lost, or an old copy is in its place."""


class SchemaTooNew(StopService):
    """The data needs a newer release than this one."""


class UnknownCriticalEvent(StopService):
    """The log holds an event that this release does not know and must not skip. Start the release that is named."""

    def __init__(self, position: int, what: str, release: str, needs: str = "") -> None:
        self.position, self._what, self._release = position, what, release
        remedy = (
            f"it needs release {needs}: start that or a newer one"
            if needs
            else "start the release that wrote it or newer"
        )
        super().__init__(f"position {position}: {what} is not known to this release ({release}); {remedy}")

    def needing(self, release: str) -> "UnknownCriticalEvent":
        """The same, naming the release that wrote it."""
        return UnknownCriticalEvent(self.position, self._what, self._release, release)
