"""What should the read model of transactions say? Worked out from the events alone, row by row, to compare with it.

It is the read model in memory as well: the simulator's recorder keeps its transactions in one.
"""

from typing import Any

import msgspec

from ghostfleet.domain.events import Recorded
from ghostfleet.domain.values import Address, Hash
from ghostfleet.store.projections import (
    ENDING,
    Change,
    Final,
    Mined,
    Registered,
    Reopened,
    Signed,
    Superseded,
    change_of,
)
from ghostfleet.store.queries import TransactionRow

replace = msgspec.structs.replace
NO_BLOCK: dict[str, Any] = {"block_number": None, "block_hash": None, "gas_used": None, "gas_price_wei": None}


class TransactionTable:
    """Attempts by action, changed by the same changes as the SQL table."""

    def __init__(self) -> None:
        self.actions: dict[str, dict[bytes, TransactionRow]] = {}
        self.addresses: dict[str, Address] = {}
        self.hashes: dict[bytes, str] = {}

    def apply(self, change: Change) -> None:
        """Carry one change out."""
        match change:
            case Registered():
                self.addresses[change.key] = Address(change.address)
            case Signed():
                self._sign(change)
            case Mined():
                self._each(change.key, lambda row: _mined(row, change))
            case Final():
                self._each(self.hashes.get(change.hash, ""), lambda row: _final(row, change.hash))
            case Reopened():
                self._each(change.key, lambda row: replace(row, status="open", **NO_BLOCK))
            case Superseded():
                self._each(change.key, lambda row: replace(row, status="superseded", **NO_BLOCK))

    def _sign(self, change: Signed) -> None:
        if change.hash in self.hashes:
            return
        self.hashes[change.hash] = change.key
        self.actions.setdefault(change.key, {})[change.hash] = TransactionRow(
            hash=Hash(change.hash),
            wallet=change.wallet,
            address=self.addresses.get(change.wallet),
            action_id=change.key,
            nonce=change.nonce,
            attempt=change.attempt,
            purpose=change.purpose,  # type: ignore[arg-type]
            signed_position=change.signed_position,
            signed_us=change.signed_us,
        )

    def _each(self, action: str, to: Any) -> None:
        attempts = self.actions.get(action, {})
        for tx, row in attempts.items():
            attempts[tx] = to(row)

    def forget(self, action: str) -> list[TransactionRow]:
        """Take an action's attempts out."""
        attempts = self.actions.pop(action, {})
        for tx in attempts:
            del self.hashes[tx]
        return list(attempts.values())


def _mined(row: TransactionRow, change: Mined) -> TransactionRow:
    if row.hash != change.hash:
        return replace(row, status="superseded", **NO_BLOCK)
    in_block = "mined" if change.success else "reverted"
    return replace(
        row,
        status="cancelled" if row.purpose == "cancel" else in_block,
        block_number=change.block_number,
        block_hash=Hash(change.block_hash),
        gas_used=change.gas_used,
        gas_price_wei=change.gas_price_wei,
    )


def _final(row: TransactionRow, tx: bytes) -> TransactionRow:
    return replace(row, status="final") if row.hash == tx and row.status == "mined" else row


class Expectation:
    """Follows the events; forgets actions that have ended once they were compared, so it holds only what is open."""

    def __init__(self) -> None:
        self._table = TransactionTable()
        self._ended: dict[str, None] = {}
        self.attempts = 0

    def add(self, recorded: Recorded) -> str:
        """One more event. Returns what is wrong with it, if it changes an action that does not exist or has ended."""
        change = change_of(recorded)
        if change is None:
            return ""
        if isinstance(change, Signed):
            self.attempts += 1
            if change.hash in self._table.hashes:
                return f"transaction 0x{change.hash.hex()} is signed a second time"
        elif not isinstance(change, Registered) and change.key not in self._table.actions:
            return f"{type(recorded.event).__name__} of {change.key}, which has no open transaction"
        self._table.apply(change)
        if isinstance(change, ENDING):
            self._ended[change.key] = None
        return ""

    def take_ended(self) -> list[TransactionRow]:
        """The rows of the actions that ended since the last time; they are not followed any more."""
        ended, self._ended = self._ended, {}
        return [row for action in ended for row in self._table.forget(action)]

    @property
    def addresses(self) -> dict[str, Address]:
        """Of every wallet that was registered."""
        return self._table.addresses

    def open(self) -> list[TransactionRow]:
        """The rows of the actions that have not ended."""
        return [row for attempts in self._table.actions.values() for row in attempts.values()]
