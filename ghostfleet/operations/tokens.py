"""Tokens for the HTTP interface: how one is made, what is told of it, and all that on a log whose service is down."""

import secrets
from hashlib import sha256

from ghostfleet.config.loaded import Admin, Loaded
from ghostfleet.config.settings import NAME
from ghostfleet.domain import events as ev
from ghostfleet.domain.operators import NAMES_OF_OTHERS, RANKS, Token
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.engine import tokens
from ghostfleet.engine.ports import AdminCommand, Clock, Obeyed
from ghostfleet.engine.recovery import recover
from ghostfleet.errors import BadInput
from ghostfleet.operations.offline import log_alone
from ghostfleet.store.log import open_log
from ghostfleet.telemetry.moments import iso, parse_until

TOKEN_PREFIX = "gf_"  # noqa: S105 - by which one that was posted somewhere is recognised
TOKEN_BYTES = 32


class NoToken(BadInput):
    """A name, role or end that no token can have. The message says what would be right."""


def random_token() -> str:
    """256 bits by the operating system."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_created(
    token: str, *, name: str, role: str, expires: str | None, actor: str, now_us: int
) -> ev.AdminTokenCreated:
    """What the log will have of a new token. `expires` is a moment, or how long from now (`30d`). Raises NoToken."""
    if not NAME.fullmatch(name):
        raise NoToken("a name has 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first")
    if name in NAMES_OF_OTHERS:
        raise NoToken(f"{name} is the name of somebody else in the log: take another one")
    if role not in RANKS:
        raise NoToken(f"no role {role[:60]!r}: there is {' and '.join(RANKS)}")
    try:
        expires_us = None if expires is None else parse_until(expires, now_us)
    except ValueError:
        raise NoToken(f"expires {str(expires)[:60]!r}: expected how long (30d, 12h) or 2027-01-31T00:00:00Z") from None
    digest = Hash(sha256(token.encode()).digest())
    return ev.AdminTokenCreated(name=name, role=role, sha256=digest, actor=actor, expires_us=expires_us)


def require_not_of_settings(name: str, admin: Admin) -> None:
    """Tokens of the settings are made and ended there. Raises BadInput."""
    if any(known.name == name for known in admin.tokens):
        raise BadInput(f"the settings have a token {name}: what is to change of it is changed there")


def told(created: ev.AdminTokenCreated, token: str, *, repeated: bool) -> JsonObject:
    """A new token, this once; whoever repeats the request is not told it again."""
    return {
        "status": "created",
        "name": created.name,
        "role": created.role,
        "expires": None if created.expires_us is None else iso(created.expires_us),
        "token": None if repeated else token,
    }


def listed(admin: Admin, of_log: tuple[Token, ...], now_us: int) -> JsonObject:
    """All tokens, of the settings and of the log, without what they are."""

    def described(source: str, name: str, role: str, expires_us: int | None) -> JsonObject:
        return {
            "name": name,
            "role": role,
            "source": source,
            "expires": None if expires_us is None else iso(expires_us),
            "expired": expires_us is not None and expires_us <= now_us,
            "created": None,
            "created_by": None,
        }

    found = [described("settings", it.name, it.role, it.expires_us) for it in admin.tokens]
    for it in of_log:
        made = described("log", it.name, it.role, it.expires_us)
        found.append(made | {"created": iso(it.created_us), "created_by": it.created_by})
    return {"tokens": found}


async def create_alone(
    loaded: Loaded, clock: Clock, command: AdminCommand, role: str, expires: str | None
) -> JsonObject:
    """A token made on the log itself. Raises NoToken, TokenExists, LogHeld."""
    require_not_of_settings(command.target, loaded.admin)
    token = random_token()
    created = token_created(
        token, name=command.target, role=role, expires=expires, actor=command.actor, now_us=clock.now_us()
    )
    async with log_alone(loaded, clock) as live:
        obeyed = await tokens.create_token(live, command, created)
    return told(created, token, repeated=obeyed.repeated) | commanded(command, obeyed)


async def revoke_alone(loaded: Loaded, clock: Clock, command: AdminCommand) -> JsonObject:
    """A token ended on the log itself. Raises UnknownToken, LogHeld."""
    require_not_of_settings(command.target, loaded.admin)
    async with log_alone(loaded, clock) as live:
        obeyed = await tokens.revoke_token(live, command)
    return {"status": "revoked", "name": command.target} | commanded(command, obeyed)


async def list_alone(loaded: Loaded, clock: Clock) -> JsonObject:
    """All tokens, as the log has them."""
    log = await open_log(loaded.store.url, read_only=True, archives=loaded.archive_dir)
    try:
        state: State = await recover(log)
    finally:
        await log.close()
    return listed(loaded.admin, state.fleet.operators.tokens, clock.now_us())


def commanded(command: AdminCommand, obeyed: Obeyed) -> JsonObject:
    """Where a command ended in the log, in the words of the HTTP interface."""
    return {
        "actor": command.actor,
        "request_id": obeyed.request_id,
        "position": obeyed.position,
        "time": iso(obeyed.time_us),
    }
