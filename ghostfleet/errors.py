"""What can go wrong, arranged by what the caller may do next. An error carries facts, never secrets."""


class GhostFleetError(Exception):
    """Base of every error of ours. `exit_code` is what the command line ends with when it reaches the operator."""

    exit_code = 1


class TryAgain(GhostFleetError):
    """The same call may succeed later; nothing was changed."""


class OtherEndpoint(TryAgain):
    """This endpoint could not answer; another one may."""


class ParkWallet(GhostFleetError):
    """The wallet cannot act until somebody does something (fund it, reset it)."""


class StopService(GhostFleetError):
    """Going on would be wrong: another process holds the log, the chain is not the one in the log, the log does not verify."""

    exit_code = 3


class BadInput(GhostFleetError):
    """What was asked cannot be done as asked: the message says what, where and what would be right."""

    exit_code = 2
