"""A JSON-RPC endpoint that knows balances and counts the HTTP requests that it is asked them in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

HEAD = {
    "number": "0x2a", "hash": "0x" + "11" * 32, "parentHash": "0x" + "22" * 32, "timestamp": hex(1_767_268_800),
    "baseFeePerGas": "0x7", "gasLimit": "0x1c9c380",
}  # fmt: skip
BALANCE_OF, DECIMALS, SYMBOL = "70a08231", "313ce567", "95d89b41"


class LedgerNode:
    """Native balances and token balances by address, in lower case."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.calls = 0
        self.native: dict[str, int] = {}
        self.tokens: dict[str, dict[str, int]] = {}
        self.decimals: dict[str, int] = {}
        self.symbols: dict[str, str] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        document = json.loads(await request.read())
        calls = document if isinstance(document, list) else [document]
        self.requests += 1
        self.calls += len(calls)
        answers = [{"jsonrpc": "2.0", "id": call["id"], **self._answer(call)} for call in calls]
        return web.json_response(answers if isinstance(document, list) else answers[0])

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        if method == "eth_getBlockByNumber":
            return {"result": HEAD}
        if method == "eth_getBalance":
            return {"result": hex(self.native.get(params[0], 0))}
        to, data = params[0]["to"], params[0]["data"][2:]
        if data.startswith(BALANCE_OF) and to in self.tokens:
            return {"result": f"0x{self.tokens[to].get('0x' + data[-40:], 0):064x}"}
        if data == DECIMALS and to in self.decimals:
            return {"result": f"0x{self.decimals[to]:064x}"}
        if data == SYMBOL and to in self.symbols:
            text = self.symbols[to].encode()
            return {"result": f"0x{32:064x}{len(text):064x}{text.hex():0<64}"}
        return {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}


NodeT = TypeVar("NodeT", bound=LedgerNode)


@asynccontextmanager
async def ledger_node(node: NodeT) -> AsyncIterator[NodeT]:
    """This node, on a socket of its own."""
    app = web.Application()
    app.router.add_post("/{path:.*}", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}/"
    try:
        yield node
    finally:
        await runner.cleanup()
