"""The embedded node speaks JSON-RPC 2.0, whatever is thrown at it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.devnet.jsonrpc import MAX_BATCH, answer
from ghostfleet.devnet.rpc_errors import RpcError


def _fail(_: list[Any]) -> None:
    raise RpcError(3, "execution reverted", "0x1234")


def _break(_: list[Any]) -> None:
    raise ZeroDivisionError


async def _later(params: list[Any]) -> Any:
    return params


METHODS = {"echo": lambda params: params, "later": _later, "fail": _fail, "break": _break}


async def ask(body: bytes | Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = await answer(raw, METHODS)
    return None if said is None else json.loads(said)


def request(method: str, *params: Any, identity: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": list(params)}


@pytest.mark.parametrize("identity", [1, 0, "a", 1.5, None])
async def test_a_result_comes_back_under_its_id(identity: Any) -> None:
    for method in ("echo", "later"):
        assert await ask(request(method, 1, "x", identity=identity)) == {
            "jsonrpc": "2.0",
            "id": identity,
            "result": [1, "x"],
        }


async def test_an_error_has_code_message_and_data() -> None:
    said = await ask(request("fail"))
    assert said == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": 3, "message": "execution reverted", "data": "0x1234"},
    }


async def test_a_batch_is_answered_one_by_one_and_notifications_are_not() -> None:
    notification = {"jsonrpc": "2.0", "method": "echo"}
    said = await ask([request("echo", 1), notification, request("nothing", identity="b"), 7])
    assert [(one["id"], one.get("error", {}).get("code")) for one in said] == [
        (1, None),
        ("b", -32601),
        (None, -32600),
    ]
    assert await ask(notification) is None
    assert await ask([notification]) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"\xff", -32700),
        ([], -32600),
        (1, -32600),
        ({"id": 1, "method": "echo"}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "echo"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {}}, -32602),
        ([1] * (MAX_BATCH + 1), -32600),
    ],
)
async def test_what_is_no_request_is_told_so(body: Any, code: int) -> None:
    said = await ask(body)
    assert said["error"]["code"] == code


async def test_a_fault_of_ours_is_an_answer_too() -> None:
    assert (await ask(request("break")))["error"] == {"code": -32603, "message": "internal error in break"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(json_values | st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": json_values, "method": json_values}))
async def test_anything_at_all_gets_a_response_object(body: Any) -> None:
    said = await ask(body)
    for one in said if isinstance(said, list) else [said]:
        assert one is None or (one["jsonrpc"] == "2.0" and ("result" in one) != ("error" in one))
