"""Typed reads over the edge, and the one way out. An answer of the wrong shape is the endpoint's fault, never a fact:
another endpoint is asked, and where there is none the caller hears EndpointsUnavailable."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ghostfleet.chain import shapes
from ghostfleet.chain.edge import EndpointsUnavailable, RpcEdge, RpcRefused, SendOutcome, Unfit
from ghostfleet.chain.shapes import FeeHistory
from ghostfleet.domain.values import Address, AnswerClass, Call, Hash, Head, Octets, Receipt

T = TypeVar("T")
SYNC_TIMEOUT_SECS = 15.0
"""MegaETH answers a realtime send within 10 s; a little more for the way."""
PLAIN, SYNC, REALTIME = "eth_sendRawTransaction", "eth_sendRawTransactionSync", "realtime_sendRawTransaction"
MAX_HISTORY_BLOCKS = 256
"""MegaETH's bound for eth_feeHistory."""
MEDIAN_PERCENTILE = 50

__all__ = ["Broadcast", "Chain", "FeeHistory"]


class Broadcast(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending bytes once. `endpoint` is empty when none could be asked; then nothing has left."""

    endpoint: str
    cls: AnswerClass
    message: str = ""
    receipt: Receipt | None = None


class Chain:
    """The chain as the engine reads it. Every read may raise RpcRefused (the node says no) or EndpointsUnavailable."""

    def __init__(self, edge: RpcEdge) -> None:
        self._edge = edge

    def keep_to(self, chain_id: int) -> None:
        """From now on an endpoint has to say that it serves this chain before it is asked anything else, or sent anything."""
        self._edge.keep_to(chain_id)

    async def chain_id(self) -> int:
        return await self._read("eth_chainId", [], shapes.quantity)

    async def genesis_hash(self) -> Hash:
        return (await self._read("eth_getBlockByNumber", ["0x0", False], shapes.head_numbered(0))).hash

    async def head(self) -> Head:
        """The newest block."""
        return await self._read("eth_getBlockByNumber", ["latest", False], shapes.head)

    async def head_at(self, number: int) -> Head | None:
        """The block of this number in the chain as the node sees it."""
        parse = shapes.maybe(shapes.head_numbered(number))
        return await self._read("eth_getBlockByNumber", [hex(number), False], parse)

    async def nonce(self, address: Address, tag: str | int = "latest") -> int:
        """How many transactions the address has sent, at a block or a tag (`latest`, `pending`)."""
        return await self._read("eth_getTransactionCount", [str(address), _tag(tag)], shapes.quantity)

    async def balance(self, address: Address, block: str | int = "latest") -> int:
        """Wei at the latest block, or at another."""
        return await self._read("eth_getBalance", [str(address), _tag(block)], shapes.wei)

    async def code(self, address: Address) -> Octets:
        return await self._read("eth_getCode", [str(address), "latest"], shapes.octets)

    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None:
        """The receipt, or None: which alone means nothing."""
        parse = shapes.maybe(shapes.receipt_of(tx))
        return await self._read("eth_getTransactionReceipt", [str(tx)], parse, endpoint)

    async def known(self, tx: Hash, endpoint: str) -> bool | None:
        """Whether this endpoint has the transaction, pooled or mined. None when it could not say. Of one that is drained or gone
        the others are asked instead: where they do not have it either, it has to be sent to one of them."""
        asked = endpoint if self._edge.asks(endpoint) else None
        try:
            return await self._read("eth_getTransactionByHash", [str(tx)], shapes.known_as(tx), asked)
        except (RpcRefused, EndpointsUnavailable):
            return None

    async def transactions_in(self, number: int) -> tuple[tuple[Hash, Address, int], ...]:
        """(hash, sender, nonce) of each transaction in a block."""
        return await self._read("eth_getBlockByNumber", [hex(number), True], shapes.transactions_of(number))

    async def call(
        self, to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
    ) -> Octets:
        """eth_call. Raises RpcRefused on a revert."""
        request = {"to": str(to), "data": "0x" + data.hex()}
        if sender is not None:
            request["from"] = str(sender)
        return await self._read("eth_call", [request, _tag(block)], shapes.octets)

    async def estimate_gas(self, sender: Address, call: Call) -> int:
        """Gas the node thinks it takes. Raises RpcRefused when it would fail."""
        request = {"from": str(sender), "to": str(call.to), "value": hex(call.value_wei), "data": str(call.data)}
        return await self._read("eth_estimateGas", [request], shapes.quantity)

    async def fee_history(self, blocks: int) -> FeeHistory:
        """Base fees and median tips of the newest blocks, and the next base fee."""
        params = [hex(min(blocks, MAX_HISTORY_BLOCKS)), "latest", [MEDIAN_PERCENTILE]]
        return await self._read("eth_feeHistory", params, shapes.fee_history)

    async def broadcast(
        self, raw: Octets, tx: Hash, *, sync: bool = False, rather_not: str = "", sender: str = ""
    ) -> Broadcast:
        """Send bytes once; `sync` by the methods that answer with the receipt, where an endpoint knows them.

        The endpoint `rather_not` gets them only where no other one may be asked. `sender` is the wallet, for the gate.

        Raises GateClosed and nothing else. Whatever cannot be read as an acceptance or a refusal is maybe sent.
        """
        try:
            if sync:
                outcome = await self._edge.send(
                    SYNC,
                    [str(raw)],
                    timeout_secs=SYNC_TIMEOUT_SECS,
                    alone=True,
                    instead=(REALTIME, PLAIN),
                    rather_not=rather_not,
                    sender=sender,
                )
            else:
                outcome = await self._edge.send(PLAIN, [str(raw)], rather_not=rather_not, sender=sender)
        except EndpointsUnavailable as nobody:
            return Broadcast(endpoint="", cls=AnswerClass.ENDPOINT_FAULT, message=str(nobody))
        return _broadcast(outcome, tx)

    async def _read(self, method: str, params: list[Any], parse: Callable[[Any], T], endpoint: str | None = None) -> T:
        result: T = await self._edge.request(method, params, endpoint=endpoint, parse=parse)
        return result


def _broadcast(outcome: SendOutcome, tx: Hash) -> Broadcast:
    """The outcome of a send as the lane needs it: accepted only where the node names our hash."""
    answer = outcome.answer
    if answer is not None:
        return Broadcast(endpoint=outcome.endpoint, cls=answer.cls, message=answer.message)
    try:
        if isinstance(outcome.result, dict):
            receipt = shapes.receipt_of(tx)(outcome.result)
            return Broadcast(endpoint=outcome.endpoint, cls=AnswerClass.ACCEPTED, receipt=receipt)
        if shapes.hash_(outcome.result) == tx:
            return Broadcast(endpoint=outcome.endpoint, cls=AnswerClass.ACCEPTED)
        message = f"the answer names another transaction: {outcome.result}"
    except Unfit as unfit:
        message = f"the answer cannot be read: {unfit}"
    return Broadcast(endpoint=outcome.endpoint, cls=AnswerClass.MAYBE_SENT, message=message)


def _tag(block: str | int) -> str:
    return block if isinstance(block, str) else hex(block)
