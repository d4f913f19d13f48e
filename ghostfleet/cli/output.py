"""How commands speak: data to stdout, one line for what went wrong to stderr, JSON wherever it was asked for.

What is for people is `plain`: reasons, names and messages come from others, and are not to write lines of ours.
"""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from ghostfleet.domain.values import encode_json
from ghostfleet.telemetry.logs import plain

PROGRAM = "ghost-fleet"


def print_json(document: object) -> None:
    """One line of JSON."""
    print_line(encode_json(document).decode())


def print_line(text: str) -> None:
    """Flushed at once: somebody may be reading it through a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """For people. Piped into something, it is as wide as its content."""
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # an amount that is cut short is another amount
    for row in rows:
        table.add_row(*("" if cell is None else plain(str(cell)) for cell in row))
    console.print(table, markup=False)


def print_document(document: object) -> None:
    """A JSON object for people: its plain values as lines, its lists of objects as tables."""
    if not isinstance(document, dict):
        print_json(document)
        return
    tables = {}
    for key, value in document.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            tables[key] = value
        else:
            print_line(plain(f"{key}: {_inline(value)}"))
    for key, items in tables.items():
        columns = list(dict.fromkeys(column for item in items for column in item))
        print_line(f"\n{key}:")
        print_table(columns, [[_inline(item.get(column)) for column in columns] for item in items])


def print_error(message: str) -> None:
    _to_stderr("error", message)


def print_warning(message: str) -> None:
    _to_stderr("warning", message)


def print_notice(message: str) -> None:
    """What is good to know, beside the data."""
    _to_stderr("note", message)


def _to_stderr(kind: str, message: str) -> None:
    line = plain(" ".join(message.split()))
    sys.stderr.write(f"{PROGRAM}: {kind}: {line}\n")


def _inline(value: object) -> str:
    """In a line: a small object as words ("position 251"), a list of plain values with commas, what is deeper as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and _plain(value.values()):
        return ", ".join(f"{key} {_inline(it)}".rstrip() for key, it in value.items())
    if isinstance(value, list) and _plain(value):
        return ", ".join(map(_inline, value))
    return "" if value is None else encode_json(value).decode()


def _plain(values: Iterable[object]) -> bool:
    return not any(isinstance(it, dict | list) for it in values)
