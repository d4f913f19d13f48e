"""`db backup`: how is everything that cannot be derived again kept in one file, while the service runs?

The events are copied into a log of their own (store/copying.py), whatever database they live in, the copy is verified, packed,
unpacked again to compare, synced, and only then gets its name. The service is not asked and not slowed: this runs in a process
of its own, `python -m ghostfleet.operations.backup` where the service has it made.
"""

import asyncio
import json
import sys
from pathlib import Path

import msgspec

from ghostfleet.domain.values import Hash, decode_octets, encode_json
from ghostfleet.errors import BadInput, GhostFleetError
from ghostfleet.store.copying import copy_into, verified_copy
from ghostfleet.store.durable_files import FileExists, compress, making, put_in_place
from ghostfleet.store.errors import LogCorrupt
from ghostfleet.store.places import open_database
from ghostfleet.store.sql_recorder import SqlRecorder


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made and verified. `sha256` is that of the log inside, before packing."""

    file: str
    position: int
    head_hash: Hash
    size_bytes: int
    sha256: Hash


class BackupFault(GhostFleetError):
    """The backup could not be made. Nothing was changed; a file of that name is as it was."""


async def back_up(url: str, file: Path, *, force: bool = False) -> Backup:
    """Write FILE. Raises FileExists without `force`, BadInput, LogHeld (another process makes it), LogCorrupt, LogUnavailable."""
    if file.exists() and not force:
        raise FileExists(f"{file} exists: give another name, or --force to replace it")
    if not file.parent.is_dir() or file.is_dir():
        raise BadInput(f"{file} is no place for a file: give a name in a directory that exists")
    database = await open_database(url, read_only=True)
    try:
        until, _ = await SqlRecorder(database).stated_head()
        with making(file) as workshop:
            copy, packed = workshop / "log.db", workshop / "log.db.gz"
            await copy_into(copy, database, until)
            head = await verified_copy(copy)
            if head != until:
                raise LogCorrupt(f"the copy ends at {head.position}, not at {until.position}")
            content = await asyncio.to_thread(compress, copy, packed)
            size = packed.stat().st_size
            put_in_place(packed, file)
    finally:
        await database.close()
    return Backup(file=file.name, position=until.position, head_hash=until.hash, size_bytes=size, sha256=content.sha256)


async def back_up_apart(url: str, file: Path) -> Backup:
    """`back_up` in another process, for a service that has better things to do. Raises BackupFault with its reason.

    What the child needs goes through its standard input: a URL with a password is in no list of processes.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __spec__.name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await child.communicate(json.dumps({"url": url, "file": str(file)}).encode())
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        words = err.decode(errors="replace").strip().splitlines()
        raise BackupFault(words[-1][:500] if words else f"the process that makes it ended with {child.returncode}")
    return msgspec.json.decode(out, type=Backup, dec_hook=decode_octets)


def main() -> None:
    """The child of `back_up_apart`: a question on standard input, the answer or one line of error."""
    asked = json.loads(sys.stdin.read())
    try:
        made = asyncio.run(back_up(asked["url"], Path(asked["file"])))
    except GhostFleetError as problem:
        sys.exit(" ".join(str(problem).split()))
    sys.stdout.write(encode_json(made).decode())


if __name__ == "__main__":
    main()
