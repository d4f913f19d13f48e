"""Which event changes the read model of transactions, and how? A pure mapping; each recorder carries the changes out.

Changes of different actions commute, so a commit may carry them out kind by kind (`waves`).
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import Recorded


class Registered(msgspec.Struct, frozen=True):
    """The wallet's address from here on."""

    key: str
    address: bytes


class Signed(msgspec.Struct, frozen=True):
    """A new attempt, open. `key` is the action."""

    key: str
    wallet: str
    hash: bytes
    nonce: int
    attempt: int
    purpose: str
    signed_position: int
    signed_us: int


class Mined(msgspec.Struct, frozen=True):
    """This attempt is in a block (a cancel: cancelled; failed: reverted), the slot's others are superseded."""

    key: str
    hash: bytes
    success: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    gas_price_wei: int


class Final(msgspec.Struct, frozen=True):
    """A mined attempt can no longer be undone; one that was reverted or a cancel keeps its status."""

    key: str
    hash: bytes


class Reopened(msgspec.Struct, frozen=True):
    """The block is gone: every attempt of the slot is open again."""

    key: str


class Superseded(msgspec.Struct, frozen=True):
    """The nonce went to somebody else: so did every attempt of the slot."""

    key: str


Change = Registered | Signed | Mined | Final | Reopened | Superseded
ENDING = (Final, Superseded)
"""After these an action's rows never change."""


def _registered(recorded: Recorded, event: ev.WalletRegistered) -> Change:
    return Registered(recorded.wallet or recorded.stream, bytes(event.address))


def _signed(recorded: Recorded, event: ev.TransactionSigned) -> Change:
    return Signed(
        event.action_id,
        recorded.wallet or recorded.stream,
        bytes(event.hash),
        event.nonce,
        event.attempt,
        event.purpose,
        recorded.position,
        recorded.time_us,
    )


def _mined(recorded: Recorded, event: ev.TransactionMined) -> Change:
    return Mined(
        event.action_id,
        bytes(event.hash),
        event.success,
        event.block.number,
        bytes(event.block.hash),
        event.gas_used,
        event.gas_price_wei,
    )


def _final(recorded: Recorded, event: ev.TransactionFinal) -> Change:
    return Final(event.action_id, bytes(event.hash))


def _reorged(recorded: Recorded, event: ev.TransactionReorged) -> Change:
    return Reopened(event.action_id)


def _superseded(recorded: Recorded, event: ev.TransactionSuperseded) -> Change:
    return Superseded(event.action_id)


PROJECTED: dict[type[ev.Event], Callable[[Recorded, Any], Change]] = {
    ev.WalletRegistered: _registered,
    ev.TransactionSigned: _signed,
    ev.TransactionMined: _mined,
    ev.TransactionFinal: _final,
    ev.TransactionReorged: _reorged,
    ev.TransactionSuperseded: _superseded,
}
"""Every event type that the read models show."""


def change_of(recorded: Recorded) -> Change | None:
    """What this event changes in the read models."""
    project = PROJECTED.get(type(recorded.event))
    return None if project is None else project(recorded, recorded.event)


def changes_of(events: Iterable[Recorded]) -> list[Change]:
    """What these events change, in order."""
    return [project(it, it.event) for it in events if (project := PROJECTED.get(type(it.event))) is not None]


def waves(changes: Iterable[Change]) -> list[dict[type[Change], list[Change]]]:
    """The changes grouped by kind, so that all of a wave may be carried out in any order, waves one after another."""
    result: list[dict[type[Change], list[Change]]] = []
    wave: dict[type[Change], list[Change]] = {}
    touched: set[str] = set()
    for change in changes:
        kind = type(change)
        ends = kind is Registered or Registered in wave
        if change.key in touched or (ends and wave and kind not in wave):
            wave, touched = {}, set()
        touched.add(change.key)
        if not wave:
            result.append(wave)
        wave.setdefault(kind, []).append(change)
    return result
