"""How is a refusal told? As an RFC 9457 problem document, with the request's id, never with a secret or a traceback."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ghostfleet.domain.values import encode_json

PROBLEM_JSON = "application/problem+json"
MAX_DETAIL_CHARS = 600


class Problem(Exception):
    """A request that cannot be answered as asked: status, a sentence for the operator, and what belongs to it."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail[:MAX_DETAIL_CHARS]
        self.headers = headers or {}
        self.members = members


def problem_response(problem: Problem, request_id: str, instance: str = "") -> Response:
    """The document for it. `type` is about:blank, so `title` is the status in words (RFC 9457, 4.2.1)."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.members,
    }
    if instance:
        document["instance"] = instance
    return Response(encode_json(document), status_code=problem.status, headers=problem.headers, media_type=PROBLEM_JSON)
