"""A log in memory whose disk can lose what was not synced: no threads, no clock, the same promises as SQL."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec

from ghostfleet.domain.events import Stream, wallet_stream
from ghostfleet.errors import BadInput
from ghostfleet.store.errors import LogUnavailable
from ghostfleet.store.expectation import TransactionTable
from ghostfleet.store.projections import Change
from ghostfleet.store.queries import MAX_TYPES, EventQuery, Page, TransactionQuery, TransactionRow, checked_limit
from ghostfleet.store.recorder import Snapshot
from ghostfleet.store.rows import EventRow, LogHead
from ghostfleet.store.sql_recorder import MAX_SNAPSHOTS_READ, NAMING_A_STRANGER

T = TypeVar("T", EventRow, TransactionRow)


class Commit(msgspec.Struct, frozen=True):
    """What one commit wrote."""

    rows: tuple[EventRow, ...]
    changes: tuple[Change, ...]


class MemoryDisk:
    """What outlives the process: commits that were synced, and for a while one that was written and not yet synced."""

    def __init__(self, durable: Iterable[Commit] = ()) -> None:
        self.durable: list[Commit] = list(durable)
        self.unsynced: Commit | None = None
        self.kept: list[Snapshot] = []
        self.full: str = ""
        """Why the disk takes nothing; empty when it does."""

    def after_crash(self, *, keep_unsynced: bool) -> "MemoryDisk":
        """The disk as the next process finds it: what was not synced may be there, or not."""
        found = MemoryDisk(self.durable)
        if keep_unsynced and self.unsynced is not None:
            found.durable.append(self.unsynced)
        found.kept = list(self.kept)
        return found


async def at_once() -> None:
    """A sync that takes no time."""


class MemoryRecorder:
    """A Recorder over a MemoryDisk. `sync` is awaited between writing and durable: there a crash decides, or a fault."""

    wal_bytes = 0

    def __init__(self, disk: MemoryDisk, sync: Callable[[], Awaitable[None]] = at_once) -> None:
        self.disk = disk
        self._sync = sync
        self._rows: list[EventRow] = []
        self._table = TransactionTable()
        self._projected = 0
        for commit in disk.durable:
            self._take(commit)

    def _take(self, commit: Commit) -> None:
        self._rows.extend(commit.rows)
        for change in commit.changes:
            self._table.apply(change)
        self._projected = len(self._rows)

    def _check_disk(self) -> None:
        if self.disk.full:
            raise LogUnavailable(f"the log cannot be used: {self.disk.full}")

    async def head(self) -> LogHead:
        return LogHead(self._rows[-1].position, self._rows[-1].hash) if self._rows else LogHead()

    async def settled_head(self) -> LogHead:
        return await self.head()

    async def stated_head(self) -> tuple[LogHead, int]:
        return await self.head(), self._projected

    def witnessed(self) -> LogHead | None:
        return None

    @property
    def anchor(self) -> LogHead:
        return LogHead()

    def missing(self) -> Sequence[str]:
        return ()

    async def anchor_state(self, fold_version: int) -> Snapshot | None:
        return None

    async def put_anchor_state(self, snapshot: Snapshot) -> None:
        raise BadInput("a log in memory has no archives")

    async def versions(self) -> Mapping[Stream, tuple[int, int]]:
        found: dict[Stream, tuple[int, int]] = {}
        for row in self._rows:
            newest, count = found.get(row.stream, (0, 0))
            found[row.stream] = (max(newest, row.version), count + 1)
        return found

    async def record(self, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        self._check_disk()
        commit = Commit(tuple(rows), tuple(changes))
        self.disk.unsynced = commit
        try:
            await self._sync()
        except LogUnavailable as problem:
            if problem.in_doubt:  # it reached the disk, and nobody could say so
                self._make_durable(commit)
            self.disk.unsynced = None
            raise
        self._make_durable(commit)

    def _make_durable(self, commit: Commit) -> None:
        self.disk.durable.append(commit)
        self.disk.unsynced = None
        self._take(commit)

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        return self._rows[after : len(self._rows) if until is None else until][:limit]

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        if len(query.types) > MAX_TYPES:
            raise BadInput(f"a query names at most {MAX_TYPES} event types, not {len(query.types)}")
        action, strangers_hash = "", ""
        if query.tx is not None:
            ours = await self.transaction(query.tx)
            action, strangers_hash = ("", str(query.tx)) if ours is None else (ours.action_id, "")

        def fits(row: EventRow) -> bool:
            return (
                (query.stream is None or row.stream == query.stream)
                and (query.wallet is None or row.stream == wallet_stream(query.wallet))
                and (not query.types or row.type in query.types)
                and (query.since_us is None or row.time_us >= query.since_us)
                and (query.until_us is None or row.time_us < query.until_us)
                and (query.correlation is None or row.correlation == query.correlation)
                and (not action or row.correlation == action)
                and (not strangers_hash or (row.type in NAMING_A_STRANGER and strangers_hash in row.payload))
            )

        return _page([row for row in self._rows if fits(row)], "position", query)

    async def transaction(self, tx: bytes) -> TransactionRow | None:
        return self._table.actions.get(self._table.hashes.get(bytes(tx), ""), {}).get(bytes(tx))

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]:
        attempts = [row for action in self._table.actions.values() for row in action.values()]
        found = [
            row
            for row in sorted(attempts, key=attrgetter("signed_position"))
            if (query.wallet is None or row.wallet == query.wallet)
            and (query.action_id is None or row.action_id == query.action_id)
            and (not query.statuses or row.status in query.statuses)
        ]
        return _page(found, "signed_position", query)

    async def by_hash(self, hashes: Sequence[bytes]) -> Mapping[bytes, TransactionRow]:
        found = {bytes(tx): await self.transaction(tx) for tx in hashes}
        return {tx: row for tx, row in found.items() if row is not None}

    async def transaction_count(self) -> int:
        return len(self._table.hashes)

    async def addresses(self) -> Mapping[str, bytes]:
        return self._table.addresses

    async def forget_projections(self) -> None:
        self._check_disk()
        self._table, self._projected = TransactionTable(), 0

    async def project(self, changes: Sequence[Change], until: int) -> bool:
        self._check_disk()
        for change in changes:
            self._table.apply(change)
        self._projected = until
        return True

    async def put_snapshot(self, snapshot: Snapshot, keep: int) -> None:
        self._check_disk()
        others = [it for it in self.disk.kept if it.position != snapshot.position]
        self.disk.kept = sorted([*others, snapshot], key=attrgetter("position"), reverse=True)[:keep]

    async def snapshots(self, fold_version: int) -> Sequence[Snapshot]:
        return [it for it in self.disk.kept if it.fold_version == fold_version][:MAX_SNAPSHOTS_READ]

    async def every_snapshot(self) -> Sequence[Snapshot]:
        return self.disk.kept

    async def drop_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        self._check_disk()
        self.disk.kept = [it for it in self.disk.kept if it not in snapshots]

    async def schema(self) -> Mapping[str, str]:
        return {}

    async def faults(self) -> str:
        return ""

    async def close(self) -> None:
        pass


def _page(found: list[T], by: str, query: EventQuery | TransactionQuery) -> Page[T]:
    limit = checked_limit(query.limit)
    place = attrgetter(by)
    if query.descending:
        found = found[::-1]
    if query.cursor is not None:
        cursor = query.cursor
        found = [it for it in found if (place(it) < cursor if query.descending else place(it) > cursor)]
    return Page(tuple(found[:limit]), place(found[limit - 1]) if len(found) > limit else None)
