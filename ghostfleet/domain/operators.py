"""Who may command by the log's word, when was one of them last heard of, and which commands came with a key of their own?"""

import msgspec
from msgspec.structs import replace

from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Hash

MAX_TOKENS = 100
"""Tokens of the log at one time, expired ones included: they are few, and every request with a credential looks at all."""
MAX_KEYED_COMMANDS = 1000
"""How many commands with an Idempotency-Key are remembered: days of an operator's work, and a bounded state."""
LOCAL_ACTOR = "local"
"""Who asked from the machine itself and had to show no token."""
NAMES_OF_OTHERS = frozenset({"local", "anonymous", "config", "service", "deadman", "restore", "signal", "demo"})
"""Actors of the log that are no tokens: docs/events.md says who they are, and a test finds them in the code."""
RECORD_BACKUP = "record_backup"
BY_THE_CLOCK = frozenset({RECORD_BACKUP})
"""Commands that a machine gives as likely as a person: they say nothing of whether somebody is there."""
RANKS = {"viewer": 1, "operator": 2}
"""What a role may, as a number: a higher one may all that a lower one may. A role that is not here may nothing."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token that a command made. The token itself is nowhere; this is its hash."""

    name: str
    role: str
    sha256: Hash
    expires_us: int | None
    created_us: int
    created_by: str


class KeyedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that came with an Idempotency-Key, and where its effects end in the log."""

    actor: str
    key: str
    fingerprint: str
    position: int
    time_us: int
    request_id: str


class Operators(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of what operators did. `seen_us` is when one of them was last heard of; None before the first start."""

    tokens: tuple[Token, ...] = ()
    keyed: tuple[KeyedCommand, ...] = ()
    seen_us: int | None = None

    def token(self, name: str) -> Token | None:
        """The token of this name, expired or not."""
        return next((token for token in self.tokens if token.name == name), None)

    def keyed_command(self, actor: str, key: str) -> KeyedCommand | None:
        """What this actor asked for under this key before, as far back as it is remembered."""
        if not key:
            return None
        return next((known for known in reversed(self.keyed) if known.key == key and known.actor == actor), None)


def received(operators: Operators, event: ev.AdminCommandReceived, recorded: ev.Recorded) -> Operators:
    """Every command but those of a clock is a sign of life. One with a key is remembered, the oldest forgotten."""
    keyed = operators.keyed
    if event.idempotency_key:
        command = KeyedCommand(
            actor=event.actor,
            key=event.idempotency_key,
            fingerprint=event.fingerprint,
            position=recorded.position + event.effects,
            time_us=recorded.time_us,
            request_id=event.request_id,
        )
        keyed = (*keyed, command)[-MAX_KEYED_COMMANDS:]
    seen_us = operators.seen_us if event.command in BY_THE_CLOCK else recorded.time_us
    return replace(operators, keyed=keyed, seen_us=seen_us)


def seen(operators: Operators, recorded: ev.Recorded) -> Operators:
    """Somebody was there: checked in, resumed the fleet, started it with settings that he had changed."""
    return replace(operators, seen_us=recorded.time_us)


def token_created(operators: Operators, event: ev.AdminTokenCreated, recorded: ev.Recorded) -> Operators:
    """A token of that name is valid from here on."""
    token = Token(
        name=event.name,
        role=event.role,
        sha256=event.sha256,
        expires_us=event.expires_us,
        created_us=recorded.time_us,
        created_by=event.actor,
    )
    others = tuple(each for each in operators.tokens if each.name != event.name)
    return replace(operators, tokens=(*others, token)[-MAX_TOKENS:])


def token_revoked(operators: Operators, event: ev.AdminTokenRevoked, recorded: ev.Recorded) -> Operators:
    """No token of that name is valid any more."""
    return replace(operators, tokens=tuple(each for each in operators.tokens if each.name != event.name))


def exceeds(role: str, expires_us: int | None, own_role: str, own_expires_us: int | None) -> str | None:
    """In which way a token would have more rights than the one that asks for it; None when in none."""
    if RANKS.get(role, 0) > RANKS.get(own_role, 0):
        return f"a token with role {own_role} cannot make one with role {role}"
    if own_expires_us is not None and (expires_us is None or expires_us > own_expires_us):
        return "a token cannot make one that is valid for longer than itself"
    return None
