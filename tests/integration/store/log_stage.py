"""Events as the service writes them, and logs on every storage: what store tests start from."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Literal

from ghostfleet.domain import events as ev
from ghostfleet.domain.events import FLEET_STREAM, NewEvent, wallet_stream
from ghostfleet.domain.values import Address, BlockRef, Fees, Hash, Octets
from ghostfleet.store.errors import LogHeld
from ghostfleet.store.log import EventLog, open_log

T0_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""


async def opened_once_free(url: str) -> EventLog:
    """A log whose writer is dead or cut off: a database server notices that in its own time."""
    async with asyncio.timeout(90):
        while True:
            with suppress(LogHeld):
                return await open_log(url)
            await asyncio.sleep(0.05)


def tx_hash(*of: object) -> Hash:
    """A hash for a transaction that nobody signed."""
    return Hash(sha256(repr(of).encode()).digest())


def note(text: str, stream: str = FLEET_STREAM) -> NewEvent:
    """An event that changes nothing."""
    return NewEvent(stream, ev.ServiceStopped(reason=text))


def registered(wallet: str, byte: int = 1) -> NewEvent:
    address = Address(bytes([byte]) * 20)
    return NewEvent(
        wallet_stream(wallet), ev.WalletRegistered(address=address, profile="whale", plugin="p", first_turn_us=0)
    )


def signed(
    wallet: str, n: int, attempt: int = 1, purpose: Literal["action", "cancel"] = "action", **fields: Any
) -> NewEvent:
    """Attempt `attempt` of the wallet's n-th action, at nonce n."""
    event = ev.TransactionSigned(
        action_id=f"{wallet}/{n}",
        nonce=n,
        attempt=attempt,
        purpose=purpose,
        hash=tx_hash(wallet, n, attempt),
        raw=Octets(b"\x02raw"),
        to=Address(b"\x09" * 20),
        value_wei=fields.get("value_wei", 10**24),
        gas=21_000,
        fees=Fees(2 * 10**9, 10**9),
    )
    return NewEvent(wallet_stream(wallet), event, f"{wallet}/{n}")


def mined(wallet: str, n: int, attempt: int = 1, success: bool = True, **fields: Any) -> NewEvent:
    event = ev.TransactionMined(
        action_id=f"{wallet}/{n}",
        nonce=n,
        attempt=attempt,
        hash=tx_hash(wallet, n, attempt),
        block=block(100 + n),
        success=success,
        gas_used=fields.get("gas_used", 21_000),
        gas_price_wei=fields.get("gas_price_wei", 10**9),
    )
    return NewEvent(wallet_stream(wallet), event, f"{wallet}/{n}")


def block(number: int) -> BlockRef:
    return BlockRef(number, tx_hash("block", number))


def final(wallet: str, n: int, attempt: int = 1) -> NewEvent:
    event = ev.TransactionFinal(action_id=f"{wallet}/{n}", nonce=n, hash=tx_hash(wallet, n, attempt))
    return NewEvent(wallet_stream(wallet), event, f"{wallet}/{n}")


def reorged(wallet: str, n: int, attempt: int = 1) -> NewEvent:
    event = ev.TransactionReorged(
        action_id=f"{wallet}/{n}", nonce=n, hash=tx_hash(wallet, n, attempt), block=block(100 + n)
    )
    return NewEvent(wallet_stream(wallet), event, f"{wallet}/{n}")


def superseded(wallet: str, n: int, by: Hash | None = None) -> NewEvent:
    event = ev.TransactionSuperseded(action_id=f"{wallet}/{n}", nonce=n, hash=tx_hash(wallet, n, 1), by=by)
    return NewEvent(wallet_stream(wallet), event, f"{wallet}/{n}")


def a_day() -> Sequence[NewEvent]:
    """A small log in which every kind of thing happened."""
    return (
        note("start"),
        registered("w1", 1),
        registered("w2", 2),
        signed("w1", 1),
        mined("w1", 1),
        final("w1", 1),
        signed("w2", 1),
        signed("w2", 1, 2),
        mined("w2", 1, 2, success=False),
        final("w2", 1, 2),
        signed("w1", 2),
        signed("w1", 2, 2, "cancel"),
        mined("w1", 2, 2),
        signed("w2", 2),
        superseded("w2", 2, by=tx_hash("stranger")),
        signed("w1", 3),
        mined("w1", 3),
        reorged("w1", 3),
        NewEvent(wallet_stream("w1"), ev.OutsideTransactionSeen(nonce=9, hash=tx_hash("seen"), block=block(9))),
        note("end"),
    )


STATUSES = {
    tx_hash("w1", 1, 1): "final",
    tx_hash("w2", 1, 1): "superseded",
    tx_hash("w2", 1, 2): "reverted",
    tx_hash("w1", 2, 1): "superseded",
    tx_hash("w1", 2, 2): "cancelled",
    tx_hash("w2", 2, 1): "superseded",
    tx_hash("w1", 3, 1): "open",
}
"""What became of each attempt of `a_day`."""
