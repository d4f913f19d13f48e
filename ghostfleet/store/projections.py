"""Read models: what follows from an event for the tables that answer questions. Written in the same commit as the event.

Only a cache of the log: `rebuild` makes them anew, and `verify` compares. Statements are plain SQL that every database reads.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ghostfleet.domain import events as ev

Change = tuple[str, Mapping[str, Any]]
"""One statement with named parameters (`:name`), and their values."""

SIGNED = (
    "INSERT INTO transactions (hash, wallet, address, action_id, nonce, attempt, purpose, signed_position, status) "
    "VALUES (:hash, :wallet, :address, :action_id, :nonce, :attempt, :purpose, :position, 'open')"
)
MINED = (
    "UPDATE transactions SET status = :status, block_number = :block_number, block_hash = :block_hash, "
    "gas_used = :gas_used, gas_price_wei = :gas_price_wei WHERE hash = :hash"
)
OTHERS_SUPERSEDED = (
    "UPDATE transactions SET status = 'superseded' "
    "WHERE wallet = :wallet AND nonce = :nonce AND action_id = :action_id AND hash <> :hash"
)
FINAL = "UPDATE transactions SET status = 'final' WHERE hash = :hash AND status = 'mined'"
REOPENED = (
    "UPDATE transactions SET status = 'open', block_number = NULL, block_hash = NULL, gas_used = NULL, gas_price_wei = NULL "
    "WHERE wallet = :wallet AND nonce = :nonce AND action_id = :action_id"
)
SUPERSEDED = (
    "UPDATE transactions SET status = 'superseded' WHERE wallet = :wallet AND nonce = :nonce AND action_id = :action_id"
)
OUTSIDE = "INSERT INTO outside_transactions (hash, position) VALUES (:hash, :position) ON CONFLICT (hash) DO NOTHING"


class Projector:
    """Turns events into changes. Knows the addresses and open purposes that later events of a wallet refer to."""

    def __init__(self) -> None:
        self._addresses: dict[str, bytes] = {}
        self._cancels: set[bytes] = set()

    def changes(self, recorded: ev.Recorded) -> list[Change]:
        """What this event changes in the read models."""
        handler = HANDLERS.get(type(recorded.event))
        return handler(self, recorded, recorded.event) if handler is not None else []

    def remember(self, wallet: str, address: bytes) -> None:
        """The address of a wallet that was registered before this process began."""
        self._addresses[wallet] = address

    def remember_cancel(self, tx: bytes) -> None:
        """An attempt to cancel that was signed before this process began."""
        self._cancels.add(tx)

    def _registered(self, recorded: ev.Recorded, event: ev.WalletRegistered) -> list[Change]:
        self._addresses[recorded.wallet or ""] = event.address
        return []

    def _signed(self, recorded: ev.Recorded, event: ev.TransactionSigned) -> list[Change]:
        if event.purpose == "cancel":
            self._cancels.add(event.hash)
        wallet = recorded.wallet or ""
        values = {
            "hash": bytes(event.hash),
            "wallet": wallet,
            "address": bytes(self._addresses.get(wallet, b"")),
            "action_id": event.action_id,
            "nonce": event.nonce,
            "attempt": event.attempt,
            "purpose": event.purpose,
            "position": recorded.position,
        }
        return [(SIGNED, values)]

    def _mined(self, recorded: ev.Recorded, event: ev.TransactionMined) -> list[Change]:
        status = "cancelled" if event.hash in self._cancels else "mined" if event.success else "reverted"
        values = {
            "status": status,
            "block_number": event.block.number,
            "block_hash": bytes(event.block.hash),
            "gas_used": event.gas_used,
            "gas_price_wei": str(event.gas_price_wei),
            "hash": bytes(event.hash),
        }
        mined: list[Change] = [(MINED, values)]
        return [*mined, (OTHERS_SUPERSEDED, _slot(recorded, event) | {"hash": bytes(event.hash)})]

    def _final(self, recorded: ev.Recorded, event: ev.TransactionFinal) -> list[Change]:
        self._cancels.discard(event.hash)
        return [(FINAL, {"hash": bytes(event.hash)})]

    def _reorged(self, recorded: ev.Recorded, event: ev.TransactionReorged) -> list[Change]:
        return [(REOPENED, _slot(recorded, event))]

    def _outside(self, recorded: ev.Recorded, event: ev.OutsideTransactionSeen) -> list[Change]:
        return [(OUTSIDE, {"hash": bytes(event.hash), "position": recorded.position})]

    def _superseded(self, recorded: ev.Recorded, event: ev.TransactionSuperseded) -> list[Change]:
        return [(SUPERSEDED, _slot(recorded, event))]


def _slot(recorded: ev.Recorded, event: Any) -> dict[str, Any]:
    return {"wallet": recorded.wallet or "", "nonce": event.nonce, "action_id": event.action_id}


HANDLERS: dict[type[ev.Event], Callable[[Projector, ev.Recorded, Any], list[Change]]] = {
    ev.WalletRegistered: Projector._registered,
    ev.TransactionSigned: Projector._signed,
    ev.TransactionMined: Projector._mined,
    ev.TransactionFinal: Projector._final,
    ev.TransactionReorged: Projector._reorged,
    ev.TransactionSuperseded: Projector._superseded,
    ev.OutsideTransactionSeen: Projector._outside,
}
"""Every event type that a read model depends on."""


def grouped(changes: Iterable[Change]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Runs of the same statement, in order: one round to the database each."""
    runs: list[tuple[str, list[Mapping[str, Any]]]] = []
    for statement, values in changes:
        if runs and runs[-1][0] == statement:
            runs[-1][1].append(values)
        else:
            runs.append((statement, [values]))
    return runs
