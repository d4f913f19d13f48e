"""What can go wrong with a development chain, for who started it."""

from ghostfleet.errors import BadInput, GhostFleetError


class EngineMissing(BadInput):
    """The engine asked for is not installed. The message says how to get it."""


class DevnetFailed(GhostFleetError):
    """The development chain did not start, ended early, or refused what was asked of it."""
