"""Who writes this log? One process, by an exclusive lock of the operating system that ends with the process.

Beside it lies the witness: where the log ended after the newest commit. A log that ends before its witness has lost writes.
"""

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ghostfleet.domain.values import Hash
from ghostfleet.store.errors import LogHeld, LogUnavailable
from ghostfleet.store.owners import belong_to_the_owner_of
from ghostfleet.store.rows import LogHead

_HELD_LOCKS = Path("/proc/locks")


class WriterLock:
    """Held from construction to `release`. Raises LogHeld, naming the process, when another one has it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LogUnavailable(f"the lock {self.path} cannot be made: {error.strerror}") from None
        belong_to_the_owner_of(database if database.exists() else database.parent, self.path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._holder()
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise LogUnavailable(
                    f"{self.path} cannot be locked ({error.strerror}): the log has to be on a disk that keeps locks"
                ) from None
            raise LogHeld(f"the log {database} is written by {holder}: stop that process first") from None
        self._sign()

    def _holder(self) -> str:
        return _signature(self._file)

    def _sign(self) -> None:
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started})
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, said.encode(), 0)
        except OSError:
            return  # a full disk takes the courtesy away, not the lock

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_of(database: Path) -> str:
    """Who holds the lock of this log now, without touching it; empty when nobody does, or when this system does not say.

    Trying the lock would make a service that starts at that moment refuse to: /proc/locks tells without trying.
    """
    path = database.with_name(database.name + ".lock")
    try:
        status = path.stat()
        held = _HELD_LOCKS.read_text()
    except OSError:
        return ""
    signature = _signature_in(path)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    for line in held.splitlines():
        words = line.split()
        if len(words) < 6 or (words[1], words[3]) != ("FLOCK", "WRITE"):
            continue
        pid, (lock_device, _, inode) = words[4], words[5].rpartition(":")
        # An overlay's files tell another device than the lock does: then it is the process that has to be the same.
        if inode == str(status.st_ino) and (lock_device == device or signature.startswith(f"process {pid} ")):
            return signature
    return ""


def _signature_in(path: Path) -> str:
    """The same, for whoever may not read the file too: it is its owner's alone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return "another process"
    try:
        return _signature(file)
    finally:
        os.close(file)


def _signature(file: int) -> str:
    """What the holder wrote into the lock's file."""
    try:
        said = json.loads(os.pread(file, 4096, 0))
        return f"process {said['pid']} on {said['host']} (since {said['started']})"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"


class Witness:
    """A small file that says where the log ended. Written after each commit, not synced: it may lag, never lead."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = database.with_name(database.name + ".witness")
        self._file: int | None = None

    def read(self) -> LogHead | None:
        """The newest note; None when there is none that can be read."""
        try:
            position, _, digest = self.path.read_text().strip().partition(" ")
            return LogHead(int(position), Hash(bytes.fromhex(digest)))
        except (OSError, ValueError):
            return None

    def write(self, head: LogHead) -> None:
        """Note the head after a commit. A disk that does not take it is no reason to stop."""
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
                belong_to_the_owner_of(self._database, self.path)
            os.pwrite(self._file, f"{head.position:020d} {head.hash.hex()}\n".encode(), 0)
        except OSError:
            return

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
