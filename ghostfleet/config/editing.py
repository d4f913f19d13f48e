"""How is a settings file changed by a command? Text in, text out: comments, order and spacing stay as their owner wrote them.

Written to a file of its own, checked by loading it, and put in place in one step; what was there before stays beside it.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ghostfleet.config.loading import load
from ghostfleet.errors import BadInput

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


def replace_file(path: Path, text: str, environ: Mapping[str, str], backup: Path) -> None:
    """Put `text` in the place of the file, once it was loaded without a problem. Raises ConfigInvalid, NotEditable.

    `backup` gets what was there, unless it exists: then an earlier try made it.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        mode = path.stat().st_mode & 0o777
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load(new, environ)
        if not backup.exists():
            os.link(path, backup)
        new.replace(path)
    except OSError as problem:
        raise NotEditable(f"{problem.filename or path}: {problem.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


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
