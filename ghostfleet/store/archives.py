"""Where are the events that have left the table? In archive files: each a log of its own, found by its name in one place.

`db archive` moves the oldest events to a file and leaves a row in `archives`: which positions, the hash that the first row of
the table continues, the version that every stream had. What asks for them is in `archived_recorder`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, delete, insert, select

from ghostfleet.domain.events import LogArchived, Stream
from ghostfleet.domain.values import Hash, encode_json
from ghostfleet.store.database import Database, Prepared, prepare
from ghostfleet.store.errors import LogCorrupt
from ghostfleet.store.recorder import Snapshot
from ghostfleet.store.rows import LogHead
from ghostfleet.store.schema import ARCHIVED_LEVEL
from ghostfleet.store.tables import anchors, archives, log_meta

MAX_ARCHIVES = 10_000
"""Archive files of one log: thirty years of one a day."""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """One archive file as the log remembers it. `versions`: of every stream at its end."""

    first_position: int
    last_position: int
    last_hash: Hash
    first_us: int
    last_us: int
    """Least and greatest time of its events."""
    file: str
    file_sha256: Hash
    versions: Mapping[Stream, int]
    archived_us: int

    @property
    def head(self) -> LogHead:
        """Its last row, which the log's next one continues."""
        return LogHead(self.last_position, self.last_hash)

    @property
    def event(self) -> LogArchived:
        """What the log itself says of it."""
        return LogArchived(
            first_position=self.first_position,
            last_position=self.last_position,
            last_hash=self.last_hash,
            file=self.file,
            file_sha256=self.file_sha256,
        )

    def words(self, place: Path | None) -> str:
        """What is not at hand, for whoever asked for it."""
        where = "no [archive] dir is set" if place is None else f"which is not in {place}"
        return f"positions {self.first_position} to {self.last_position} are in archive {self.file}, {where}"


async def archives_of(database: Database) -> Sequence[Archive]:
    """Every archive of this log, oldest first. Raises LogCorrupt when they do not follow one another."""
    meta = prepare(database.dialect, select(log_meta.c.value).where(log_meta.c.key == "level"))
    level = await database.fetch(meta)
    if not level or not str(level[0][0]).isdigit() or int(level[0][0]) < ARCHIVED_LEVEL:
        return ()  # written by a release that had no such table
    chosen = select(archives).order_by(archives.c.last_position).limit(MAX_ARCHIVES)
    found = [_archive(row, database.place) for row in await database.fetch(prepare(database.dialect, chosen))]
    after = 0
    for archive in found:
        if archive.first_position != after + 1 or archive.last_position <= after:
            raise LogCorrupt(f"the log at {database.place} has a gap in table archives after position {after}")
        after = archive.last_position
    return found


def _archive(row: tuple[object, ...], place: str) -> Archive:
    names = [column.name for column in archives.columns]
    try:
        columns = dict(zip(names, row, strict=True))
        columns["versions"] = msgspec.json.decode(str(columns["versions"]), type=dict[str, int])
        for name in ("last_hash", "file_sha256"):
            columns[name] = Hash(msgspec.convert(columns[name], bytes))
        archive = Archive(**columns)  # type: ignore[arg-type]
        whole = (archive.first_position, archive.last_position, archive.first_us, archive.last_us, archive.archived_us)
        if not all(type(number) is int for number in whole) or type(archive.file) is not str:
            raise ValueError
        if Path(archive.file).name != archive.file:
            raise ValueError
    except (msgspec.MsgspecError, ValueError, TypeError):
        raise LogCorrupt(f"the log at {place} has a damaged row in table archives") from None
    return archive


def insert_archive(dialect: str) -> Prepared:
    """The statement for `archive_row`."""
    return prepare(dialect, insert(archives))


def archive_row(archive: Archive) -> tuple[object, ...]:
    """An archive as a row, in the order of the columns."""
    values = msgspec.structs.asdict(archive)
    values["versions"] = encode_json(archive.versions).decode()
    for name in ("last_hash", "file_sha256"):
        values[name] = bytes(values[name])
    return tuple(values[column.name] for column in archives.columns)


def insert_anchor(dialect: str) -> Prepared:
    """The statement for `anchor_row`."""
    return prepare(dialect, insert(anchors))


def anchor_row(snapshot: Snapshot) -> tuple[object, ...]:
    """The state at the end of the newest archive as a row."""
    head, digest = bytes(snapshot.head_hash), bytes(snapshot.digest)
    return snapshot.position, snapshot.fold_version, head, digest, snapshot.state


def delete_anchor(dialect: str, *, of_fold: int | None = None) -> Prepared:
    """Forget the state of an older anchor; of one fold version, or of all."""
    if of_fold is None:
        return prepare(dialect, delete(anchors).where(anchors.c.position < bindparam("before")))
    return prepare(dialect, delete(anchors).where(anchors.c.fold_version == of_fold))


async def anchors_of(database: Database) -> Sequence[Snapshot]:
    """The state at the newest anchor, one for each version of the fold that wrote it."""
    found = await database.fetch(prepare(database.dialect, select(anchors).order_by(anchors.c.position)))
    try:
        return [Snapshot(row[0], row[1], Hash(row[2]), Hash(row[3]), row[4]) for row in found]
    except (ValueError, TypeError):
        raise LogCorrupt(f"the log at {database.place} has a damaged row in table anchors") from None
