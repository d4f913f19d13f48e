"""How do log lines leave the process? One line a record, bounded, for people or as JSON, on one stream.

The default is standard output: `docker logs ... | grep` sees only that.
"""

import logging
import sys
from collections.abc import Callable
from typing import TextIO

import msgspec

from ghostfleet.domain.events import Recorded
from ghostfleet.telemetry.moments import iso

LOGGER = "ghostfleet"
MAX_LINE_CHARS = 2000
"""A node can answer anything; a log line stays one that a terminal, journald and a person can hold."""
CUT = " …[cut]"
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could start a new line or steer a terminal is shown, not obeyed."""


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


def one_line(text: str, limit: int = MAX_LINE_CHARS) -> str:
    """Text without control characters, at most `limit` characters long."""
    clean = text[: limit + 1]
    if not clean.isprintable():  # every control character is not; nearly every line is
        clean = clean.translate(_CONTROL)
    return clean if len(clean) <= limit else clean[: limit - len(CUT)] + CUT


def _parts(record: logging.LogRecord) -> JsonLine:
    recorded: Recorded | None = getattr(record, "recorded", None)
    time_us = recorded.time_us if recorded is not None else int(record.created * 1_000_000)
    message = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        problem = record.exc_info[1]
        message = f"{message}: {type(problem).__name__}: {problem}"
    line = JsonLine(time=iso(time_us), level=record.levelname, message=one_line(message), logger=record.name)
    if recorded is not None:
        line.wallet = recorded.wallet or ""
        line.event = type(recorded.event).__name__
        line.position = recorded.position
        line.correlation = recorded.correlation
    return line


class HumanFormatter(logging.Formatter):
    """`time LEVEL wallet words (#position)`, with `fleet` in the place of the wallet for what concerns all."""

    def format(self, record: logging.LogRecord) -> str:
        line = _parts(record)
        mark = f" (#{line.position})" if line.position else ""
        who = line.wallet or "fleet"
        return one_line(f"{line.time} {line.level} {who} {line.message}{mark}", MAX_LINE_CHARS + 200)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return msgspec.json.encode(_parts(record)).decode()


def configure_logging(level: str = "info", json: bool = False, stream: TextIO | None = None) -> Callable[[], None]:
    """Send the `ghostfleet` logger, and no other, to `stream` (standard output). Returns what undoes it.

    Raises ValueError for a level that does not exist.
    """
    logger = logging.getLogger(LOGGER)
    before = (list(logger.handlers), logger.level, logger.propagate)
    handler = logging.StreamHandler(stream if stream is not None else sys.stdout)
    handler.setFormatter(JsonFormatter() if json else HumanFormatter())
    logger.setLevel(level.upper())
    logger.handlers = [handler]
    logger.propagate = False

    def undo() -> None:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])

    return undo
