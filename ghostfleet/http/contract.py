"""What does a route take, what does it give, and who may ask? Described once; the app and the OpenAPI document are made of it."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ghostfleet.config.loaded import Admin
from ghostfleet.domain.values import Hash, JsonObject
from ghostfleet.engine.ports import Clock, Service
from ghostfleet.http.access import Caller, Role
from ghostfleet.http.edge import MAX_BODY_BYTES
from ghostfleet.http.problems import Problem
from ghostfleet.operations.desk import OperationDesk
from ghostfleet.operations.manifest import ManifestDesk
from ghostfleet.store.log import EventLog
from ghostfleet.telemetry import Metrics
from ghostfleet.telemetry.moments import parse_moment

DEFAULT_PAGE_ROWS = 100
MAX_PAGE_ROWS = 1000
"""Rows in one answer: bounds the memory of an answer and the time the loop is held."""
MAX_POSITION = 10**12
"""A whole number up to here is a position in the log; a larger one is a moment in microseconds (12 January 1970 on)."""
MAX_VALUE_CHARS = 256


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """All that routes reach: the running service, the log, time, metrics, the settings of the interface itself."""

    service: Service
    log: EventLog
    clock: Clock
    metrics: Metrics
    admin: Admin
    desk: OperationDesk | None = None
    """Where operations are asked for; None where there is no chain."""
    manifest: ManifestDesk | None = None
    """Where the fleet's signed list of addresses is; None where there are no keys."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request after the rules: who asks, under which id, with which parameters (parsed, None where left out)."""

    request: Request
    request_id: str
    caller: Caller
    remote: str
    params: dict[str, Any]
    body: bytes
    doors: Doors


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query or path parameter: `parse` turns text into a value or raises ValueError with what would be right."""

    name: str
    where: Literal["query", "path"] = "query"
    text: str
    schema: JsonObject
    parse: Callable[[str], Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A good answer. Problems are described once for all."""

    text: str
    media_type: str = "application/json"
    schema: JsonObject = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    needs: Role
    respond: Callable[[Ask], Awaitable[Response]]
    answers: dict[int, Answer]
    problems: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: JsonObject | None = None
    """Schema of the JSON body, which may be left out where no member is required; None where there is none."""
    max_body_bytes: int = MAX_BODY_BYTES
    heavy: bool = False
    """Reads much of the log: only a few at a time."""


def read_parameters(request: Request, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Every declared parameter, parsed. An unknown or repeated one is refused: a mistyped filter must not widen an answer."""
    given = request.query_params.multi_items()
    query = {parameter.name for parameter in parameters if parameter.where == "query"}
    unknown = sorted({name for name, _ in given} - query)
    if unknown:
        known = ", ".join(sorted(query)) or "none"
        raise Problem(400, f"unknown parameter {unknown[0][:60]!r}; known here: {known}")
    texts = dict(given)
    if len(texts) != len(given):
        raise Problem(400, "a parameter may be given once only")
    texts |= {name: str(value) for name, value in request.path_params.items()}
    return {parameter.name: _parsed(parameter, texts.get(parameter.name)) for parameter in parameters}


def _parsed(parameter: Parameter, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return parameter.parse(text)
    except ValueError as problem:
        raise Problem(400, f"parameter {parameter.name}: {problem}", parameter=parameter.name) from None


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Text of a given form."""
    form = re.compile(pattern)

    def parse(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"expected {expected}")
        return text

    return parse


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number in a range, in plain digits."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse


def transaction_hash(text: str) -> Hash:
    """0x and 64 hex digits."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise ValueError("expected a transaction hash: 0x and 64 hex digits")
    return Hash(bytes.fromhex(text[2:]))


def moment(text: str) -> int:
    """Microseconds from ISO 8601 or from microseconds."""
    try:
        return parse_moment(text.replace(" ", "+") if re.search(r"T.* \d\d:?\d\d$", text) else text)
    except ValueError:
        raise ValueError("expected a time such as 2026-02-03T04:05:06Z, or microseconds since 1970") from None


WALLET_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
HASH_PATTERN = r"^0x[0-9a-fA-F]{64}$"
MOMENT_SCHEMA: JsonObject = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 0, "maximum": 253_402_300_799_999_999},
    ]
}


def wallet_parameter(where: Literal["query", "path"], name: str = "wallet") -> Parameter:
    """A wallet by its id."""
    return Parameter(
        name=name,
        where=where,
        text="Id of the wallet, as in the settings.",
        schema={"type": "string", "pattern": WALLET_PATTERN},
        parse=matching(WALLET_PATTERN, "a wallet id: up to 64 letters, digits, dots, dashes or underscores"),
    )


def hash_parameter(where: Literal["query", "path"], name: str) -> Parameter:
    """A transaction by its hash."""
    return Parameter(
        name=name,
        where=where,
        text="Hash of a transaction.",
        schema={"type": "string", "pattern": HASH_PATTERN},
        parse=transaction_hash,
    )


AFTER = Parameter(
    name="after",
    text="Cursor: only what comes after this position; `next` of the answer before.",
    schema={"type": "integer", "minimum": 0, "maximum": MAX_POSITION},
    parse=whole(0, MAX_POSITION),
)
LIMIT = Parameter(
    name="limit",
    text=f"How many at most; {DEFAULT_PAGE_ROWS} if left out.",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE_ROWS},
    parse=whole(1, MAX_PAGE_ROWS),
)
