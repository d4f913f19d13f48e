"""How do log lines leave the process? One line a record, bounded, for people or as JSON, on one stream.

The default is standard output: `docker logs ... | grep` sees only that.
"""

import asyncio
import contextlib
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TextIO

import msgspec

from ghostfleet.domain.events import Recorded
from ghostfleet.telemetry.moments import iso

LOGGER = "ghostfleet"
ASIDE = "ghostfleet.aside"
"""For what no event can tell, because the log of events takes none: standard error."""
MAX_LINE_CHARS = 2000
"""A node can answer anything; a log line stays one that a terminal, journald and a person can hold."""
MAX_LINES_TOGETHER = 1_000
"""Bounds the memory of lines that wait to be written."""
CUT = " …[cut]"
_OF_UNICODE = (0x61C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in _OF_UNICODE
}
"""What could start a new line, steer a terminal or turn the direction of what follows is shown, not obeyed."""


class JsonLine(msgspec.Struct, omit_defaults=True):
    """A line as JSON. `position` leads to the event and all that belongs to it."""

    time: str
    level: str
    message: str
    wallet: str = ""
    event: str = ""
    position: int = 0
    correlation: str = ""
    logger: str = ""


def plain(text: str) -> str:
    """Text without control characters, of any length."""
    return text if text.isprintable() else text.translate(_CONTROL)  # nearly every line is printable


def one_line(text: str, limit: int = MAX_LINE_CHARS) -> str:
    """Text without control characters, at most `limit` characters long."""
    clean = plain(text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - len(CUT)] + CUT


def _of_record(record: logging.LogRecord) -> JsonLine:
    recorded: Recorded | None = getattr(record, "recorded", None)
    message = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        problem = record.exc_info[1]
        message = f"{message}: {type(problem).__name__}: {problem}"
    if recorded is not None:
        return _of_event(recorded, record.levelname, message, record.name)
    time = iso(int(record.created * 1_000_000))
    return JsonLine(time=time, level=record.levelname, message=one_line(message), logger=record.name)


def _of_event(recorded: Recorded, level: str, words: str, logger: str) -> JsonLine:
    return JsonLine(
        time=iso(recorded.time_us),
        level=level,
        message=one_line(words),
        wallet=recorded.wallet or "",
        event=type(recorded.event).__name__,
        position=recorded.position,
        correlation=recorded.correlation,
        logger=logger,
    )


class Formatter(logging.Formatter, ABC):
    """Both kinds of line are made from the same parts, of a record or of an event itself."""

    def format(self, record: logging.LogRecord) -> str:
        return self.written(_of_record(record))

    @abstractmethod
    def written(self, line: JsonLine) -> str:
        """The line as it leaves."""


class HumanFormatter(Formatter):
    """`time LEVEL wallet words (#position)`, with `fleet` in the place of the wallet for what concerns all."""

    def written(self, line: JsonLine) -> str:
        mark = f" (#{line.position})" if line.position else ""
        who = line.wallet or "fleet"
        return one_line(f"{line.time} {line.level} {who} {line.message}{mark}", MAX_LINE_CHARS + 200)


class JsonFormatter(Formatter):
    """One JSON object a line."""

    def written(self, line: JsonLine) -> str:
        return msgspec.json.encode(line).decode()


class TogetherHandler(logging.StreamHandler[TextIO]):
    """Lines of one moment leave in one write: a commit has hundreds of them, and each write is a call of the system.

    A moment is what an event loop does without waiting. An error leaves at once, with all that waited, and so does everything
    outside a loop. What a kill takes with it stands in the log of events.
    """

    def __init__(self, stream: TextIO, lines: Formatter) -> None:
        super().__init__(stream)
        self.formatter: Formatter = lines
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will flush what waits."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.add(self.format(record), record.levelno)
        except Exception:
            self.handleError(record)

    def add(self, line: str, level: int) -> None:
        """One more line."""
        self.acquire()  # against the flush of another thread
        self._lines.append(line)
        self.release()
        loop = _running_loop()
        if loop is None or level >= logging.ERROR or len(self._lines) >= MAX_LINES_TOGETHER:
            self.flush()
        elif loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush_quietly)

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("\n".join(lines) + "\n")
            super().flush()
        finally:
            self.release()

    def flush_quietly(self) -> None:
        """Write what waits, where anybody still reads."""
        self._loop = None
        with contextlib.suppress(OSError, ValueError):
            self.flush()


def tell(logger: logging.Logger, recorded: Recorded, level: int, words: str) -> None:
    """A line for an event. Where nobody but our own handler listens it goes there directly: a record of its own, with a caller
    that is of no interest, costs more than the line."""
    handler = logger.handlers[0] if len(logger.handlers) == 1 and not logger.propagate and not logger.filters else None
    if type(handler) is TogetherHandler and not handler.filters and level >= handler.level:
        line = _of_event(recorded, logging.getLevelName(level), words, logger.name)
        handler.add(handler.formatter.written(line), level)
        return
    record = logging.LogRecord(logger.name, level, "", 0, words, None, None)
    record.recorded = recorded
    logger.handle(record)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def configure_logging(level: str = "info", json: bool = False, stream: TextIO | None = None) -> Callable[[], None]:
    """Send the `ghostfleet` logger, and no other, to `stream` (standard output), without asking for thread and process,
    which no line of ours names. Returns what undoes it.

    Raises ValueError for a level that does not exist.
    """
    logger = logging.getLogger(LOGGER)
    before = (list(logger.handlers), logger.level, logger.propagate)
    asked = {name: getattr(logging, name) for name in ("logThreads", "logProcesses", "logMultiprocessing")}
    for name in asked:
        setattr(logging, name, False)
    lines = JsonFormatter() if json else HumanFormatter()
    handler = TogetherHandler(stream if stream is not None else sys.stdout, lines)
    logger.setLevel(level.upper())
    logger.handlers = [handler]
    logger.propagate = False
    aside = logging.getLogger(ASIDE)
    aside.handlers, aside.propagate = [logging.StreamHandler()], False
    aside.handlers[0].setFormatter(lines)

    def undo() -> None:
        aside.handlers, aside.propagate = [], True
        handler.flush_quietly()
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
        for name, value in asked.items():
            setattr(logging, name, value)

    return undo
