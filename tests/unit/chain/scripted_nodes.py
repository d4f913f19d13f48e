"""Endpoints made of functions: a transport for the edge that needs no socket, on real or virtual time."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from ghostfleet.chain.edge import GateClosed, RpcEdge
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.passage import Passage
from ghostfleet.chain.transport import Response

Calls = list[dict[str, Any]]
Behaviour = Callable[[Calls], Awaitable[Response] | Response]


def respond(document: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, json.dumps(document).encode())


def answer_each(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Behaviour:
    """A proper answer to each call, with `result` or `error` from the function."""

    def behave(calls: Calls) -> Response:
        answers = [{"jsonrpc": "2.0", "id": call["id"], **answer(call)} for call in calls]
        return respond(answers if len(answers) > 1 else answers[0])

    return behave


well = answer_each(lambda call: {"result": call["method"]})


def error(code: int, message: str) -> Behaviour:
    return answer_each(lambda _call: {"error": {"code": code, "message": message}})


class Nodes:
    """A transport. `behave` says how each URL answers; `log` is what was written: (time, url, methods)."""

    def __init__(self, **behave: Behaviour) -> None:
        self.behave = {f"http://{name}/": how for name, how in behave.items()}
        self.log: list[tuple[float, str, list[str]]] = []

    async def post(self, url: str, body: bytes, *, timeout_secs: float, passage: Passage | None = None) -> Response:
        document = json.loads(body)
        calls = document if isinstance(document, list) else [document]
        node = url.removeprefix("http://").strip("/")
        self.log.append((asyncio.get_running_loop().time(), node, [call["method"] for call in calls]))
        answer = self.behave[url](calls)
        return answer if isinstance(answer, Response) else await answer

    async def close(self) -> None: ...

    def set(self, node: str, how: Behaviour) -> None:
        self.behave[f"http://{node}/"] = how

    def edge(self, gate: Any = None, rate: float | None = None, **options: Any) -> RpcEdge:
        configs = [
            EndpointConfig(name=url.removeprefix("http://").strip("/"), url=url, max_requests_per_second=rate)
            for url in self.behave
        ]
        return RpcEdge(configs, self, gate=gate or Gate(), **options)

    def methods_at(self, node: str) -> list[str]:
        return [method for _, at, methods in self.log if at == node for method in methods]


class Leave:
    """A passage for everybody who asked."""

    def __init__(self, senders: Collection[str]) -> None:
        self.senders = frozenset(senders)

    def leave(self) -> None: ...
    def left(self) -> None: ...


class Gate:
    """A gate with a switch, that counts who holds it."""

    def __init__(self) -> None:
        self.open = True
        self.holding = 0

    @asynccontextmanager
    async def sending(self, senders: Collection[str]) -> Any:
        if not self.open:
            raise GateClosed("shut by a test")
        self.holding += 1
        try:
            yield Leave(senders)
        finally:
            self.holding -= 1
