"""JSON-RPC on the wire: calls into one request body, one response body into answers. Anything unreadable is a Fault."""

import math
import sys
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from ghostfleet.chain.answers import Answer, sort_error
from ghostfleet.chain.transport import Response
from ghostfleet.domain.values import AnswerClass
from ghostfleet.errors import BadInput

REFUSED_STATUS = frozenset({400, 405, 413, 415, 422, 501})
"""With these, and no JSON-RPC in the body, a server that knows no batches (of this size) answers one."""
DEEPEST = 1_000
"""Levels of the stack that reading an answer may take, whatever some library has made of the process's own limit: with
100,000 of them (py_ecc), 100 kB of brackets overflow the stack and kill the process."""
_TOO_LARGE = ("size", "limit", "large", "many", "exceed", "max")


class Fault(Exception):
    """The endpoint's fault; `sent` is whether bytes may have arrived."""

    def __init__(
        self, reason: str, *, sent: bool = True, retry_after_secs: float | None = None, limited: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.sent, self.retry_after_secs, self.limited = reason, sent, retry_after_secs, limited


class BatchRefused(Exception):
    """The endpoint takes no batches, or (`too_large`) none of this size. What it did with the calls nobody knows: they are made
    again one by one, and a send is the same bytes."""

    def __init__(self, *, too_large: bool) -> None:
        super().__init__()
        self.too_large = too_large


class Missing:
    """Stands for an answer that did not come."""


MISSING: Final = Missing()


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode = msgspec.json.Decoder().decode


def encode_params(method: str, params: Sequence[Any]) -> bytes:
    """JSON of the parameters. Raises BadInput: a call that cannot be written must not spoil the batch it would be in."""
    try:
        return _encode(list(params))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as problem:
        raise BadInput(f"the parameters of {method[:80]!r} cannot be written as JSON: {problem}") from None


def encode_calls(first: int, calls: Sequence[tuple[str, bytes]]) -> bytes:
    """The request body for (method, encoded parameters), with ids counted from `first`. A single call is no batch."""
    entries = [
        b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}' % (first + index, _encode(method), params)
        for index, (method, params) in enumerate(calls)
    ]
    return entries[0] if len(entries) == 1 else b"[" + b",".join(entries) + b"]"


def read_answers(response: Response, first: int, count: int) -> list[Any]:
    """Results, `Answer`s or MISSING, in the order of the calls, matched by id. Raises Fault or BatchRefused."""
    document = _document(response.body)
    if count > 1:
        _check_batch(document, response, range(first, first + count))
    entries = document if isinstance(document, list) else [document]
    answers: list[Any] = [MISSING] * count
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        number = entry.get("id")
        if count == 1 and number is None and "error" in entry:
            number = first
        if type(number) is not int or not first <= number < first + count or answers[number - first] is not MISSING:
            continue
        if entry.get("error") is not None:
            answers[number - first] = _error(entry["error"], response)
        elif "result" in entry:
            answers[number - first] = entry["result"]
    if all(answer is MISSING for answer in answers):
        raise _http_fault(response)
    return answers


def _document(body: bytes) -> Any:
    """The JSON; None where it is none, or nested deeper than any answer."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, DEEPEST))
    try:
        return _decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    finally:
        sys.setrecursionlimit(limit)


def _check_batch(document: Any, response: Response, ids: range) -> None:
    """Raise where one answer was given to a whole batch: a rate limit, a refusal of batches, or a fault."""
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], dict):
        document = document[0] if document[0].get("id") is None else document
    if isinstance(document, list):
        return
    if not isinstance(document, dict) or document.get("error") is None:
        if isinstance(document, dict) and type(document.get("id")) is int and document["id"] in ids:
            # it sees one call where there are many: asked one by one, it answers all
            raise BatchRefused(too_large=False)
        if response.status in REFUSED_STATUS:
            raise BatchRefused(too_large=response.status == 413)
        raise _http_fault(response)
    answer = _error(document["error"], response)
    words = answer.message.lower()
    if response.status != 429 and "batch" in words:
        raise BatchRefused(too_large=any(word in words for word in _TOO_LARGE))
    if answer.cls is AnswerClass.RATE_LIMITED:
        raise Fault(answer.message, limited=True, retry_after_secs=answer.retry_after_secs)
    if response.status >= 500 or (answer.cls is AnswerClass.ENDPOINT_FAULT and answer.code != -32601):
        raise Fault(answer.message)
    raise BatchRefused(too_large=False)


def _error(error: Any, response: Response) -> Answer:
    found = error if isinstance(error, dict) else {"message": error}
    code, message = found.get("code"), found.get("message")
    answer = sort_error(
        code if type(code) is int and abs(code) < 2**31 else None,
        message if isinstance(message, str) else "an error without a message",
        found.get("data"),
        response.status,
    )
    if answer.retry_after_secs is not None:
        return answer
    return msgspec.structs.replace(answer, retry_after_secs=retry_after(response.headers))


def _http_fault(response: Response) -> Fault:
    hint = ": check its URL and credentials" if response.status in (401, 403, 404) else ""
    return Fault(
        f"HTTP {response.status} without a JSON-RPC answer{hint}",
        limited=response.status == 429,
        retry_after_secs=retry_after(response.headers),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header (RFC 9110): a number, or a date, which counts from the answer's own Date."""
    value = headers.get("retry-after", "")
    try:
        secs = float(value)
    except ValueError:
        try:
            secs = (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(secs, 0.0) if math.isfinite(secs) else None
