"""`python -m tests.crashtest.files OPERATION DIRECTORY [URL]`: an operation on files, killed before each of its steps in turn.

A step is a call that changes a name or a byte for good: of the file system, of SQLite's writer, of a statement in PostgreSQL.
Each time a child of its own dies by SIGKILL at the next step, on a fresh copy of the same log; what it leaves is looked at, and
the same operation is run again to its end. It ends when an operation was not killed any more, having no such step.

Nothing in ghostfleet/ knows of this: the steps are wrapped from here.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, make_url

import ghostfleet.operations.backup as backups
import ghostfleet.operations.restore as restores
import ghostfleet.store.postgres as postgres
import ghostfleet.store.postgres_swap as postgres_swap
import ghostfleet.store.sqlite as sqlite
from ghostfleet.domain.events import LogRestored
from ghostfleet.domain.state import decode_state, encode_state
from ghostfleet.engine.recovery import recover
from ghostfleet.operations.archive import archive
from ghostfleet.store.errors import LogCutBack
from ghostfleet.store.log import open_log
from ghostfleet.store.plan import plan_of
from ghostfleet.store.rows import LogHead
from ghostfleet.store.schema import REVISION
from tests.crashtest.aimed import MIGRATION_WORDS, die
from tests.findings import nothing

FILE_CALLS = ("replace", "link", "unlink", "fsync", "mkdir", "rmdir", "chown", "chmod", "ftruncate")
MAX_STEPS = 400
"""More than any operation has: a test that gets there has lost count."""

Operation = Callable[[Path, str], Awaitable[None]]
Look = Callable[[Path, str], Awaitable[None]]


def count_down(steps: int) -> None:
    """Wrap every step; the process dies before the one that is so far away, or within its commit where that is `half`."""
    left = [steps]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            die()

    for name in FILE_CALLS:
        setattr(os, name, _before(step, getattr(os, name)))
    sqlite.SqliteDatabase._transact = _before(step, sqlite.SqliteDatabase._transact)  # type: ignore[method-assign]
    sqlite._run = _before(step, sqlite._run)  # type: ignore[assignment]  # between the rows of a write and its commit
    sqlite.as_one_file = restores.as_one_file = _before(step, sqlite.as_one_file)  # type: ignore[assignment]
    backups.compress = _before(step, backups.compress)  # type: ignore[assignment]
    event.listen(Engine, "before_cursor_execute", lambda *args: step() if _migrates(args[2]) else None)
    in_postgres = postgres.run_steps

    async def each(raw: Any, steps_of_it: Any) -> None:
        for one in steps_of_it:
            step()
            await in_postgres(raw, [one])

    postgres.run_steps = postgres_swap.run_steps = each  # type: ignore[assignment]


def _migrates(statement: str) -> bool:
    return statement.lstrip().upper().startswith(MIGRATION_WORDS)


def _before(step: Callable[[], None], call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        step()
        return call(*args, **kwargs)

    return counted


# --- the operations, and what may be found after any death ------------------------------------------------------------


async def head_and_state(url: str, place: Path) -> tuple[LogHead, bytes]:
    """Of a log that opens, verifies and folds one way however it is folded."""
    log = await open_log(url, read_only=True, create=False, archives=place)
    try:
        found = await log.verify()
        assert found.ok, found.problem
        state = encode_state(await recover(log, use_snapshot=False))
        assert encode_state(await recover(log)) == state
        return log.head, state
    finally:
        await log.close()


async def back_up(directory: Path, url: str) -> None:
    await backups.back_up(url, directory / "backup.gz", force=True)


async def look_at_backup(directory: Path, url: str) -> None:
    """The log is as it was, and the name leads to the old backup or to the new one, whole."""
    head, _ = await head_and_state(url, directory)
    restored = directory / "elsewhere"
    restored.mkdir()
    done = await restores.restore(f"sqlite:///{restored}/log.db", directory / "backup.gz")
    assert done.position in (OLD_BACKUP, head.position), done


async def restore(directory: Path, url: str) -> None:
    await restores.restore(url, directory / "backup.gz", force=True)


async def look_at_restored(directory: Path, url: str) -> None:
    """The old log, the restored one, or one that a start refuses because it ends too early; never none, never one that is not
    paused."""
    try:
        head, state = await head_and_state(url, directory)
    except LogCutBack:
        return
    assert decode_state(state).fleet.paused is not None
    assert head.position == LENGTH or await is_restored(url), head


async def is_restored(url: str) -> bool:
    """The backup, LogRestored, and as much after it as that says."""
    log = await open_log(url, read_only=True)
    try:
        first, *effects = [it async for it in log.read(OLD_BACKUP)]
    finally:
        await log.close()
    return isinstance(first.event, LogRestored) and len(effects) == first.event.effects


async def nothing_is_lost(directory: Path, url: str) -> None:
    """After the end: the restored log, and the replaced one beside it."""
    _, state = await head_and_state(url, directory)
    paused = decode_state(state).fleet.paused
    assert paused is not None
    assert "stolen key?" in paused.reason, paused
    assert await is_restored(url)
    if url.startswith("sqlite"):
        asides = [
            it for it in directory.glob("log.db.replaced-*") if not it.name.endswith(("-wal", "-shm", ".witness"))
        ]
        assert LENGTH in [await end_of(it) for it in asides], asides


async def end_of(aside: Path) -> int:
    """Where a log ends that was set aside; 0 for one that a start refuses, which an interrupted run had made."""
    try:
        return (await head_and_state(f"sqlite:///{aside}", aside.parent))[0].position
    except LogCutBack:
        return 0


async def move(directory: Path, url: str) -> None:
    await archive(url, CUT_US, directory / "archive.db", archives=directory)


async def look_at_archived(directory: Path, url: str) -> None:
    """One log, with or without the archive."""
    head, _ = await head_and_state(url, directory)
    assert head.position in (LENGTH, LENGTH + 1)


async def it_is_archived(directory: Path, url: str) -> None:
    head, _ = await head_and_state(url, directory)
    assert head.position == LENGTH + 1
    log = await open_log(url, read_only=True, archives=directory)
    assert 0 < log.anchor.position < LENGTH
    nothing(log.missing())
    await log.close()


async def upgrade(directory: Path, url: str) -> None:
    await (await open_log(url)).close()


async def look_at_schema(directory: Path, url: str) -> None:
    """The tables of the old release or those of this one, and the log whole."""
    head, _ = await head_and_rows(url)
    plan = await plan_of(url)
    assert head.position == LENGTH
    assert plan.current in ("0001", REVISION)


async def it_is_upgraded(directory: Path, url: str) -> None:
    await look_at_schema(directory, url)
    assert (await plan_of(url)).steps == ()


async def head_and_rows(url: str) -> tuple[LogHead, int]:
    """Of a log that verifies, whether it can be folded or not."""
    log = await open_log(url, read_only=True)
    try:
        found = await log.verify()
        assert found.ok, found.problem
        return log.head, found.rows
    finally:
        await log.close()


OPERATIONS: dict[str, tuple[Operation, Look, Look]] = {
    "backup": (back_up, look_at_backup, look_at_backup),
    "restore": (restore, look_at_restored, nothing_is_lost),
    "archive": (move, look_at_archived, it_is_archived),
    "upgrade": (upgrade, look_at_schema, it_is_upgraded),
}
LENGTH, OLD_BACKUP, CUT_US = (int(os.environ.get(name, "0")) for name in ("LENGTH", "OLD_BACKUP", "CUT_US"))
"""Events in the log, events in the backup beside it, and the moment up to which is archived."""
STRIDE = int(os.environ.get("STRIDE", "1"))
"""Every so many steps only: each takes four processes."""


# --- one child a step -------------------------------------------------------------------------------------------------


def in_child(work: Callable[[], None]) -> int:
    """Run in a process of its own. Returns how it ended: 0, or what killed it, negative."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as problem:
            sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    name, template = sys.argv[1], Path(sys.argv[2])
    operation, look, look_at_end = OPERATIONS[name]
    for number in range(0, MAX_STEPS, STRIDE):
        directory = template.with_name(f"{template.name}-{number}")
        shutil.copytree(template, directory)
        url = fresh_url(directory, number)

        def killed(at: int = number, where: Path = directory, what: str = url) -> None:
            count_down(at)
            asyncio.run(operation(where, what))  # type: ignore[arg-type]

        ended = in_child(killed)
        assert ended in (0, -9), f"step {number}: ended with {ended}"
        assert in_child(lambda d=directory, u=url: asyncio.run(look(d, u))) == 0, f"killed before step {number}"  # type: ignore[misc]
        shutil.rmtree(directory / "elsewhere", ignore_errors=True)
        assert in_child(lambda d=directory, u=url: asyncio.run(operation(d, u))) == 0, f"again after step {number}"  # type: ignore[misc]
        assert in_child(lambda d=directory, u=url: asyncio.run(look_at_end(d, u))) == 0, f"in the end, step {number}"  # type: ignore[misc]
        assert not list(directory.glob("*.partial")), f"step {number} left something behind"
        shutil.rmtree(directory)
        forget(url)
        if ended == 0:
            print(number)
            return
    raise AssertionError(f"{name} has more than {MAX_STEPS} steps")


def fresh_url(directory: Path, number: int) -> str:
    """The log in the copy; in PostgreSQL a copy of the database."""
    if len(sys.argv) < 4:
        return f"sqlite:///{directory}/log.db"
    template = make_url(sys.argv[3])
    name = f"{template.database}_{number}"

    on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template.database}"')
    return template.set(database=name).render_as_string(hide_password=False)


def forget(url: str) -> None:
    """A copy in PostgreSQL is no longer needed."""
    if not url.startswith("sqlite"):
        on_server(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')


def on_server(sql: str) -> None:
    import asyncpg

    server = make_url(sys.argv[3]).set(database="postgres").render_as_string(hide_password=False)

    async def carry_out() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(sql)
        await connection.close()

    assert in_child(lambda: asyncio.run(carry_out())) == 0, sql


if __name__ == "__main__":
    main()
