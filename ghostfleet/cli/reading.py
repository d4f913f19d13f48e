"""How does a command ask the log itself? Opened for reading beside whoever writes it, and let go at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import msgspec
import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_warning
from ghostfleet.config.checks import check_store
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.config.shape import Shape
from ghostfleet.errors import BadInput

if TYPE_CHECKING:
    from ghostfleet.store.log import EventLog

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """Where a log lies, and its archives where that is not beside it."""

    url: str
    archives: Path | None = None


@contextmanager
def place_of(context: typer.Context) -> Iterator[Place]:
    """As `--log` says, else as the settings say. A backup is unpacked beside nobody, for as long as it is asked."""
    options = options_of(context)
    if options.log is None:
        yield _of_settings(options.load(keys=False))
    elif "://" in options.log:
        yield Place(_checked_url(options.log))
    else:
        with _unpacked(Path(options.log)) as file:
            yield Place(f"sqlite:///{file.absolute()}", Path(options.log).absolute().parent)


def _checked_url(url: str) -> str:
    """As a URL of the settings is looked at. Raises ConfigInvalid."""
    shape = Shape("--log", {})
    checked = check_store(shape, url, Path.cwd())
    if shape.problems:
        raise ConfigInvalid(shape.problems)
    return checked


@contextmanager
def _unpacked(file: Path) -> Iterator[Path]:
    from ghostfleet.store.durable_files import decompress, is_packed

    try:
        packed = is_packed(file)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from None
    if not packed:
        yield file
        return
    with TemporaryDirectory(prefix="ghost-fleet-audit-") as folder:
        copy = Path(folder) / "log.db"
        decompress(file, copy)
        yield copy


def _of_settings(settings: Loaded) -> Place:
    return Place(settings.store.url, settings.archive_dir)


def asked(context: typer.Context, question: "Callable[[EventLog], Awaitable[T]]") -> T:
    """Open the log that the command is about for reading, ask, close it."""
    with place_of(context) as place:
        return _asked_at(place, question)


def asked_of(settings: Loaded, question: "Callable[[EventLog], Awaitable[T]]") -> T:
    """The same where the settings are at hand."""
    return _asked_at(_of_settings(settings), question)


def _asked_at(place: Place, question: "Callable[[EventLog], Awaitable[T]]") -> T:
    async def ask() -> T:
        async with _opened(place) as log:
            answer = await question(log)
            for missing in log.missing():
                print_warning(f"{missing}: answers lack them")
            return answer

    return asyncio.run(ask())


def opened(settings: Loaded) -> "AbstractAsyncContextManager[EventLog]":
    """The log of the settings for reading, for whoever has a loop of their own."""
    return _opened(_of_settings(settings))


@asynccontextmanager
async def _opened(place: Place) -> "AsyncIterator[EventLog]":
    from ghostfleet.store.log import open_log  # loads the database layer: only for commands that need it

    log = await open_log(place.url, read_only=True, archives=place.archives)
    try:
        yield log
    finally:
        await log.close()
