"""JSON-RPC on the wire: calls into one request body, one response body into answers. Anything unreadable is a Fault."""

from typing import Any, Final

import msgspec

from ghostfleet.chain.answers import Answer, sort_error
from ghostfleet.chain.transport import Response
from ghostfleet.domain.values import AnswerClass

NO_BATCHES = frozenset({-32600, -32601, -32700})
"""Codes with which an endpoint that knows no batches answers one."""

encode_calls = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Fault(Exception):
    """The endpoint's fault; `sent` is whether bytes may have arrived."""

    def __init__(
        self, reason: str, *, sent: bool, retry_after_secs: float | None = None, limited: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.sent, self.retry_after_secs, self.limited = reason, sent, retry_after_secs, limited


class Missing:
    """Stands for an answer that did not come."""


MISSING: Final = Missing()


def read_answers(response: Response, first: int, count: int) -> list[Any] | None:
    """Match answers to calls by id. None when the endpoint refuses batches. Raises Fault for anything unreadable."""
    try:
        document = _decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if isinstance(document, dict) and count > 1:
        error = document.get("error")
        if isinstance(error, dict):
            answer = _error(error, response)
            if answer.cls is AnswerClass.RATE_LIMITED:
                raise Fault(answer.message, sent=True, limited=True, retry_after_secs=answer.retry_after_secs)
            if error.get("code") in NO_BATCHES or "batch" in answer.message.lower():
                return None
        raise Fault("one answer to a batch of calls", sent=True)
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise _http_fault(response)
    answers: list[Any] = [MISSING] * count
    for entry in document:
        number = entry.get("id") if isinstance(entry, dict) else None
        if count == 1 and number is None and isinstance(entry, dict) and "error" in entry:
            number = first
        if type(number) is not int or not first <= number < first + count or answers[number - first] is not MISSING:
            continue
        if isinstance(entry.get("error"), dict):
            answers[number - first] = _error(entry["error"], response)
        elif "result" in entry:
            answers[number - first] = entry["result"]
    if all(answer is MISSING for answer in answers):
        raise _http_fault(response)
    return answers


def _error(error: dict[str, Any], response: Response) -> Answer:
    code, message = error.get("code"), error.get("message")
    answer = sort_error(
        code if type(code) is int else None,
        message if isinstance(message, str) else "error without a message",
        error.get("data"),
        response.status,
    )
    retry = answer.retry_after_secs if answer.retry_after_secs is not None else _retry_after(response)
    return msgspec.structs.replace(answer, retry_after_secs=retry)


def _http_fault(response: Response) -> Fault:
    limited = response.status == 429
    return Fault(
        f"HTTP {response.status} without a JSON-RPC answer",
        sent=True,
        limited=limited,
        retry_after_secs=_retry_after(response),
    )


def _retry_after(response: Response) -> float | None:
    try:
        return max(float(response.headers.get("retry-after", "")), 0.0)
    except ValueError:
        return None
