"""What may be asked of the log, and what comes back: pages of rows and of transactions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Literal, TypeVar

import msgspec

from ghostfleet.domain.events import Purpose, Stream
from ghostfleet.domain.values import Address, Hash
from ghostfleet.errors import BadInput

MAX_PAGE_ROWS = 1000
"""Rows in one page: bounds the memory of an answer."""
MAX_TYPES = 64
"""Event types that one query may name."""

TransactionStatus = Literal["open", "mined", "final", "reverted", "superseded", "cancelled"]


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. `cursor` is the position after which (descending: before which) to go on; `tx` is any transaction hash."""

    wallet: str | None = None
    stream: Stream | None = None
    types: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    """Exclusive."""
    correlation: str | None = None
    tx: Hash | None = None
    cursor: int | None = None
    descending: bool = False
    limit: int = 100


class TransactionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts, ordered by the position of their TransactionSigned; `cursor` is such a position."""

    wallet: str | None = None
    action_id: str | None = None
    statuses: tuple[TransactionStatus, ...] = ()
    cursor: int | None = None
    descending: bool = False
    limit: int = 100


class TransactionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt ever signed, and what became of it. Block, gas and price are those of its receipt, while it has one."""

    hash: Hash
    wallet: str
    address: Address | None
    action_id: str
    nonce: int
    attempt: int
    purpose: Purpose
    signed_position: int
    signed_us: int
    status: TransactionStatus = "open"
    block_number: int | None = None
    block_hash: Hash | None = None
    gas_used: int | None = None
    gas_price_wei: int | None = None


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of the answer; `next` is the cursor of the following page, or None at the end."""

    items: tuple[T, ...]
    next: int | None = None
    missing: tuple[str, ...] = ()
    """What the answer lacks: in archive files that are not at hand."""


Query = TypeVar("Query", EventQuery, TransactionQuery)


async def pages(ask: Callable[[Query], Awaitable[Page[T]]], query: Query) -> AsyncIterator[Page[T]]:
    """Page after page of a query's answer, `pages(log.rows, EventQuery(...))`. Between two of them others have their turn."""
    while True:
        page = await ask(query)
        yield page
        if page.next is None:
            return
        query = msgspec.structs.replace(query, cursor=page.next)
        await asyncio.sleep(0)


async def every(ask: Callable[[Query], Awaitable[Page[T]]], query: Query) -> AsyncIterator[T]:
    """Whatever answers a query, one after the other: `every(log.transactions, TransactionQuery(...))`."""
    async for page in pages(ask, query):
        for item in page.items:
            yield item


def checked_limit(limit: int) -> int:
    """Raises BadInput for a page size that is not offered."""
    if not 1 <= limit <= MAX_PAGE_ROWS:
        raise BadInput(f"a page has 1 to {MAX_PAGE_ROWS} rows, not {limit}")
    return limit
