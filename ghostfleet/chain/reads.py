"""Typed reads over the edge, and the one way out. An answer of the wrong shape is the endpoint's fault, never a fact."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ghostfleet.chain.edge import EndpointsUnavailable, RpcEdge, RpcRefused
from ghostfleet.domain.values import Address, AnswerClass, BlockRef, Call, Hash, Head, LogEntry, Octets, Receipt

T = TypeVar("T")
MAX_BITS = 256
SYNC_TIMEOUT_SECS = 15.0
"""MegaETH answers a realtime send within 10 s; a little more for the way."""
PLAIN, SYNC, REALTIME = "eth_sendRawTransaction", "eth_sendRawTransactionSync", "realtime_sendRawTransaction"


class Broadcast(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending bytes once."""

    endpoint: str
    cls: AnswerClass
    message: str = ""
    retry_after_secs: float | None = None
    receipt: Receipt | None = None


class WrongShape(EndpointsUnavailable):
    """An endpoint answered something that is no answer to the call."""


class FeeHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Base fees of the latest blocks and the next one, and the tips paid in them, wei."""

    base_fees_wei: tuple[int, ...]
    tips_wei: tuple[int, ...]


class Chain:
    """The chain as the engine reads it."""

    def __init__(self, edge: RpcEdge) -> None:
        self._edge = edge
        self._sync_methods = [SYNC, REALTIME]

    async def chain_id(self) -> int:
        return await self._read("eth_chainId", [], _quantity)

    async def genesis_hash(self) -> Hash:
        head = await self.head_at(0)
        if head is None:
            raise WrongShape("eth_getBlockByNumber: no block 0")
        return head.hash

    async def head(self) -> Head:
        """The newest block."""
        head = await self._read("eth_getBlockByNumber", ["latest", False], _maybe(_head))
        if head is None:
            raise WrongShape("eth_getBlockByNumber: no latest block")
        return head

    async def head_at(self, number: int) -> Head | None:
        """The block of this number in the chain as the node sees it."""
        head = await self._read("eth_getBlockByNumber", [hex(number), False], _maybe(_head))
        if head is not None and head.number != number:
            raise WrongShape(f"eth_getBlockByNumber: asked for {number}, got {head.number}")
        return head

    async def nonce(self, address: Address, tag: str | int = "latest") -> int:
        return await self._read("eth_getTransactionCount", [str(address), _tag(tag)], _nonce)

    async def balance(self, address: Address) -> int:
        return await self._read("eth_getBalance", [str(address), "latest"], _quantity)

    async def code(self, address: Address) -> Octets:
        return await self._read("eth_getCode", [str(address), "latest"], _octets)

    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None:
        """The receipt, or None: which alone means nothing."""
        receipt = await self._read("eth_getTransactionReceipt", [str(tx)], _maybe(_receipt), endpoint)
        if receipt is not None and receipt.tx != tx:
            raise WrongShape("eth_getTransactionReceipt: the receipt of another transaction")
        return receipt

    async def known(self, tx: Hash, endpoint: str) -> bool | None:
        """Whether this endpoint has the transaction, pooled or mined. None when it could not say."""
        try:
            found = await self._edge.request("eth_getTransactionByHash", [str(tx)], endpoint=endpoint)
        except (RpcRefused, EndpointsUnavailable):
            return None
        if found is None:
            return False
        return True if isinstance(found, dict) and found.get("hash") == str(tx) else None

    async def transactions_in(self, number: int) -> tuple[tuple[Hash, Address, int], ...]:
        """(hash, sender, nonce) of each transaction in a block."""
        return await self._read("eth_getBlockByNumber", [hex(number), True], _transactions)

    async def call(
        self, to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
    ) -> Octets:
        """eth_call. Raises RpcRefused on a revert."""
        request = {"to": str(to), "data": "0x" + data.hex()}
        if sender is not None:
            request["from"] = str(sender)
        return await self._read("eth_call", [request, _tag(block)], _octets)

    async def estimate_gas(self, sender: Address, call: Call) -> int:
        """Gas the node thinks it takes. Raises RpcRefused when it would fail."""
        request = {"from": str(sender), "to": str(call.to), "value": hex(call.value_wei), "data": str(call.data)}
        return await self._read("eth_estimateGas", [request], _quantity)

    async def fee_history(self, blocks: int) -> FeeHistory:
        return await self._read("eth_feeHistory", [hex(blocks), "latest", [50]], _fee_history)

    async def broadcast(self, raw: Octets, tx: Hash, *, sync: bool = False) -> Broadcast:
        """Send bytes once. Raises GateClosed or EndpointsUnavailable: then nothing has left."""
        while sync and self._sync_methods:
            method = self._sync_methods[0]
            outcome = await self._edge.send(method, [str(raw)], timeout_secs=SYNC_TIMEOUT_SECS, alone=True)
            if outcome.answer is not None and outcome.answer.code == -32601:
                self._sync_methods.pop(0)
                continue
            return self._sent(outcome.endpoint, outcome.answer, outcome.result, tx, receipt=True)
        outcome = await self._edge.send(PLAIN, [str(raw)])
        return self._sent(outcome.endpoint, outcome.answer, outcome.result, tx, receipt=False)

    def _sent(self, endpoint: str, answer: Any, result: Any, tx: Hash, *, receipt: bool) -> Broadcast:
        if answer is not None:
            return Broadcast(
                endpoint=endpoint, cls=answer.cls, message=answer.message, retry_after_secs=answer.retry_after_secs
            )
        if receipt and isinstance(result, dict):
            try:
                found = _receipt(result)
            except _Unfit:
                found = None
            if found is not None and found.tx == tx:
                return Broadcast(endpoint=endpoint, cls=AnswerClass.ACCEPTED, receipt=found)
        elif isinstance(result, str) and result.lower() == str(tx):
            return Broadcast(endpoint=endpoint, cls=AnswerClass.ACCEPTED)
        return Broadcast(
            endpoint=endpoint, cls=AnswerClass.MAYBE_SENT, message="an answer that names another transaction"
        )

    async def _read(self, method: str, params: list[Any], parse: Callable[[Any], T], endpoint: str | None = None) -> T:
        result = await self._edge.request(method, params, endpoint=endpoint)
        try:
            return parse(result)
        except _Unfit as unfit:
            raise WrongShape(f"{method}: {unfit}") from None


class _Unfit(Exception):
    """Not of the shape that the call answers."""


def _tag(block: str | int) -> str:
    return block if isinstance(block, str) else hex(block)


def _maybe(parse: Callable[[Any], T | None]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else parse(value)


def _quantity(value: Any) -> int:
    if not isinstance(value, str) or not value.startswith("0x") or not 3 <= len(value) <= 2 + MAX_BITS // 4:
        raise _Unfit(f"not a quantity: {type(value).__name__}")
    try:
        return int(value[2:], 16) if value[2] not in "+-_ " and "_" not in value else _unfit("not a quantity")
    except ValueError:
        raise _Unfit("not a quantity") from None


def _unfit(why: str) -> int:
    raise _Unfit(why)


def _nonce(value: Any) -> int:
    nonce = _quantity(value)
    if nonce >= 2**64:
        raise _Unfit("a nonce above 2^64")
    return nonce


def _octets(value: Any, kind: type[Octets] = Octets, size: int | None = None) -> Any:
    if not isinstance(value, str) or (size is not None and len(value) != 2 + 2 * size):
        raise _Unfit(f"not {size or ''} bytes in hex")
    try:
        return kind.from_hex(value)
    except ValueError:
        raise _Unfit("not bytes in hex") from None


def _hash(value: Any) -> Hash:
    found = _octets(value, Hash, 32)
    assert isinstance(found, Hash)
    return found


def _address(value: Any) -> Address:
    found = _octets(value, Address, 20)
    assert isinstance(found, Address)
    return found


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unfit(f"not an object: {type(value).__name__}")
    return value


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Unfit(f"not a list: {type(value).__name__}")
    return value


def _head(value: Any) -> Head:
    block = _fields(value)
    return Head(
        number=_quantity(block.get("number")),
        hash=_hash(block.get("hash")),
        parent=_hash(block.get("parentHash")),
        time_secs=_quantity(block.get("timestamp")),
        base_fee_wei=_quantity(block.get("baseFeePerGas", "0x0")),
        gas_limit=_quantity(block.get("gasLimit")),
    )


def _receipt(value: Any) -> Receipt | None:
    receipt = _fields(value)
    if receipt.get("blockHash") is None or receipt.get("blockNumber") is None:
        return None
    return Receipt(
        tx=_hash(receipt.get("transactionHash")),
        block=BlockRef(_quantity(receipt["blockNumber"]), _hash(receipt["blockHash"])),
        success=_status(receipt.get("status")),
        gas_used=_quantity(receipt.get("gasUsed")),
        gas_price_wei=_quantity(receipt.get("effectiveGasPrice", "0x0")),
        logs=tuple(_log(entry) for entry in _items(receipt.get("logs", []))),
    )


def _status(value: Any) -> bool:
    status = _quantity(value)
    if status not in (0, 1):
        raise _Unfit("a status that is neither 0 nor 1")
    return status == 1


def _log(value: Any) -> LogEntry:
    entry = _fields(value)
    topics = tuple(_hash(topic) for topic in _items(entry.get("topics")))
    return LogEntry(address=_address(entry.get("address")), topics=topics, data=_octets(entry.get("data")))


def _transactions(value: Any) -> tuple[tuple[Hash, Address, int], ...]:
    if value is None:
        return ()
    found = [_fields(entry) for entry in _items(_fields(value).get("transactions"))]
    return tuple((_hash(tx.get("hash")), _address(tx.get("from")), _nonce(tx.get("nonce"))) for tx in found)


def _fee_history(value: Any) -> FeeHistory:
    history = _fields(value)
    base_fees = tuple(_quantity(fee) for fee in _items(history.get("baseFeePerGas")))
    rewards = history.get("reward")
    tips = tuple(_quantity(_items(row)[0]) for row in _items(rewards) if row) if rewards else ()
    if not base_fees:
        raise _Unfit("no base fee")
    return FeeHistory(base_fees_wei=base_fees, tips_wei=tips)
