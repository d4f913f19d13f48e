"""How does a file come to be whole or not at all? Built in a place of its own, synced, then given its name.

A process that is killed leaves FILE.partial behind; whoever makes FILE next clears it away.
"""

import gzip
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from ghostfleet.domain.values import Hash
from ghostfleet.errors import BadInput
from ghostfleet.store.errors import LogCorrupt, LogHeld, LogUnavailable
from ghostfleet.store.lock import WriterLock

CHUNK_BYTES = 2**20
"""Read and written at a time."""
COMPRESSION_LEVEL = 6
GZIP_MAGIC = b"\x1f\x8b"
PARTIAL = ".partial"
PRIVATE = 0o600
"""Signed bytes, addresses and settings are nobody else's business."""


class Content(msgspec.Struct, frozen=True):
    """What a file holds."""

    sha256: Hash
    size_bytes: int


class FileExists(BadInput):
    """There is a file of that name already, and none is overwritten unless that is asked for."""


@contextmanager
def making(file: Path) -> Iterator[Path]:
    """A private directory beside `file` to build it in, gone afterwards. Raises LogHeld when somebody else is at it."""
    workshop = file.with_name(file.name + PARTIAL)
    try:
        workshop.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{workshop} cannot be made: {error.strerror}") from None
    try:
        lock = WriterLock(workshop / "making")
    except LogHeld as held:
        raise LogHeld(f"{file} is being made by somebody else: {held}") from None
    try:
        for leftover in workshop.iterdir():
            if leftover != lock.path:
                _remove(leftover)
        yield workshop
    except OSError as error:
        raise LogUnavailable(f"{file} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
        lock.release()


def clear_leftovers(directory: Path, names: str) -> None:
    """Remove what killed processes left of files with such names (a glob). A workshop that is in use is left alone."""
    for workshop in directory.glob(names + PARTIAL):
        try:
            with WriterLock(workshop / "making"):
                shutil.rmtree(workshop, ignore_errors=True)
        except (LogHeld, LogUnavailable):
            continue


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def put_in_place(made: Path, file: Path) -> None:
    """Give a file that was made its name; durable when it returns."""
    made.chmod(PRIVATE)
    sync(made)
    os.replace(made, file)
    sync(file.parent)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a directory's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def content_of(path: Path) -> Content:
    """Hash and size of a file."""
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Content(Hash(digest.digest()), size)


def compress(source: Path, into: Path) -> Content:
    """Gzip a file, and unpack it again to see that it is the same. Returns the content of the source. Raises LogUnavailable."""
    with source.open("rb") as plain, gzip.open(into, "wb", compresslevel=COMPRESSION_LEVEL) as packed:
        shutil.copyfileobj(plain, packed, CHUNK_BYTES)
    wanted = content_of(source)
    if _unpacked(into, None) != wanted:
        raise LogUnavailable(f"{into} does not read as it was written: the disk lies")
    return wanted


def is_packed(file: Path) -> bool:
    """Whether it is one that `compress` made, by how it begins."""
    with file.open("rb") as opened:
        return opened.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def decompress(source: Path, into: Path) -> Content:
    """Unpack a file that `compress` made. Raises LogCorrupt when it is not whole."""
    with into.open("wb") as plain:
        into.chmod(PRIVATE)
        content = _unpacked(source, plain)
    sync(into)
    return content


def _unpacked(source: Path, into: BinaryIO | None) -> Content:
    digest, size = sha256(), 0
    try:
        with gzip.open(source, "rb") as packed:
            while chunk := packed.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                if into is not None:
                    into.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LogCorrupt(f"{source} is damaged, or no backup: {error}") from None
    return Content(Hash(digest.digest()), size)
