"""Somebody who can write to the database file, knows all of this code, and has no key of the fleet: he rewrites the log and
computes the whole chain anew, so that it hangs together."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from ghostfleet.domain.values import Hash
from ghostfleet.store.rows import GENESIS, EventRow, hash_of

COLUMNS = ", ".join(EventRow.__struct_fields__)
Edit = Callable[[EventRow], EventRow | None]
"""A row to what it is to be; None takes it out."""


def rewrite(path: Path, edit: Edit) -> list[EventRow]:
    """The log at `path` after the edit, numbered and hashed anew from the first row on. Read models stay: edit what has none.

    Snapshots go, and the witness beside the file: they would tell.
    """
    with closing(sqlite3.connect(path)) as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        rows = [EventRow(*row) for row in database.execute(f"SELECT {COLUMNS} FROM events ORDER BY position")]
        written = chained([edited for row in rows if (edited := edit(row)) is not None])
        database.execute("DELETE FROM events")
        marks = ", ".join("?" * len(EventRow.__struct_fields__))
        columns = [tuple(getattr(row, name) for name in EventRow.__struct_fields__) for row in written]
        database.executemany(f"INSERT INTO events ({COLUMNS}) VALUES ({marks})", columns)
        head = written[-1]
        database.execute(
            "UPDATE log_head SET position = ?, hash = ?, projected = ?", [head.position, head.hash, head.position]
        )
        database.execute("DELETE FROM snapshots")
        for _, sql in triggers:
            database.execute(sql)
        database.commit()
    path.with_name(path.name + ".witness").unlink(missing_ok=True)
    return written


def chained(rows: list[EventRow]) -> list[EventRow]:
    """These rows with positions, versions and hashes as if they had been written so."""
    versions: dict[str, int] = {}
    previous: bytes = GENESIS
    written: list[EventRow] = []
    for position, row in enumerate(rows, start=1):
        versions[row.stream] = versions.get(row.stream, 0) + 1
        row = replace(row, position=position, version=versions[row.stream])
        row = replace(row, hash=Hash(hash_of(previous, row)))
        previous = row.hash
        written.append(row)
    return written
