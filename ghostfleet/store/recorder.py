"""What does the log need of a storage? Rows kept atomically and durably, handed out in pages, and caches beside them.

The SQL recorder and the simulator's recorder in memory keep the same promises; one class of contract tests says which.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec

from ghostfleet.domain.events import Stream
from ghostfleet.domain.values import Hash
from ghostfleet.store.projections import Change
from ghostfleet.store.queries import EventQuery, Page, TransactionQuery, TransactionRow
from ghostfleet.store.rows import EventRow, LogHead


class Snapshot(msgspec.Struct, frozen=True):
    """A folded state as of `position`; `head_hash` is the hash of that row, `digest` covers all the other columns."""

    position: int
    fold_version: int
    head_hash: Hash
    digest: Hash
    state: bytes

    @classmethod
    def of(cls, position: int, fold_version: int, head_hash: Hash, state: bytes) -> "Snapshot":
        """With its digest."""
        return cls(position, fold_version, head_hash, _digest(position, fold_version, head_hash, state), state)

    @property
    def undamaged(self) -> bool:
        """Whether the columns are as they were written."""
        return self.digest == _digest(self.position, self.fold_version, self.head_hash, self.state)


def _digest(position: int, fold_version: int, head_hash: bytes, state: bytes) -> Hash:
    return Hash(sha256(b"".join((f"{position} {fold_version} ".encode(), head_hash, state))).digest())


class Counters(msgspec.Struct):
    """What the last commit was like. Plain numbers for metrics; changed in place."""

    commits: int = 0
    rows: int = 0
    last_commit_rows: int = 0
    last_commit_secs: float = 0.0


class Recorder(Protocol):
    """Raises LogUnavailable when the storage cannot, LogCorrupt when what it holds cannot be read."""

    async def head(self) -> LogHead:
        """The newest durable row."""
        ...

    async def settled_head(self) -> LogHead:
        """The same, for the writer after a commit that failed: no commit of its own can land afterwards. Raises LogUnavailable
        while one may."""
        ...

    async def stated_head(self) -> tuple[LogHead, int]:
        """The head as the last commit stated it, and the position up to which the read models follow."""
        ...

    def witnessed(self) -> LogHead | None:
        """Where the log is known to have ended, by a note kept outside of it; None when there is none."""
        ...

    @property
    def anchor(self) -> LogHead:
        """The row that the first one of the table continues: the end of the newest archive, or where every log begins."""
        ...

    def missing(self) -> Sequence[str]:
        """What lies in archive files that are not at hand, in words."""
        ...

    async def anchor_state(self, fold_version: int) -> Snapshot | None:
        """The state as of the anchor, by this version of the fold; None when there is none. Raises LogCorrupt."""
        ...

    async def put_anchor_state(self, snapshot: Snapshot) -> None:
        """Keep the state as of the anchor, beside those of other versions of the fold."""
        ...

    async def versions(self) -> Mapping[Stream, tuple[int, int]]:
        """Newest version and number of rows of every stream."""
        ...

    async def record(self, rows: Sequence[EventRow], changes: Sequence[Change]) -> None:
        """All rows, or none; durable when it returns. Changes to read models that fail do not keep the rows out."""
        ...

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        """The next rows, in order. Holds nothing open afterwards."""
        ...

    async def rows(self, query: EventQuery) -> Page[EventRow]: ...

    async def transaction(self, tx: bytes) -> TransactionRow | None: ...

    async def transactions(self, query: TransactionQuery) -> Page[TransactionRow]: ...

    async def by_hash(self, hashes: Sequence[bytes]) -> Mapping[bytes, TransactionRow]:
        """The rows of these transactions, those that there are."""
        ...

    async def transaction_count(self) -> int: ...

    async def addresses(self) -> Mapping[str, bytes]:
        """The address of every wallet that was ever registered."""
        ...

    async def forget_projections(self) -> None:
        """Empty the read models; they follow the log up to position 0."""
        ...

    async def project(self, changes: Sequence[Change], until: int) -> bool:
        """Carry out changes that were missing; the read models follow up to `until` then. Not when they cannot be carried out."""
        ...

    async def put_snapshot(self, snapshot: Snapshot, keep: int) -> None:
        """Keep this and the newest others, `keep` in all."""
        ...

    async def snapshots(self, fold_version: int) -> Sequence[Snapshot]:
        """Newest first."""
        ...

    async def every_snapshot(self) -> Sequence[Snapshot]:
        """Those of other fold versions as well."""
        ...

    async def drop_snapshots(self, snapshots: Sequence[Snapshot]) -> None: ...

    async def schema(self) -> Mapping[str, str]:
        """What the storage says of its own shape: `revision`, `level`, `min_level`, `release` that wrote last."""
        ...

    async def faults(self) -> str:
        """What the storage itself finds wrong with its files; empty when nothing."""
        ...

    @property
    def wal_bytes(self) -> int: ...

    async def close(self) -> None: ...
