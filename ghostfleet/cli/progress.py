"""How far is an operation? A bar on a terminal, a line whenever something changed elsewhere; on stderr, beside the data."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ghostfleet.cli.operation_tables import progress_line
from ghostfleet.cli.output import print_notice

Show = Callable[[Mapping[str, Any]], None]


@contextmanager
def progress(quiet: bool) -> Iterator[Show]:
    """What shows an operation's standing, as GET /admin/operations has it."""
    if quiet:
        yield lambda _standing: None
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield bar
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Show]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=False) as bar:
        task = bar.add_task("", total=None)

        def show(standing: Mapping[str, Any]) -> None:
            summary = standing["summary"]
            steps = summary["steps"]
            parts = max(sum(steps.values()), 1)
            done = summary["done"] + steps["done"] / parts * (summary["wallets"] - summary["done"]) * 0.9
            bar.update(task, description=progress_line(standing), total=summary["wallets"], completed=done)

        yield show
        bar.update(task, total=1, completed=1)


def _lines() -> Show:
    shown = ""

    def show(standing: Mapping[str, Any]) -> None:
        nonlocal shown
        line = progress_line(standing)
        if line != shown:
            shown = line
            print_notice(line)

    return show
