"""Questions an auditor asks of the tables: events by filter, transactions by hash, wallet or status. In bounded pages."""

from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ghostfleet.domain.events import wallet_stream
from ghostfleet.domain.values import Address, Hash
from ghostfleet.store import tables
from ghostfleet.store.rows import EventRow

MAX_PAGE_ROWS = 1000
DEFAULT_PAGE_ROWS = 100

R = TypeVar("R")


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Some rows, and the position after which the next page begins; None at the end."""

    rows: list[R]
    next: int | None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Every filter that is set has to hold. `after` is a position; `since_us` is inclusive, `until_us` is not."""

    wallet: str | None = None
    stream: str | None = None
    type: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    correlation: str | None = None
    tx: Hash | None = None
    after: int = 0
    limit: int = DEFAULT_PAGE_ROWS
    newest_first: bool = False
    """Then `after` is the position before which the page begins, 0 for the end of the log."""

    def following(self, after: int) -> "EventQuery":
        """The same question, a page on."""
        return msgspec.structs.replace(self, after=after)


class TransactionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that was ever signed. `status` is open, mined, final, reverted, superseded or cancelled."""

    wallet: str
    address: Address
    action_id: str
    nonce: int
    attempt: int
    purpose: str
    hash: Hash
    status: str
    block_number: int | None
    block_hash: Hash | None
    gas_used: int | None
    gas_price_wei: int | None
    position: int


class TransactionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts by filter, oldest first; `after` is the position at which the one before was signed."""

    hash: Hash | None = None
    wallet: str | None = None
    status: str | None = None
    after: int = 0
    limit: int = DEFAULT_PAGE_ROWS


async def select_events(connection: AsyncConnection, query: EventQuery) -> Page[EventRow]:
    """A page of events."""
    c = tables.events.c
    wanted = sa.select(tables.events)
    stream = query.stream or (wallet_stream(query.wallet) if query.wallet is not None else None)
    filters: tuple[tuple[object, Any], ...] = (
        (stream, c.stream == stream),
        (query.type, c.type == query.type),
        (query.since_us, c.time_us >= query.since_us if query.since_us is not None else None),
        (query.until_us, c.time_us < query.until_us if query.until_us is not None else None),
        (query.correlation, c.correlation == query.correlation),
    )
    for given, condition in filters:
        if given is not None:
            wanted = wanted.where(condition)
    if query.tx is not None:
        wanted = wanted.where(await _about(connection, query.tx))
    if query.newest_first:
        wanted = wanted.where(c.position < query.after) if query.after else wanted
        wanted = wanted.order_by(c.position.desc())
    else:
        wanted = wanted.where(c.position > query.after).order_by(c.position)
    limit = max(1, min(query.limit, MAX_PAGE_ROWS))
    rows = [event_row(row) for row in await connection.execute(wanted.limit(limit + 1))]
    return Page(rows[:limit], rows[limit - 1].position if len(rows) > limit else None)


async def _about(connection: AsyncConnection, tx: Hash) -> Any:
    """The condition that holds for events which name this transaction: those of its action, or the one that saw it."""
    c, t = tables.events.c, tables.transactions.c
    found = (await connection.execute(sa.select(t.action_id).where(t.hash == bytes(tx)))).first()
    if found is not None:
        return sa.and_(c.correlation == found[0], c.payload.contains(str(tx)))
    o = tables.outside_transactions.c
    return c.position == sa.select(o.position).where(o.hash == bytes(tx)).scalar_subquery()


async def select_transactions(connection: AsyncConnection, query: TransactionQuery) -> Page[TransactionRow]:
    """A page of attempts."""
    t = tables.transactions.c
    wanted = sa.select(tables.transactions).where(t.signed_position > query.after)
    for given, column in ((query.wallet, t.wallet), (query.status, t.status)):
        if given is not None:
            wanted = wanted.where(column == given)
    if query.hash is not None:
        wanted = wanted.where(t.hash == bytes(query.hash))
    limit = max(1, min(query.limit, MAX_PAGE_ROWS))
    found = await connection.execute(wanted.order_by(t.signed_position).limit(limit + 1))
    rows = [transaction_row(row) for row in found]
    return Page(rows[:limit], rows[limit - 1].position if len(rows) > limit else None)


def event_row(row: Any) -> EventRow:
    """A database row as a row of the log."""
    position, stream, version, kind, kind_version, critical, time_us, correlation, payload, digest = row
    return EventRow(
        position, stream, version, kind, kind_version, bool(critical), time_us, correlation, payload, Hash(digest)
    )


def transaction_row(row: Any) -> TransactionRow:
    """A database row as an attempt."""
    return TransactionRow(
        wallet=row.wallet,
        address=Address(row.address),
        action_id=row.action_id,
        nonce=row.nonce,
        attempt=row.attempt,
        purpose=row.purpose,
        hash=Hash(row.hash),
        status=row.status,
        block_number=row.block_number,
        block_hash=Hash(row.block_hash) if row.block_hash is not None else None,
        gas_used=row.gas_used,
        gas_price_wei=int(row.gas_price_wei) if row.gas_price_wei is not None else None,
        position=row.signed_position,
    )
