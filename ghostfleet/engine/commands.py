"""What becomes of an accepted command? It is recorded with its effects in one commit; under one Idempotency-Key, once.

Two of the same key may arrive together, before and after a crash, or in one batch of commits: the order of the log decides
which one was first, and the other gets its answer.
"""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256

from ghostfleet.domain import events as ev
from ghostfleet.domain.state import Candidate, State
from ghostfleet.engine.ports import AdminCommand, Obeyed
from ghostfleet.engine.state import Decide, LiveState
from ghostfleet.errors import BadInput

MAX_REASON_CHARS = 500
MAX_KEY_CHARS = 128
_KEY_CHARS = rf"[A-Za-z0-9._:/+=~-]{{1,{MAX_KEY_CHARS}}}"
KEY_PATTERN = rf'^(?:{_KEY_CHARS}|"{_KEY_CHARS}")$'
"""The draft writes it in quotes; people write it without."""
KEY_WORDS = f"a key is 1 to {MAX_KEY_CHARS} letters, digits or any of . _ : / + = ~ -"


class KeyReused(BadInput):
    """This Idempotency-Key came with another command before: take a new key for a new command."""


class AlreadyDone(Exception):
    """A command came with this key before, or is in this very batch of commits: only what is durable says which. Nothing was
    written."""


def fingerprint(path: str, query: str, body: bytes) -> str:
    """Of what is asked for under a key: another path or another body is another command."""
    return sha256(b"\n".join((path.encode(), query.encode(), body.strip()))).hexdigest()[:32]


async def obey(live: LiveState, command: AdminCommand, effects: Decide) -> Obeyed:
    """Carry a command out, or answer with what it did before. Raises KeyReused, what `effects` raises, what the log does."""
    while True:
        try:
            recorded = await live.commit(partial(obeyed, command=command, effects=effects))
        except AlreadyDone:
            done = earlier(live.state, command)
            if done is None:
                continue  # the first one's commit failed: now ours may be the first
            return done
        return Obeyed(position=recorded[-1].position, time_us=recorded[-1].time_us, request_id=recorded[-1].correlation)


def earlier(state: State, command: AdminCommand) -> Obeyed | None:
    """What this command did when it came with the same key before. Raises KeyReused."""
    known = state.fleet.operators.keyed_command(command.actor, command.idempotency_key)
    if known is None:
        return None
    if known.fingerprint != command.fingerprint:
        raise KeyReused(
            f"the key {command.idempotency_key!r} came with another command (request {known.request_id}); "
            "take a new key for a new command"
        )
    return Obeyed(position=known.position, time_us=known.time_us, request_id=known.request_id, repeated=True)


def obeyed(state: Candidate, now_us: int, *, command: AdminCommand, effects: Decide) -> Sequence[ev.NewEvent]:
    """The command and its effects, as one commit. Raises AlreadyDone."""
    if state.fleet.operators.keyed_command(command.actor, command.idempotency_key) is not None:
        raise AlreadyDone
    events = effects(state, now_us)
    received = ev.AdminCommandReceived(
        command=command.command,
        actor=command.actor,
        remote=command.remote,
        request_id=command.request_id,
        target=command.target,
        reason=command.reason,
        idempotency_key=command.idempotency_key,
        fingerprint=command.fingerprint,
        effects=len(events),
    )
    return [ev.NewEvent(ev.FLEET_STREAM, received, command.request_id), *events]
