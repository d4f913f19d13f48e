"""Tokens for the HTTP interface that live in the log: made and revoked by events, so that both hold at once and for ever."""

from functools import partial

from ghostfleet.domain import events as ev
from ghostfleet.domain.operators import MAX_TOKENS
from ghostfleet.domain.state import Candidate
from ghostfleet.engine.commands import obey
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import BadInput


class TokenExists(BadInput):
    """There is a token of that name. Revoke it first, or give the new one another name."""


class TooManyTokens(BadInput):
    """There are as many tokens as there may be. Revoke those that nobody needs; expired ones count too."""


class UnknownToken(BadInput):
    """The log knows no token of that name. Those of the settings are taken out there."""


async def create_token(live: LiveState, command: AdminCommand, created: ev.AdminTokenCreated) -> Obeyed:
    """From now on the token is valid. Raises TokenExists, TooManyTokens."""
    return await obey(live, command, partial(_created, command=command, created=created))


async def revoke_token(live: LiveState, command: AdminCommand) -> Obeyed:
    """From now on the token of the target's name is not valid. Raises UnknownToken."""
    return await obey(live, command, partial(_revoked, command=command))


def _created(
    state: Candidate, now_us: int, *, command: AdminCommand, created: ev.AdminTokenCreated
) -> list[ev.NewEvent]:
    operators = state.fleet.operators
    if operators.token(created.name) is not None:
        raise TokenExists(f"there is a token {created.name} already: revoke it first, or take another name")
    if len(operators.tokens) >= MAX_TOKENS:
        raise TooManyTokens(f"there are {MAX_TOKENS} tokens: revoke those that nobody needs; expired ones count too")
    if created.expires_us is not None and created.expires_us <= now_us:
        raise BadInput("a token that has expired already is none: give a later moment")
    return [ev.NewEvent(ev.FLEET_STREAM, created, command.request_id)]


def _revoked(state: Candidate, now_us: int, *, command: AdminCommand) -> list[ev.NewEvent]:
    if state.fleet.operators.token(command.target) is None:
        raise UnknownToken(f"the log knows no token {command.target}; GET /admin/tokens lists them")
    revoked = ev.AdminTokenRevoked(name=command.target, actor=command.actor)
    return [ev.NewEvent(ev.FLEET_STREAM, revoked, command.request_id)]
