"""The log in SQL, the same on every database: rows, read models and snapshots by SQLAlchemy Core's statements."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Select, Table, and_, or_, select

from ghostfleet.domain.events import Stream, wallet_stream
from ghostfleet.domain.values import Address, Hash
from ghostfleet.errors import BadInput
from ghostfleet.store.database import Database, Steps
from ghostfleet.store.errors import LogCorrupt
from ghostfleet.store.projections import Change, waves
from ghostfleet.store.queries import (
    MAX_TYPES,
    EventQuery,
    Page,
    TransactionQuery,
    TransactionRow,
    checked_limit,
)
from ghostfleet.store.recorder import Snapshot
from ghostfleet.store.rows import EventRow, LogHead
from ghostfleet.store.statements import Statements
from ghostfleet.store.tables import events, transactions

LAST_POSITION = 2**63 - 1
HEAD_ID = 1
"""Key of the one row of log_head."""
MAX_HASHES = 500
"""Hashes in one select: SQLite takes no more than 1,000 terms."""
MAX_SNAPSHOTS_READ = 8
NAMING_A_STRANGER = ("OutsideTransactionSeen", "TransactionSuperseded")
"""Event types that name a transaction which is not ours."""


class SqlRecorder:
    """A Recorder over a Database."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sql = Statements(database.dialect)
        self._projected: int | None = 0
        """Up to where the read models follow; None while that cannot be known without a look."""

    async def head(self) -> LogHead:
        found = await self._db.fetch(self._sql.head)
        return _head(*found[0]) if found else LogHead()

    async def settled_head(self) -> LogHead:
        await self._db.settle()
        return await self.head()

    async def stated_head(self) -> tuple[LogHead, int]:
        found = await self._db.fetch(self._sql.stated_head)
        if [tuple(map(type, row)) for row in found] != [(int, int, bytes, int)] or found[0][0] != HEAD_ID:
            raise LogCorrupt(f"the log at {self._db.place} does not say where it ends: table log_head is damaged")
        _, position, digest, projected = found[0]
        self._projected = projected
        return _head(position, digest), projected

    def witnessed(self) -> LogHead | None:
        return self._db.witnessed()

    @property
    def anchor(self) -> LogHead:
        return LogHead()

    def missing(self) -> Sequence[str]:
        return ()

    async def anchor_state(self, fold_version: int) -> Snapshot | None:
        return None

    async def put_anchor_state(self, snapshot: Snapshot) -> None:
        raise BadInput("nothing was archived from this log: it has no anchor")

    async def versions(self) -> Mapping[Stream, tuple[int, int]]:
        found = await self._db.fetch(self._sql.versions, whole=True)
        return {stream: (newest, count) for stream, newest, count in found}

    async def record(self, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        before = self._projected
        if before is None:
            _, before = await self.stated_head()
        follows = before == rows[0].position - 1
        newest = rows[-1]

        def last(applied: bool) -> Steps:
            projected = newest.position if follows and applied else before
            head = self._sql.set_head.row(position=newest.position, hash=bytes(newest.hash), projected=projected)
            return [(self._sql.set_head, [head])]

        params = [row_params(row) for row in rows]
        self._projected = None  # of a commit that fails nobody knows whether it landed
        applied = await self._db.write([(self._sql.append, params)], self._steps(changes) if follows else (), last)
        self._projected = newest.position if follows and applied else before
        self._db.witness(LogHead(newest.position, newest.hash))

    def _steps(self, changes: Sequence[Change]) -> Steps:
        return [self._sql.change(kind, same) for wave in waves(changes) for kind, same in wave.items()]

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        params = self._sql.page.row(after=after, until=LAST_POSITION if until is None else until, count=limit)
        return [_row(it) for it in await self._db.fetch(self._sql.page, params)]

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        limit = checked_limit(query.limit)
        if len(query.types) > MAX_TYPES:
            raise BadInput(f"a query names at most {MAX_TYPES} event types, not {len(query.types)}")
        chosen = _paged(select(events), events, "position", query)
        for column, wanted in (("stream", query.stream), ("correlation", query.correlation)):
            if wanted is not None:
                chosen = chosen.where(events.c[column] == wanted)
        if query.wallet is not None:
            chosen = chosen.where(events.c.stream == wallet_stream(query.wallet))
        if query.types:
            chosen = chosen.where(or_(*(events.c.type == name for name in query.types)))
        if query.since_us is not None:
            chosen = chosen.where(events.c.time_us >= query.since_us)
        if query.until_us is not None:
            chosen = chosen.where(events.c.time_us < query.until_us)
        if query.tx is not None:
            chosen = chosen.where(await self._about(query.tx))
        found = await self._db.fetch(self._sql.select(chosen))
        items = tuple(_row(it) for it in found[:limit])
        return Page(items, items[-1].position if len(found) > limit else None)

    async def _about(self, tx: bytes) -> Any:
        """Of one of ours all that belongs to its action; of a stranger's what names it."""
        ours = await self.transaction(tx)
        if ours is not None:
            return events.c.correlation == ours.action_id
        strangers = or_(*(events.c.type == name for name in NAMING_A_STRANGER))
        return and_(strangers, events.c.payload.contains(f"0x{tx.hex()}"))

    async def transaction(self, tx: bytes) -> TransactionRow | None:
        found = await self._db.fetch(self._sql.transaction, self._sql.transaction.row(hash=bytes(tx)))
        return _attempt(found[0]) if found else None

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]:
        limit = checked_limit(query.limit)
        chosen = _paged(select(transactions), transactions, "signed_position", query)
        if query.wallet is not None:
            chosen = chosen.where(transactions.c.wallet == query.wallet)
        if query.action_id is not None:
            chosen = chosen.where(transactions.c.action_id == query.action_id)
        if query.statuses:
            chosen = chosen.where(or_(*(transactions.c.status == status for status in query.statuses)))
        found = await self._db.fetch(self._sql.select(chosen))
        items = tuple(_attempt(it) for it in found[:limit])
        return Page(items, items[-1].signed_position if len(found) > limit else None)

    async def by_hash(self, hashes: Sequence[bytes]) -> Mapping[bytes, TransactionRow]:
        found: dict[bytes, TransactionRow] = {}
        wanted = iter(hashes)
        while some := list(islice(wanted, MAX_HASHES)):
            chosen = select(transactions).where(or_(*(transactions.c.hash == bytes(it) for it in some)))
            found |= {it[0]: _attempt(it) for it in await self._db.fetch(self._sql.select(chosen))}
        return found

    async def addresses(self) -> Mapping[str, bytes]:
        return dict(await self._db.fetch(self._sql.addresses))

    async def transaction_count(self) -> int:
        count: int = (await self._db.fetch(self._sql.transaction_count, whole=True))[0][0]
        return count

    async def forget_projections(self) -> None:
        await self._db.write([(statement, [()]) for statement in self._sql.forget], (), lambda _: self._following(0))
        self._projected = 0

    async def project(self, changes: Sequence[Change], until: int) -> bool:
        done = await self._db.write((), self._steps(changes), lambda done: self._following(until) if done else ())
        if done:
            self._projected = until
        return done

    def _following(self, position: int) -> Steps:
        return [(self._sql.set_projected, [self._sql.set_projected.row(projected=position)])]

    async def put_snapshot(self, snapshot: Snapshot, keep: int) -> None:
        row = self._sql.put_snapshot.row(
            position=snapshot.position,
            fold_version=snapshot.fold_version,
            head_hash=bytes(snapshot.head_hash),
            digest=bytes(snapshot.digest),
            state=snapshot.state,
        )
        old = [it[0] for it in await self._db.fetch(self._sql.snapshot_positions) if it[0] != snapshot.position]
        drops = [self._sql.drop_snapshot.row(at=position) for position in old[keep - 1 :]]
        same = [self._sql.drop_snapshot.row(at=snapshot.position)]
        await self._db.write(
            [(self._sql.drop_snapshot, same + drops), (self._sql.put_snapshot, [row])], (), lambda _: ()
        )

    async def snapshots(self, fold_version: int) -> Sequence[Snapshot]:
        params = self._sql.snapshots.row(fold=fold_version, count=MAX_SNAPSHOTS_READ)
        return [_snapshot(*it) for it in await self._db.fetch(self._sql.snapshots, params)]

    async def every_snapshot(self) -> Sequence[Snapshot]:
        return [_snapshot(*it) for it in await self._db.fetch(self._sql.every_snapshot)]

    async def drop_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [self._sql.drop_snapshot.row(at=it.position) for it in snapshots]
        await self._db.write([(self._sql.drop_snapshot, rows)], (), lambda _: ())

    async def schema(self) -> Mapping[str, str]:
        found = await self._db.fetch(self._sql.meta)
        revision = await self._db.fetch(self._sql.revision)
        return {"revision": revision[0][0] if revision else "", **dict(found)}

    async def faults(self) -> str:
        return await self._db.faults()

    @property
    def wal_bytes(self) -> int:
        return self._db.wal_bytes

    async def close(self) -> None:
        await self._db.close()


def _paged(chosen: Select[Any], of: Table, by: str, query: EventQuery | TransactionQuery) -> Select[Any]:
    column = of.c[by]
    if query.cursor is not None:
        chosen = chosen.where(column < query.cursor if query.descending else column > query.cursor)
    return chosen.order_by(column.desc() if query.descending else column).limit(query.limit + 1)


def row_params(row: EventRow) -> tuple[Any, ...]:
    """A row in the order of the table's columns."""
    return (
        row.position,
        row.stream,
        row.version,
        row.type,
        row.type_version,
        row.critical,
        row.time_us,
        row.correlation,
        row.payload,
        bytes(row.hash),
    )


def _row(stored: tuple[Any, ...]) -> EventRow:
    digest = stored[-1]
    return EventRow(*stored[:-1], Hash(digest) if type(digest) is bytes else digest)  # type: ignore[call-arg]


def _snapshot(position: int, fold_version: int, head_hash: Any, digest: Any, state: Any) -> Snapshot:
    """A damaged one is one that does not fit."""
    if not all(type(it) is bytes for it in (head_hash, digest, state)):
        head_hash = digest = state = b""
    return Snapshot(position, fold_version, Hash(head_hash), Hash(digest), state)


def _head(position: int, digest: object) -> LogHead:
    return LogHead(position, Hash(digest) if isinstance(digest, bytes) else Hash())


TRANSACTION_KINDS = tuple((column.type.python_type, column.nullable) for column in transactions.columns)


def _attempt(stored: tuple[Any, ...]) -> TransactionRow:
    try:
        for value, (kind, nullable) in zip(stored, TRANSACTION_KINDS, strict=True):
            if type(value) is not kind and not (value is None and nullable):
                raise TypeError
        return _transaction(*stored)
    except (TypeError, ValueError):
        tx = f"0x{stored[0].hex()}" if isinstance(stored[0], bytes) else repr(stored[0])[:80]
        raise LogCorrupt(
            f"the read model of transaction {tx} is damaged; `ghost-fleet db rebuild` mends that"
        ) from None


def _transaction(
    tx: bytes,
    wallet: str,
    address: bytes | None,
    action_id: str,
    nonce: int,
    attempt: int,
    purpose: Any,
    signed_position: int,
    signed_us: int,
    status: Any,
    block_number: int | None,
    block_hash: bytes | None,
    gas_used: int | None,
    gas_price_wei: str | None,
) -> TransactionRow:
    return TransactionRow(
        hash=Hash(tx),
        wallet=wallet,
        address=None if address is None else Address(address),
        action_id=action_id,
        nonce=nonce,
        attempt=attempt,
        purpose=purpose,
        signed_position=signed_position,
        signed_us=signed_us,
        status=status,
        block_number=block_number,
        block_hash=None if block_hash is None else Hash(block_hash),
        gas_used=gas_used,
        gas_price_wei=None if gas_price_wei is None else int(gas_price_wei),
    )
