"""How does a command ask the log itself? Opened for reading beside whoever writes it, and let go at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_warning
from ghostfleet.config.loaded import Loaded

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog

T = TypeVar("T")


def asked(context: typer.Context, question: "Callable[[EventLog], Awaitable[T]]") -> T:
    """Open the log of the settings for reading, ask, close it."""
    return asked_of(options_of(context).load(keys=False), question)


def asked_of(settings: Loaded, question: "Callable[[EventLog], Awaitable[T]]") -> T:
    """The same where the settings are at hand."""
    from ghostfleet.store.log import open_log  # loads the database layer: only for commands that need it

    async def ask() -> T:
        log = await open_log(settings.store.url, read_only=True, archives=settings.archive_dir)
        try:
            answer = await question(log)
            for missing in log.missing():
                print_warning(f"{missing}: answers lack them")
            return answer
        finally:
            await log.close()

    return asyncio.run(ask())
