"""How is a settings file changed by a command? Text in, text out: comments, order and spacing stay as their owner wrote them.

Written to a file of its own, checked by loading it, and put in place in one step; what was there before stays beside it.
"""

import contextlib
import errno
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ghostfleet.config.loading import load
from ghostfleet.errors import BadInput
from ghostfleet.store.durable_files import sync

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_WALLET = re.compile(r"^[ \t]*\[\[[ \t]*wallets\s*\]\].*$", re.MULTILINE)
_ID = re.compile(r"^[ \t]*id[ \t]*=[ \t]*(?:\"([^\"]*)\"|'([^']*)')", re.MULTILINE)
_ENABLED = re.compile(r"^([ \t]*)enabled[ \t]*=.*$", re.MULTILINE)


class NotEditable(BadInput):
    """The settings file is not written in a way that a command can change: change it by hand, and run the command again."""


def wallet_ids(text: str) -> list[str]:
    """The ids of the [[wallets]] tables, in their order."""
    return [name for name, _start, _end in _tables(text)]


def disable(text: str, wallets: Collection[str]) -> str:
    """`enabled = false` in each of these wallets' tables. Raises NotEditable where one has no table of its own."""
    missing = set(wallets) - set(wallet_ids(text))
    if missing:
        raise NotEditable(f"no [[wallets]] table with id {sorted(missing)[0]!r} is found")
    for name, start, end in reversed(_tables(text)):
        if name in wallets:
            text = text[:start] + _disabled(text[start:end]) + text[end:]
    return text


def append(text: str, tables: str) -> str:
    """The text with more tables at its end."""
    return text.rstrip("\n") + "\n" + (tables if tables.startswith("\n") else "\n" + tables)


def require_replaceable(path: Path, text: str, environ: Mapping[str, str]) -> None:
    """All that `replace_file` will want of this file, this text and this process; nothing is changed. For whoever pays first and
    replaces afterwards. Raises ConfigInvalid, NotEditable."""
    path, named = path.resolve(), path
    new, link = _new_beside(path), path.with_name(f".{path.name}.link")
    try:
        _write_like(path, new, text)
        load(new, environ, opens=False, in_place_of=named)
        link.unlink(missing_ok=True)
        with contextlib.suppress(_NoHardLinks):
            _link(
                path, link
            )  # a file that is a mount of its own is on another device than its folder, whatever lies under both
    except OSError as problem:
        raise _not_replaceable(path, problem) from None
    finally:
        _gone(new, link)


def replace_file(path: Path, text: str, environ: Mapping[str, str], backup: Path) -> None:
    """Put `text` in the place of the file, once it was loaded without a problem; its owner and mode stay, and so does a link that
    leads to it. Raises ConfigInvalid, NotEditable.

    `backup` gets what was there, unless it exists: then an earlier try made it.
    """
    path, named = path.resolve(), path
    new = _new_beside(path)
    try:
        _write_like(path, new, text)
        load(new, environ, opens=False, in_place_of=named)
        if not backup.exists():
            partial = backup.with_name(f".{backup.name}.partial")
            _write_like(path, partial, path.read_text(encoding="utf-8"))
            partial.replace(backup)
        new.replace(path)
        sync(path.parent)
    except OSError as problem:
        raise _not_replaceable(path, problem) from None
    finally:
        _gone(new)


def _new_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _write_like(path: Path, new: Path, text: str) -> None:
    """A file with this text, and with the owner and the mode of the one at `path`."""
    like = path.stat()
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        mine = os.fstat(file.fileno())
        if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), like.st_mode & 0o777)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class _NoHardLinks(Exception):
    """The file system has none."""


def _link(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError as problem:
        if problem.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK) and path.stat().st_uid in (os.geteuid(), 0):
            raise _NoHardLinks from None
        raise


def _gone(*files: Path) -> None:
    """A folder that cannot be written has none of them."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _not_replaceable(path: Path, problem: OSError) -> NotEditable:
    if problem.errno in (errno.EXDEV, errno.EBUSY):
        return NotEditable(
            f"{path} is mounted by itself and cannot be replaced: mount the folder it is in (docs/deploy.md)"
        )
    if problem.errno == errno.EPERM:
        owner = path.stat()
        return NotEditable(
            f"{path} belongs to user {owner.st_uid}, group {owner.st_gid}, and would not afterwards: ask as that user,"
            f" sudo -u '#{owner.st_uid}' ghost-fleet ..."
        )
    return NotEditable(f"{path} cannot be replaced: {problem.strerror}: {problem.filename or path.parent}")


def _tables(text: str) -> list[tuple[str, int, int]]:
    """(id, start, end) of each [[wallets]] table that has an id."""
    found = []
    for match in _WALLET.finditer(text):
        following = _HEADER.search(text, match.end())
        end = following.start() if following is not None else len(text)
        name = _ID.search(text, match.end(), end)
        if name is not None:
            found.append((name[1] or name[2] or "", match.start(), end))
    return found


def _disabled(table: str) -> str:
    if _ENABLED.search(table):
        return _ENABLED.sub(r"\1enabled = false", table)
    head, newline, rest = table.partition("\n")
    return f"{head}{newline}enabled = false\n{rest}"
