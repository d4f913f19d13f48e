"""A JSON-RPC server on a real socket that misbehaves on command."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Behaviour = Callable[["FaultyNode", list[dict[str, Any]], bool], Awaitable[web.StreamResponse]]


class FaultyNode:
    """Answers every call with its method's name unless told otherwise; remembers all that reached it."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[list[dict[str, Any]]] = []
        self.reached = asyncio.Event()
        self.behave: Behaviour = well

    @property
    def calls(self) -> list[str]:
        return [call["method"] for request in self.requests for call in request]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        document = json.loads(await request.read())
        batch = isinstance(document, list)
        calls = document if batch else [document]
        self.requests.append(calls)
        self.reached.set()
        return await self.behave(self, calls, batch)


def result_of(call: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "result": call["method"]}


def error_of(call: dict[str, Any], code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}}


async def well(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
    answers = [result_of(call) for call in calls]
    return web.json_response(answers if batch else answers[0])


def raw(body: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Whatever is asked, this."""

    async def answer(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


def errors(code: int, message: str) -> Behaviour:
    """A proper error object for each call."""

    async def answer(node: FaultyNode, calls: list[dict[str, Any]], batch: bool) -> web.StreamResponse:
        answers = [error_of(call, code, message) for call in calls]
        return web.json_response(answers if batch else answers[0])

    return answer


@asynccontextmanager
async def faulty_node() -> AsyncIterator[FaultyNode]:
    node = FaultyNode()
    app = web.Application()
    app.router.add_post("/", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}/"
    try:
        yield node
    finally:
        await runner.cleanup()
