"""What surrounds every answer: a request id, security headers, and bounds on heads and bodies."""

import asyncio
import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ghostfleet.http.problems import Problem, problem_response

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 16 * 1024
"""A command's body is a reason in words."""
BODY_SECS = 10.0
"""Until a body has to be here."""

SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
HTTP_VERSIONS = frozenset({"1.0", "1.1"})
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
NEEDS_NO_ESCAPE = frozenset(b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""RFC 3986, 2.3."""
SEPARATORS = frozenset(b"/\\")
REQUEST_ID = "ghostfleet.request_id"


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, request_ids: Callable[[], str]) -> None:
        self._app = app
        self._request_ids = request_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope[REQUEST_ID] = self._request_ids()

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = _unfit(scope)
        if refused is not None:
            await problem_response(refused, request_id)(scope, receive, guarded_send)
            return
        await self._app(scope, receive, guarded_send)


def _unfit(scope: Scope) -> Problem | None:
    """What no route may be asked with."""
    if scope["http_version"] not in HTTP_VERSIONS:
        return Problem(505, "this service speaks HTTP/1.1", headers={"Connection": "close"})
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers and "content-length" in headers:
        # RFC 9112, 6.1: two lengths are how requests are smuggled past a proxy.
        return Problem(400, "two lengths of one body", headers={"Connection": "close"})
    if _is_disguised(scope["raw_path"]):
        # A proxy in front, which decodes less, would have judged another path than the one that is served.
        return Problem(404, "nothing is under a path that escapes separators or characters that need no escape")
    size = (
        len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in headers.raw)
    )
    if size > MAX_HEAD_BYTES:
        # The parser bounds only a head that arrives in pieces.
        return Problem(
            431, f"the request's head is larger than {MAX_HEAD_BYTES} bytes", headers={"Connection": "close"}
        )
    return None


def _is_disguised(path: bytes) -> bool:
    """Whether a path escapes what needs no escape, a separator or a control, or has a character that needs one."""
    if any(byte <= 0x20 or byte >= 0x7F or byte == ord("\\") for byte in path):
        return True
    for escape in ESCAPE.finditer(path):
        byte = int(escape[1], 16) if escape[1] else 0
        if byte < 0x20 or byte == 0x7F or byte in NEEDS_NO_ESCAPE or byte in SEPARATORS:
            return True
    return False


def request_id_of(request: Request) -> str:
    """The id that this service gave the request; none is accepted from outside."""
    return str(request.scope[REQUEST_ID])


async def read_body(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """The body, of at most so many bytes, bounded in time too. Raises Problem 413 or 408."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECS):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise Problem(408, f"the body was not here within {BODY_SECS:.0f} s", headers={"Connection": "close"}) from None
    return bytes(body)


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes", headers={"Connection": "close"})
