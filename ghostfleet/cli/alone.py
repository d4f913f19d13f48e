"""Commands that are given to the log itself, because no service runs."""

import secrets
from collections.abc import Mapping

from ghostfleet.cli.client import Way, body_of, checked_key
from ghostfleet.domain.operators import LOCAL_ACTOR
from ghostfleet.engine.commands import MAX_REASON_CHARS, fingerprint
from ghostfleet.engine.ports import AdminCommand

OFFLINE = "offline"
"""Stands in the log for the address of a command that was given to the log itself."""


def command_alone(way: Way, name: str, target: str, path: str, members: Mapping[str, object]) -> AdminCommand:
    """As the service would have it, so that the same key means the same command with the service and without."""
    return AdminCommand(
        command=name,
        actor=LOCAL_ACTOR,
        remote=OFFLINE,
        request_id=secrets.token_hex(8),
        target=target,
        reason=(way.reason or "")[:MAX_REASON_CHARS],
        idempotency_key=checked_key(way.key).strip('"') if way.key is not None else "",
        fingerprint=fingerprint(path, "", body_of(way, members)),
    )
