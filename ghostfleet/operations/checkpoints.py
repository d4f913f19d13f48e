"""Checkpoints: the head of the log, signed into the log every so often by a wallet of the fleet (docs/decisions/0039).

The signature is asked for beside everything else, so that a signer that does not answer holds nobody up. Nothing is remembered
here but when it was last tried: when the last one was written, and whether nobody could sign, is in the log.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from ghostfleet.domain import events as ev
from ghostfleet.domain.checkpoint import checkpoint_text
from ghostfleet.domain.schedule import is_over
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import SECOND_US, Hash, WalletId
from ghostfleet.engine.world import World
from ghostfleet.errors import TryAgain
from ghostfleet.operations.fleet_signature import NoSigner, signed_for_the_fleet

RETRY_SECS = 600.0
"""Where nobody could sign it is tried again so much later, or after the interval where that is shorter."""
STOP_SECS = 1.0
"""A stop waits so long for the last signature, and stops without it then: a key of our own takes a fraction of a millisecond."""
MAX_REASON_CHARS = 500


class Head(Protocol):
    """The newest durable row."""

    @property
    def position(self) -> int: ...
    @property
    def hash(self) -> Hash: ...


class HeadedLog(Protocol):
    """A log as far as its head goes."""

    @property
    def head(self) -> Head: ...


class Checkpoints:
    """Writes a checkpoint when one is due."""

    def __init__(self, world: World, log: HeadedLog) -> None:
        self._world = world
        self._log = log
        self._tried_us: int | None = None
        self._under_way = False

    @property
    def due(self) -> bool:
        """Whether the interval has passed, and something has happened that no checkpoint covers. Nothing is due in a dry run."""
        every_us, now_us = self._every_us, self._world.clock.now_us()
        if self._under_way or not self._wanted:
            return False
        signed = self._world.state.fleet.signed_head
        signed_us = signed.time_us if signed is not None else None
        retry_us = min(every_us, int(RETRY_SECS * SECOND_US))
        return is_over(now_us, signed_us, every_us) and is_over(now_us, self._tried_us, retry_us)

    @property
    def _every_us(self) -> int:
        return int(self._world.in_force.now.checkpoint_secs * SECOND_US)

    @property
    def _wanted(self) -> bool:
        return bool(self._every_us) and not self._world.dry_run and anything_since(self._world.state)

    async def write(self) -> None:
        """Sign the head as it is now and write that down; or, once, that nobody can. A log that takes nothing gets it later."""
        self._under_way = True
        try:
            if self._keys_are_awaited:
                return  # looked at again in a moment
            self._tried_us = self._world.clock.now_us()
            with contextlib.suppress(TryAgain):
                try:
                    signed = await self._signed()
                except NoSigner as nobody:
                    await self._world.live.commit(partial(_not_signed, reason=str(nobody)))
                else:
                    await self._world.live.write([ev.NewEvent(ev.FLEET_STREAM, signed)])
        finally:
            self._under_way = False

    async def at_a_stop(self) -> Sequence[ev.NewEvent]:
        """What belongs before the last words: the head, signed, where something has happened and a signature is to be had now."""
        if not self._wanted:
            return ()
        with contextlib.suppress(NoSigner, TimeoutError):
            async with asyncio.timeout(STOP_SECS):
                return (ev.NewEvent(ev.FLEET_STREAM, await self._signed()),)
        return ()

    @property
    def _keys_are_awaited(self) -> bool:
        """Whether no wallet's key is there, and one will be."""
        signer, wallets = self._world.signer, self._world.state.wallets.values()
        names = [WalletId(it.id) for it in wallets if not it.retired]
        return any(map(signer.awaits, names)) and all(map(signer.withheld, names))

    async def _signed(self) -> ev.HeadSigned:
        """The newest durable row, signed. Raises NoSigner."""
        state, head = self._world.state, self._log.head
        chain_id, genesis_hash = state.fleet.chain_id, state.fleet.genesis_hash
        assert chain_id is not None, "a service that has begun knows its chain"
        assert genesis_hash is not None
        text = checkpoint_text(chain_id, genesis_hash, head.position, head.hash)
        made = await signed_for_the_fleet(state, self._world.signer, text)
        return ev.HeadSigned(
            chain_id=chain_id,
            genesis_hash=genesis_hash,
            position=head.position,
            head_hash=head.hash,
            signer=made.signer,
            signature=made.signature,
        )


def _not_signed(state: Candidate, _now_us: int, *, reason: str) -> Sequence[ev.NewEvent]:
    """Said once, until somebody could sign again."""
    if state.fleet.head_unsigned:
        return []
    return [ev.NewEvent(ev.FLEET_STREAM, ev.HeadNotSigned(reason=reason[:MAX_REASON_CHARS]))]


def anything_since(state: State) -> bool:
    """Whether the log has more than its newest checkpoint and what that covers."""
    signed = state.fleet.signed_head
    return state.position > 0 if signed is None else state.position > signed.position + 1
