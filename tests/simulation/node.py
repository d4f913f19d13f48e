"""One node: its own view of the chain, its own pool, its own habits; answers JSON-RPC calls in geth's words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ghostfleet.domain.values import Address, Hash
from tests.simulation.chain import (
    CALL_GAS,
    CHAIN_ID,
    CONTRACT,
    REVERT_DATA,
    Block,
    Pool,
    SimulatedChain,
    Tx,
)
from tests.simulation.universe import Universe

SYNC_WAIT_SECS = 10.0
Answer = Callable[[Any], None]


class RpcError(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {"code": code, "message": message} | ({"data": data} if data else {})


@dataclass
class Habits:
    """How a node fails, each a chance per event; faults turn them on and off."""

    lag_secs: float = 0.2
    forgets: float = 0.0
    """A pooled transaction vanishes at a block."""
    swallows: float = 0.0
    """Takes a transaction, says so, and neither keeps it nor passes it on."""
    complains: float = 0.0
    """Takes a transaction and answers an error."""
    keeps_to_itself: float = 0.0
    """Takes a transaction and does not pass it on."""
    hides: bool = False
    """The same for ever and for every transaction, also when all else is well."""
    refuses_gaps: bool = False
    refuses_below_base_fee: bool = False
    history: bool = True
    sync: bool = True


class Node:
    """Follows the chain some seconds late."""

    def __init__(self, name: str, universe: Universe, chain: SimulatedChain) -> None:
        self.name = name
        self.habits = Habits()
        self.peers: list[Node] = []
        self.head = chain.head
        self.pool = Pool()
        self.unknown: dict[Hash, int] = {}
        """How often it said that it does not know a transaction."""
        self._universe = universe
        self._chain = chain
        self._random = universe.random(f"node {name}")
        self._newest_due = 0.0
        chain.on_block.append(self._hears_of)

    def _hears_of(self, block: Block) -> None:
        lag = self.habits.lag_secs * self._random.uniform(0.2, 1.0)
        self._universe.after(lag, lambda: self._follow(block))

    def _follow(self, block: Block) -> None:
        if not self._chain.canonical(block) or (block.number < self.head.number and self._chain.canonical(self.head)):
            return
        self.head = block
        self.pool.forget_used(block)
        if self.habits.forgets:
            for key in list(self.pool.waiting):
                if self._random.random() < self.habits.forgets:
                    del self.pool.waiting[key]

    def call(self, method: str, params: list[Any], answer: Answer, refuse: Callable[[RpcError], None]) -> None:
        """Answer one call, now or (a send that waits for its block) later."""
        try:
            if method in ("eth_sendRawTransactionSync", "realtime_sendRawTransaction"):
                self._send_sync(params, answer, refuse)
                return
            handler = getattr(self, "_" + method, None)
            if handler is None:
                raise RpcError(-32601, f"the method {method} does not exist/is not available")
            result = handler(*params)
        except RpcError as problem:
            refuse(problem)
        else:
            answer(result)

    # --- reads ---------------------------------------------------------------------------------------------------------

    def _eth_chainId(self) -> str:
        return hex(CHAIN_ID)

    def _eth_getBlockByNumber(self, tag: str, full: bool) -> dict[str, Any] | None:
        block = self._block(tag)
        if block is None:
            return None
        if not block.json:
            block.json.update(
                number=hex(block.number),
                hash=str(block.hash),
                parentHash=str(block.parent.hash) if block.parent else "0x" + "00" * 32,
                timestamp=hex(block.time_secs),
                baseFeePerGas=hex(block.base_fee_wei),
                gasLimit=hex(30_000_000),
                transactions=[str(it.tx.hash) for it in block.done],
            )
        if not full:
            return block.json
        return {**block.json, "transactions": [_transaction(it.tx, block) for it in block.done]}

    def _eth_getTransactionCount(self, address: str, tag: str) -> str:
        owner = _address(address)
        if tag != "pending":
            return hex(self._state(tag).nonce(owner))
        nonce = self.head.nonce(owner)
        while (owner, nonce) in self.pool.waiting:
            nonce += 1
        return hex(nonce)

    def _eth_getBalance(self, address: str, tag: str) -> str:
        return hex(self._state(tag).balance(_address(address)))

    def _eth_getCode(self, address: str, _tag: str) -> str:
        return "0x01" if _address(address) == CONTRACT else "0x"

    def _eth_getTransactionReceipt(self, tx: str) -> dict[str, Any] | None:
        block = self._chain.block_of(_hash(tx), self.head)
        return _receipt(self._chain, _hash(tx), block) if block is not None else None

    def _eth_getTransactionByHash(self, tx: str) -> dict[str, Any] | None:
        wanted = _hash(tx)
        block = self._chain.block_of(wanted, self.head)
        if block is not None:
            return _transaction(self._chain.done_in(block, wanted).tx, block)
        pooled = self.pool.has(wanted)
        if pooled is not None:
            return _transaction(pooled, None)
        self.unknown[wanted] = self.unknown.get(wanted, 0) + 1
        return None

    def _eth_call(self, request: dict[str, str], tag: str) -> str:
        if _address(request["to"]) != CONTRACT:
            return "0x"
        state = self._state(tag)
        if len(request["data"]) == 2 + 2 * len(CONTRACT):  # whose visits?
            inside, ever = state.visits.get(_address(request["data"]), (0, 0))
            return "0x" + b"".join(word.to_bytes(32, "big") for word in (state.closed, inside, ever)).hex()
        self._refuse_if_closed(state)
        return "0x"

    def _eth_estimateGas(self, request: dict[str, str]) -> str:
        sender, value = _address(request["from"]), int(request["value"], 16)
        if self.head.balance(sender) < value:
            raise RpcError(-32000, "insufficient funds for transfer")
        if _address(request["to"]) != CONTRACT:
            return hex(self._chain.transfer_gas)
        self._refuse_if_closed(self.head)
        return hex(max(CALL_GAS, self._chain.transfer_gas))

    def _eth_feeHistory(self, count: str, _newest: str, _percentiles: list[int]) -> dict[str, Any]:
        blocks = [self.head]
        while len(blocks) < int(count, 16) and blocks[-1].parent is not None:
            blocks.append(blocks[-1].parent)
        fees = [block.base_fee_wei for block in reversed(blocks)] + [self.head.next_base_fee_wei]
        return {
            "oldestBlock": hex(blocks[-1].number),
            "baseFeePerGas": [hex(fee) for fee in fees],
            "gasUsedRatio": [0.5] * len(blocks),
            "reward": [[hex(10**8)]] * len(blocks),
        }

    def _refuse_if_closed(self, state: Block) -> None:
        if state.closed:
            raise RpcError(3, "execution reverted: closed", "0x" + REVERT_DATA.hex())

    def _block(self, tag: str) -> Block | None:
        return self.head if tag in ("latest", "pending") else self._chain.ancestor(self.head, int(tag, 16))

    def _state(self, tag: str) -> Block:
        block = self._block(tag)
        if block is None or (not self.habits.history and self.head.number - block.number > 8):
            raise RpcError(-32000, "missing trie node: the state is not available")
        return block

    # --- sends ---------------------------------------------------------------------------------------------------------

    def _eth_sendRawTransaction(self, raw: str) -> str:
        try:
            tx = self._chain.decode(bytes.fromhex(raw[2:]))
        except ValueError:
            raise RpcError(-32000, "rlp: not a transaction") from None
        if self._random.random() < self.habits.swallows:
            return str(tx.hash)
        self._take(tx)
        if self._random.random() < self.habits.complains:
            raise RpcError(-32000, self._random.choice(COMPLAINTS))
        return str(tx.hash)

    def _take(self, tx: Tx) -> None:
        """Into the pool and to the peers. Raises RpcError."""
        habits = self.habits
        if tx.nonce < self.head.nonce(tx.sender):
            raise RpcError(-32000, f"nonce too low: next nonce {self.head.nonce(tx.sender)}, tx nonce {tx.nonce}")
        if tx.body.gas < self._chain.transfer_gas:
            raise RpcError(-32000, f"intrinsic gas too low: have {tx.body.gas}, want {self._chain.transfer_gas}")
        if self.head.balance(tx.sender) < tx.worst_cost_wei:
            raise RpcError(-32000, "insufficient funds for gas * price + value")
        if habits.refuses_below_base_fee and tx.body.fees.max_fee_wei < self.head.next_base_fee_wei:
            raise RpcError(-32000, "max fee per gas less than block base fee")
        pending = int(self._eth_getTransactionCount(str(tx.sender), "pending"), 16)
        if habits.refuses_gaps and tx.nonce > pending:
            raise RpcError(-32000, "nonce too high")
        refused = self.pool.offer(tx)
        if refused:
            raise RpcError(-32000, refused)
        if self._random.random() >= habits.keeps_to_itself:
            self._pass_on(tx)

    def announce(self) -> None:
        """Pass on all that waits here, as nodes do when they are well."""
        for tx in list(self.pool.waiting.values()):
            self._pass_on(tx)

    def _pass_on(self, tx: Tx) -> None:
        if self.habits.hides:
            return
        for peer in self.peers:
            self._universe.after(self._random.uniform(0.01, 0.8), lambda peer=peer: peer.hear(tx))  # type: ignore[misc]
        self._universe.after(self._random.uniform(0.01, 0.8), lambda: self._to_builder(tx))

    def _to_builder(self, tx: Tx) -> None:
        if tx.nonce >= self._chain.head.nonce(tx.sender):
            self._chain.pool.offer(tx)

    def hear(self, tx: Tx) -> None:
        """A peer passes a transaction on."""
        if tx.nonce >= self.head.nonce(tx.sender):
            self.pool.offer(tx)

    def _send_sync(self, params: list[Any], answer: Answer, refuse: Callable[[RpcError], None]) -> None:
        if not self.habits.sync:
            raise RpcError(-32601, "the method does not exist/is not available")
        tx = _hash(self._eth_sendRawTransaction(params[0]))
        until = self._universe.now + SYNC_WAIT_SECS

        def look() -> None:
            block = self._chain.block_of(tx, self.head)
            if block is not None:
                answer(_receipt(self._chain, tx, block))
            elif self._universe.now >= until:
                refuse(RpcError(-32000, "realtime transaction expired"))
            else:
                self._universe.after(0.5, look)

        look()


COMPLAINTS = (
    "internal error: context deadline exceeded",
    "something went wrong",
    "txpool is full",
    "nonce too high",
    "rate limit exceeded, retry in 1s",
)
"""What nodes say although they took the bytes."""


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def _hash(text: str) -> Hash:
    return Hash(bytes.fromhex(text[2:]))


def _receipt(chain: SimulatedChain, tx: Hash, block: Block) -> dict[str, Any]:
    done = chain.done_in(block, tx)
    return {
        "transactionHash": str(tx),
        "blockHash": str(block.hash),
        "blockNumber": hex(block.number),
        "status": hex(done.success),
        "gasUsed": hex(done.gas_used),
        "effectiveGasPrice": hex(done.gas_price_wei),
        "logs": [],
    }


def _transaction(tx: Tx, block: Block | None) -> dict[str, Any]:
    return {
        "hash": str(tx.hash),
        "from": str(tx.sender),
        "nonce": hex(tx.nonce),
        "blockHash": str(block.hash) if block else None,
        "blockNumber": hex(block.number) if block else None,
    }
