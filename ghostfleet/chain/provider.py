"""web3.py over the coalescing edge: `AsyncWeb3(CoalescingProvider(edge))`, for plugin authors who know it.

Concurrent calls share HTTP requests with everything else the service asks at that moment, and a transaction that is sent
through it passes the gate like any other.
"""

import asyncio
from typing import Any, cast

from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ghostfleet.chain.answers import Answer
from ghostfleet.chain.edge import EndpointsUnavailable, RpcEdge, RpcRefused

WAITING_SENDS = frozenset({"eth_sendRawTransactionSync", "realtime_sendRawTransaction"})
"""Sends that the node answers only once a block has come."""


def is_send(method: str) -> bool:
    """Whether the method lets something leave, so that it belongs behind the gate: whatever is called send-something."""
    return method.partition("_")[2].lower().startswith("send")


class CoalescingProvider(AsyncJSONBaseProvider):
    """An asynchronous web3.py provider. Owns nothing: the edge is opened and closed by whoever made it."""

    def __init__(self, edge: RpcEdge) -> None:
        super().__init__()
        self._edge = edge

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One call. Raises EndpointsUnavailable, and GateClosed for a send while the fleet is paused."""
        if is_send(method):
            outcome = await self._edge.send(method, list(params or ()), alone=method in WAITING_SENDS)
            if outcome.answer is not None:
                return _error(outcome.answer)
            return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "result": outcome.result})
        try:
            result = await self._edge.request(method, list(params or ()))
        except RpcRefused as refused:
            return _error(refused.answer)
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "result": result})

    async def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """web3.py's explicit batches: nothing more than calls made together."""
        return list(await asyncio.gather(*(self.make_request(method, params) for method, params in requests)))

    async def is_connected(self, show_traceback: bool = False) -> bool:
        """Whether an endpoint answers now."""
        try:
            await self._edge.request("web3_clientVersion", [])
        except EndpointsUnavailable:
            return False
        except RpcRefused:
            return True
        return True


def _error(answer: Answer) -> RPCResponse:
    error: dict[str, Any] = {"code": answer.code or -32000, "message": answer.message}
    if answer.data is not None:
        error["data"] = str(answer.data)
    return cast(RPCResponse, {"jsonrpc": "2.0", "id": 0, "error": error})
