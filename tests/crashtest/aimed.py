"""`python -m tests.crashtest.aimed AIM ARGUMENTS`: the real `ghost-fleet`, which dies by SIGKILL at exactly the step aimed at.

An aim is `MOMENT:STEP:WHAT:NUMBER`: before, during or after the NUMBER-th

    append      that writes an event of type WHAT (`*`: any); during: its rows are in, its commit is not
    request     that calls the method WHAT (`*`: any); after: the answer is there, nobody has read it
    snapshot    that is saved; during: between its row and its commit
    checkpoint  of the write-ahead file, as the service asks for it; during: a thread kills somewhere within
    commit      of SQLite, checkpoints of its own included; during: a thread kills somewhere within
    migration   statement; after the last one there is its commit

Nothing in ghostfleet/ knows of this: the steps are wrapped from here.
"""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

import ghostfleet.assembly as assembly
import ghostfleet.lifetime as lifetime
import ghostfleet.store.dialect as dialect
import ghostfleet.store.sqlite as sqlite
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.cli.main import entry
from ghostfleet.store.log import EventLog
from ghostfleet.store.sql_recorder import SqlRecorder

MOMENTS = ("before", "during", "after")
STEPS = ("append", "request", "snapshot", "checkpoint", "commit", "migration")
SNAPSHOT_EVERY_EVENTS = 20
HOUSEKEEPING_SECS = 0.3
CHECKPOINT_PAGES = 8
WITHIN_SECS = 0.002
"""A commit with a checkpoint takes about so long: a thread that kills within it waits for a part of this."""
MIGRATION_WORDS = ("CREATE", "INSERT", "ALTER", "DROP", "UPDATE", "DELETE")


@dataclass
class Aim:
    """When to die."""

    moment: str
    step: str
    what: str
    number: int
    met: int = 0

    @classmethod
    def parse(cls, text: str) -> "Aim":
        moment, step, what, number = text.split(":")
        assert moment in MOMENTS, text
        assert step in STEPS, text
        return cls(moment, step, what, int(number))

    def is_it(self, whats: Sequence[str] = ()) -> bool:
        """Whether this step, which is all of these, is the one. Asked once a step."""
        if self.what != "*" and self.what not in whats:
            return False
        self.met += 1
        return self.met == self.number


def die(*_: object) -> Any:
    """No last words, no buffers flushed, no locks let go."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def around(aim: Aim, step: Callable[..., Awaitable[Any]], whats: Callable[..., Sequence[str]]) -> Callable[..., Any]:
    """`step`, which dies before or after the one aimed at."""

    async def aimed(*args: Any, **kwargs: Any) -> Any:
        hit = aim.is_it(whats(*args))
        if hit and aim.moment == "before":
            die()
        if hit and aim.moment == "during":
            sqlite._run = die  # type: ignore[assignment]  # what comes between the rows of a write and its commit
        result = await step(*args, **kwargs)
        if hit:
            die()
        return result

    return aimed


def around_in_thread(aim: Aim, step: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a step in the writer's thread, which cannot be stopped in the middle: another thread kills during it."""

    def aimed(*args: Any, **kwargs: Any) -> Any:
        hit = aim.is_it()
        if hit and aim.moment == "before":
            die()
        if hit and aim.moment == "during":
            delay_secs = random.uniform(0, WITHIN_SECS)
            threading.Timer(delay_secs, die).start()
        result = step(*args, **kwargs)
        if hit:
            die()
        return result

    return aimed


def take(aim: Aim) -> None:
    """Wrap the step that is aimed at."""
    match aim.step:
        case "append":
            SqlRecorder.record = around(  # type: ignore[method-assign]
                aim, SqlRecorder.record, lambda _self, rows, *_: [row.type for row in rows]
            )
        case "request":
            AiohttpTransport.post = around(  # type: ignore[method-assign]
                aim, AiohttpTransport.post, lambda _self, _url, body: [aim.what] if _calls(body, aim.what) else []
            )
        case "snapshot":
            assembly.SNAPSHOT_EVERY_EVENTS = SNAPSHOT_EVERY_EVENTS
            lifetime.HOUSEKEEPING_SECS = HOUSEKEEPING_SECS
            EventLog.save_snapshot = around(aim, EventLog.save_snapshot, lambda *_: [])  # type: ignore[method-assign]
        case "checkpoint":
            dialect.WAL_LIMIT_BYTES = CHECKPOINT_PAGES * 4096
            sqlite.SqliteDatabase._truncate = around_in_thread(aim, sqlite.SqliteDatabase._truncate)  # type: ignore[method-assign]
        case "commit":
            often = f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"
            dialect.SQLITE_WRITER_PRAGMAS = tuple(
                often if "wal_autocheckpoint" in pragma else pragma for pragma in dialect.SQLITE_WRITER_PRAGMAS
            )
            sqlite.SqliteDatabase._transact = around_in_thread(aim, sqlite.SqliteDatabase._transact)  # type: ignore[method-assign]
        case "migration":
            event.listen(Engine, "before_cursor_execute", _at_statement(aim, "before"))
            event.listen(Engine, "after_cursor_execute", _at_statement(aim, "after"))


def _calls(body: bytes, method: str) -> bool:
    return b'"%b"' % method.encode() in body


def _at_statement(aim: Aim, moment: str) -> Callable[..., None]:
    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if moment == aim.moment and statement.lstrip().upper().startswith(MIGRATION_WORDS) and aim.is_it():
            die()

    return executed


def main() -> None:
    take(Aim.parse(sys.argv[1]))
    sys.argv = [str(Path(sys.executable).with_name("ghost-fleet")), *sys.argv[2:]]
    entry()


if __name__ == "__main__":
    main()
