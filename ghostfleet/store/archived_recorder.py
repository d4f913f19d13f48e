"""How is a log read whose oldest events lie in archive files? As if they were still in the table, where the files are at hand.

Rows above the anchor come from the table, those up to it from the file that has them. What is not at hand is said by name:
`page` raises ArchiveMissing, a query leaves it out and `missing` says what.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from ghostfleet.domain.events import FLEET_STREAM, LogArchived, Stream
from ghostfleet.store.archives import Archive, anchor_row, anchors_of, delete_anchor, insert_anchor
from ghostfleet.store.archiving import moments_of
from ghostfleet.store.codec import CODEC
from ghostfleet.store.database import Database, Steps
from ghostfleet.store.durable_files import content_of
from ghostfleet.store.errors import ArchiveMissing, LogCorrupt
from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, Page, checked_limit, every
from ghostfleet.store.recorder import Recorder, Snapshot
from ghostfleet.store.rows import EventRow, LogHead
from ghostfleet.store.sql_recorder import LAST_POSITION, SqlRecorder
from ghostfleet.store.sqlite import SqliteDatabase


class ArchivedRecorder(SqlRecorder):
    """The recorder of a log with archives. `place` is the directory in which the files are looked for."""

    def __init__(self, database: Database, archives: Sequence[Archive], place: Path | None) -> None:
        super().__init__(database)
        self.archives = tuple(archives)
        self._place = place
        self._open: dict[str, SqlRecorder] = {}
        self._opening = asyncio.Lock()

    @property
    def anchor(self) -> LogHead:
        return self.archives[-1].head

    def missing(self) -> Sequence[str]:
        return [it.words(self._place) for it in self.archives if not self._at_hand(it)]

    def _at_hand(self, archive: Archive) -> bool:
        return self._place is not None and (self._place / archive.file).is_file()

    async def anchor_state(self, fold_version: int) -> Snapshot | None:
        for saved in await anchors_of(self._db):
            if saved.fold_version == fold_version and saved.position == self.anchor.position:
                if not saved.undamaged or saved.head_hash != self.anchor.hash:
                    raise LogCorrupt(
                        f"the state at the anchor, position {saved.position}, is damaged: restore a backup"
                    )
                return saved
        return None

    async def put_anchor_state(self, snapshot: Snapshot) -> None:
        dialect = self._db.dialect
        steps: Steps = [
            (delete_anchor(dialect, of_fold=snapshot.fold_version), [(snapshot.fold_version,)]),
            (insert_anchor(dialect), [anchor_row(snapshot)]),
        ]
        await self._db.write(steps, (), lambda _: ())

    async def versions(self) -> Mapping[Stream, tuple[int, int]]:
        found = dict(await super().versions())
        for stream, archived in self.archives[-1].versions.items():
            newest, count = found.get(stream, (0, 0))
            found[stream] = (max(newest, archived), count + archived)
        return found

    async def page(self, after: int, until: int | None, limit: int) -> Sequence[EventRow]:
        until = LAST_POSITION if until is None else until
        if until <= 0:
            return await super().page(after, until, limit)  # no row has such a position: whoever asks looks for strays
        rows: list[EventRow] = []
        after = max(after, 0)
        for archive in self.archives:
            if after < archive.last_position and after < until and len(rows) < limit:
                recorder = await self._recorder_of(archive)
                rows += await recorder.page(after, min(until, archive.last_position), limit - len(rows))
                if not rows or (rows[-1].position < min(until, archive.last_position) and len(rows) < limit):
                    raise LogCorrupt(
                        f"archive {archive.file} does not have all of its rows: put a whole copy in its place"
                    )
                after = rows[-1].position
        if after >= self.anchor.position and len(rows) < limit:
            rows += await super().page(after, until, limit - len(rows))
        return rows

    async def _recorder_of(self, archive: Archive) -> SqlRecorder:
        """The file's own recorder, opened once. Raises ArchiveMissing, LogCorrupt when it is another file of that name."""
        if not self._at_hand(archive):
            raise ArchiveMissing(f"{archive.words(self._place)}: put it there")
        assert self._place is not None
        async with self._opening:
            recorder = self._open.get(archive.file)
            if recorder is None:
                path = self._place / archive.file
                recorder = SqlRecorder(await SqliteDatabase.open(path, read_only=True, create=False))
                self._open[archive.file] = recorder
                stated, _ = await recorder.stated_head()
                if stated != archive.head:
                    raise LogCorrupt(
                        f"{path} ends at position {stated.position} ({stated.hash}), the archive of that name at"
                        f" {archive.last_position} ({archive.last_hash}): put the right file there"
                    )
        return recorder

    async def rows(self, query: EventQuery) -> Page[EventRow]:
        limit = checked_limit(query.limit)
        narrowed = await self._by_action(query)
        if narrowed is None:
            return Page(())
        items: list[EventRow] = []
        lacks = [it for it in self.archives if _concerns(it, narrowed) and not self._at_hand(it)]
        missing = tuple(it.words(self._place) for it in lacks)
        asked = self.archives if not query.descending else self.archives[::-1]
        parts: list[Archive | None] = [*asked, None] if not query.descending else [None, *asked]
        for part in parts:
            if part is not None and (not _concerns(part, narrowed) or not self._at_hand(part)):
                continue
            full = len(items) == limit  # then only whether there is more is of interest
            some = replace(narrowed, limit=1 if full else limit - len(items))
            page = await (super().rows(some) if part is None else (await self._recorder_of(part)).rows(some))
            if full and page.items:
                return Page(tuple(items), items[-1].position, missing)
            items += page.items
            if page.next is not None:
                return Page(tuple(items), items[-1].position, missing)
        return Page(tuple(items), None, missing)

    async def _by_action(self, query: EventQuery) -> EventQuery | None:
        """A query for a transaction of ours by its action, which spans files; None when nothing can fit."""
        ours = await self.transaction(query.tx) if query.tx is not None else None
        if ours is None:
            return query
        if query.correlation not in (None, ours.action_id):
            return None
        return replace(query, tx=None, correlation=ours.action_id)

    async def faults(self) -> str:
        strays = await super().page(-LAST_POSITION, self.anchor.position, 1)
        if strays:
            return f"position {strays[0].position} is in the table, and in an archive"
        return await self._faults_of_archives() or await super().faults()

    async def _faults_of_archives(self) -> str:
        """The states at the anchor, and the versions that are remembered of files which are at hand."""
        states = await anchors_of(self._db)
        if not any(it.undamaged and it.position == self.anchor.position for it in states):
            return f"there is no state at the anchor, position {self.anchor.position}"
        if damaged := [it for it in states if not it.undamaged or it.head_hash != self.anchor.hash]:
            return f"the state at the anchor by fold version {damaged[0].fold_version} is damaged"
        known: dict[Stream, int] = {}
        for archive in self.archives:
            if self._at_hand(archive) and (fault := await self._fault_of_file(archive, known)):
                return f"archive {archive.file}: {fault}"
            known = dict(archive.versions)
        return await self._fault_of_table()

    async def _fault_of_file(self, archive: Archive, known: Mapping[Stream, int]) -> str:
        """What is remembered of a file is what questions are answered by, and the file has nothing besides its events."""
        recorder = await self._recorder_of(archive)
        held = await recorder.versions()
        if {**known, **{stream: newest for stream, (newest, _) in held.items()}} != archive.versions:
            return "the versions of streams at its end are not those in the file"
        moments = await moments_of(recorder._db, archive.first_position - 1, archive.last_position)
        if (moments.first_us, moments.last_us) != (archive.first_us, archive.last_us):
            return "table archives gives it another time than its events have"
        assert self._place is not None
        content = await asyncio.to_thread(content_of, self._place / archive.file)
        if content.sha256 != archive.file_sha256:
            return f"it is not the file that was made: its sha256 was {archive.file_sha256} and is {content.sha256}"
        return ""

    async def _fault_of_table(self) -> str:
        """Table archives beside what the log says of each archive; an archive file ends before it says so of the one before."""
        query = EventQuery(stream=FLEET_STREAM, types=(LogArchived.__name__,), limit=MAX_PAGE_ROWS)
        said = [(CODEC.decode(row).event, row.time_us) async for row in every(self.rows, query)]
        known = {event.last_position: (event, time_us) for event, time_us in said if isinstance(event, LogArchived)}
        for archive in self.archives:
            written = archive.event, archive.archived_us
            if known.get(archive.last_position, written) != written:
                return f"archive {archive.file}: table archives does not say of it what LogArchived says"
        return ""

    async def close(self) -> None:
        for recorder in self._open.values():
            await recorder.close()
        await super().close()


def _concerns(archive: Archive, query: EventQuery) -> bool:
    """Whether a file can hold rows of this query."""
    if query.cursor is not None:
        beyond = archive.first_position >= query.cursor if query.descending else archive.last_position <= query.cursor
        if beyond:
            return False
    if query.since_us is not None and archive.last_us < query.since_us:
        return False
    return query.until_us is None or archive.first_us < query.until_us


def recorder_over(database: Database, archives: Sequence[Archive], place: Path | None) -> Recorder:
    """The recorder that this log needs."""
    return ArchivedRecorder(database, archives, place) if archives else SqlRecorder(database)
