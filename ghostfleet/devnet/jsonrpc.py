"""The envelope: JSON-RPC 2.0 requests, single or in a batch, to responses. What the methods mean is ./methods.py's."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ghostfleet.devnet.rpc_errors import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RpcError

MAX_BATCH = 1_000
"""Requests in one batch, as in geth's rpc.batch-request-limit."""

Method = Callable[[list[Any]], Any]
"""Takes the positional parameters; returns the result or an awaitable of it, or raises RpcError."""

log = logging.getLogger(__name__)
_encode = msgspec.json.encode
_decode = msgspec.json.decode


async def answer(body: bytes, methods: Mapping[str, Method]) -> bytes | None:
    """The response to an HTTP body; None when nothing is to be said (only notifications)."""
    try:
        parsed = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _encode(_failure(None, RpcError(PARSE_ERROR, "parse error")))
    if not isinstance(parsed, list):
        response = await _answer_one(parsed, methods)
        return None if response is None else _encode(response)
    if not parsed:
        return _encode(_failure(None, RpcError(INVALID_REQUEST, "empty batch")))
    if len(parsed) > MAX_BATCH:
        return _encode(_failure(None, RpcError(INVALID_REQUEST, f"batch too large: {len(parsed)}, limit {MAX_BATCH}")))
    responses = [response for one in parsed if (response := await _answer_one(one, methods)) is not None]
    return _encode(responses) if responses else None


async def _answer_one(request: Any, methods: Mapping[str, Method]) -> dict[str, Any] | None:
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        identity = request.get("id") if isinstance(request, dict) else None
        return _failure(_plain_id(identity), RpcError(INVALID_REQUEST, "invalid request"))
    identity = request.get("id")
    if "id" in request and _plain_id(identity) != identity:
        return _failure(None, RpcError(INVALID_REQUEST, "invalid request: id is a string, a number or null"))
    response: dict[str, Any]
    try:
        response = {"jsonrpc": "2.0", "id": identity, "result": await _result(request, methods)}
    except RpcError as error:
        response = _failure(identity, error)
    except Exception:
        # The boundary of a development server: a fault of ours is an answer, and its traceback is on stderr.
        log.exception("%s failed", request["method"])
        response = _failure(identity, RpcError(-32603, f"internal error in {request['method'][:64]}"))
    return response if "id" in request else None


async def _result(request: dict[str, Any], methods: Mapping[str, Method]) -> Any:
    name = request["method"]
    method = methods.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {name[:64]} does not exist/is not available")
    params = request.get("params", [])
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "non-array args")
    result = method(params)
    return await result if isinstance(result, Awaitable) else result


def _plain_id(identity: Any) -> Any:
    return identity if isinstance(identity, str | int | float) and not isinstance(identity, bool) else None


def _failure(identity: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": error.as_object()}
