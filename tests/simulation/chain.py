"""The simulated chain: accounts, a pool, blocks, a moving base fee, reorganisations, and one contract that may refuse.

It is the truth that the log is compared with. Nodes (node.py) show views of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from ghostfleet.chain import transactions
from ghostfleet.chain.keccak import keccak
from ghostfleet.domain.values import Address, Hash, Unsigned
from tests.simulation.universe import Universe

CHAIN_ID = 31337
BLOCK_SECS = 2.0
GWEI = 10**9
FIRST_BASE_FEE_WEI = GWEI
LEAST_BASE_FEE_WEI = GWEI // 100
MOST_BASE_FEE_WEI = 100_000 * GWEI
TRANSFER_GAS, CALL_GAS = 21_000, 50_000
BLOCK_GAS = 30_000_000
SHORTER_AFTER = 4
"""A reorganisation down to a block whose number is a multiple of it leaves the chain shorter for a while."""
CONTRACT = Address(bytes.fromhex("c0" * 20))
SINK = Address(bytes.fromhex("51" * 20))
LEAVES = b"leave"
"""How the data of a call begins that takes everything out of the contract; any other call is a visit."""
VISIT_PAYS_WEI = 10**12
REVERT_DATA = (
    bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (6).to_bytes(32, "big") + b"closed".ljust(32, b"\0")
)


@dataclass(frozen=True, eq=False)
class Tx:
    """A transaction as it was sent."""

    hash: Hash
    raw: bytes
    sender: Address
    body: Unsigned

    @property
    def nonce(self) -> int:
        return self.body.nonce

    @property
    def worst_cost_wei(self) -> int:
        return self.body.call.value_wei + self.body.gas * self.body.fees.max_fee_wei

    @property
    def effect(self) -> tuple[Address, Address, int, bytes] | None:
        """What it does that could be done twice; None for what harms nobody."""
        call = self.body.call
        if call.to == self.sender:
            return None
        return (self.sender, call.to, call.value_wei, bytes(call.data))


@dataclass(frozen=True)
class Done:
    """A transaction in a block."""

    tx: Tx
    success: bool
    gas_used: int
    gas_price_wei: int


@dataclass(eq=False)
class Block:
    """A block with the state after it."""

    number: int
    hash: Hash
    parent: "Block | None"
    time_secs: int
    base_fee_wei: int
    next_base_fee_wei: int
    closed: bool
    """Whether the contract refuses after this block."""
    nonces: dict[Address, int]
    balances: dict[Address, int]
    done: tuple[Done, ...] = ()
    visits: dict[Address, tuple[int, int]] = field(default_factory=dict)
    """Of the contract, by visitor: since it left, and ever."""
    json: dict[str, object] = field(default_factory=dict)
    """The header as nodes show it, made once."""

    def nonce(self, address: Address) -> int:
        return self.nonces.get(address, 0)

    def balance(self, address: Address) -> int:
        return self.balances.get(address, 0)


class Pool:
    """Transactions that wait, by sender and nonce. The rules of replacement are geth's."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[Address, int], Tx] = {}

    def offer(self, tx: Tx) -> str:
        """Empty when it is in; else why not, in a node's words."""
        if tx.body.fees.priority_fee_wei > tx.body.fees.max_fee_wei:
            return "max priority fee per gas higher than max fee per gas"
        key = (tx.sender, tx.nonce)
        old = self.waiting.get(key)
        if old is not None:
            if old.hash == tx.hash:
                return "already known"
            fees, wanted = tx.body.fees, old.body.fees
            if (
                fees.max_fee_wei * 100 < wanted.max_fee_wei * 110
                or fees.priority_fee_wei * 100 < wanted.priority_fee_wei * 110
            ):
                return "replacement transaction underpriced"
        self.waiting[key] = tx
        return ""

    def has(self, tx: Hash) -> Tx | None:
        return next((it for it in self.waiting.values() if it.hash == tx), None)

    def forget_used(self, block: Block) -> None:
        for key in [key for key in self.waiting if key[1] < block.nonce(key[0])]:
            del self.waiting[key]


class SimulatedChain:
    """The canonical chain, and the pool that blocks are made from."""

    def __init__(self, universe: Universe, funded: dict[Address, int]) -> None:
        self._universe = universe
        self._random = universe.random("chain")
        self.pool = Pool()
        self.blocks: list[Block] = []
        self.containing: dict[Hash, list[Block]] = {}
        """Every block, canonical or not, that holds a transaction."""
        self.by_hash: dict[Hash, Block] = {}
        self.highest = 0
        """The highest block there ever was."""
        self.stalled = False
        self.transfer_gas = TRANSFER_GAS
        """What a plain transfer takes; a node refuses any transaction with less."""
        self.inclusion = 0.9
        """The chance that a transaction that could be in the next block is in it."""
        self.fee_drift = 0.0
        self.on_block: list[Callable[[Block], None]] = []
        self.on_gone: list[Callable[[Block], None]] = []
        self.on_credit: list[Callable[[Address], None]] = []
        self._closed = False
        self._decoded: dict[bytes, Tx] = {}
        self._salt = 0
        genesis = Block(
            0,
            self._hash_of(None, 0),
            None,
            self._time(),
            FIRST_BASE_FEE_WEI,
            FIRST_BASE_FEE_WEI,
            False,
            {},
            dict(funded),
        )
        self._add(genesis)
        universe.after(BLOCK_SECS, self._tick)

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def decode(self, raw: bytes) -> Tx:
        """The transaction in these bytes. Raises ValueError."""
        found = self._decoded.get(raw)
        if found is None:
            body, sender = transactions.decode(raw)
            found = self._decoded[raw] = Tx(Hash(keccak(raw)), raw, sender, body)
        return found

    def canonical(self, block: Block) -> bool:
        return block.number < len(self.blocks) and self.blocks[block.number] is block

    def ancestor(self, head: Block, number: int) -> Block | None:
        """The block of this number in the chain that ends at `head`."""
        if number > head.number or number < 0:
            return None
        block = head
        while block.number > number:
            if self.canonical(block):
                return self.blocks[number]
            assert block.parent is not None
            block = block.parent
        return block

    def block_of(self, tx: Hash, head: Block | None = None) -> Block | None:
        """The block that holds a transaction in the chain that ends at `head`."""
        head = head or self.head
        for block in self.containing.get(tx, ()):
            if self.ancestor(head, block.number) is block:
                return block
        return None

    def done_in(self, block: Block, tx: Hash) -> Done:
        return next(it for it in block.done if it.tx.hash == tx)

    def used_by(self, sender: Address, nonce: int) -> Tx | None:
        """The transaction that used a nonce, in the canonical chain."""
        for block in reversed(self.blocks):
            for it in block.done:
                if it.tx.sender == sender and it.tx.nonce == nonce:
                    return it.tx
        return None

    def canonical_transactions(self) -> Iterator[tuple[Block, Done]]:
        for block in self.blocks:
            for it in block.done:
                yield block, it

    def credit(self, address: Address, wei: int) -> None:
        """Funds from outside, in effect with the newest block."""
        self.head.balances[address] = self.head.balance(address) + wei
        for tell in self.on_credit:
            tell(address)

    def jump_fees(self, factor: float) -> None:
        self.head.next_base_fee_wei = _bounded(int(self.head.next_base_fee_wei * factor))

    def reorganise(self, depth: int) -> None:
        """Take the newest blocks back, and put one more on another branch, at once or as blocks come: then the chain is shorter
        for a while. What was in them may come back, or not."""
        depth = min(depth, len(self.blocks) - 1)
        if depth < 1:
            return
        orphans = self.blocks[-depth:]
        del self.blocks[-depth:]
        for block in reversed(orphans):
            for gone in self.on_gone:
                gone(block)
            for it in block.done:
                if self._random.random() < 0.75:
                    self.pool.offer(it.tx)
        self._universe.story(f"chain: {depth} blocks reorganised away after {self.head.number}")
        if self.head.number % SHORTER_AFTER:
            for _ in range(depth + 1):
                self.make_block()

    def make_block(self) -> Block:
        """The next block, out of the pool."""
        parent = self.head
        base_fee = parent.next_base_fee_wei
        nonces, balances, visits = dict(parent.nonces), dict(parent.balances), dict(parent.visits)
        done = tuple(self._fill(base_fee, nonces, balances, visits))
        if self._random.random() < 0.05:
            self._closed = not self._closed
        moved = 1 + self._random.uniform(-0.125, 0.125) + self.fee_drift
        block = Block(
            parent.number + 1,
            self._hash_of(parent, parent.number + 1),
            parent,
            max(self._time(), parent.time_secs + 1),
            base_fee,
            _bounded(int(base_fee * moved)),
            self._closed,
            nonces,
            balances,
            done,
            visits,
        )
        self._add(block)
        return block

    def _fill(
        self,
        base_fee: int,
        nonces: dict[Address, int],
        balances: dict[Address, int],
        visits: dict[Address, tuple[int, int]],
    ) -> Iterator[Done]:
        for key in sorted(self.pool.waiting):
            tx = self.pool.waiting[key]
            sender, body = tx.sender, tx.body
            if tx.nonce != nonces.get(sender, 0):
                if tx.nonce < nonces.get(sender, 0):
                    del self.pool.waiting[key]
                continue
            if body.fees.max_fee_wei < base_fee or balances.get(sender, 0) < tx.worst_cost_wei:
                continue
            if self._random.random() > self.inclusion:
                continue
            del self.pool.waiting[key]
            done = self._execute(tx, base_fee, nonces, balances)
            if done.success and body.call.to == CONTRACT:
                _visited(tx, balances, visits)
            yield done

    def _execute(self, tx: Tx, base_fee: int, nonces: dict[Address, int], balances: dict[Address, int]) -> Done:
        call, fees = tx.body.call, tx.body.fees
        price = min(fees.max_fee_wei, base_fee + fees.priority_fee_wei)
        calls = call.to == CONTRACT
        gas = max(CALL_GAS, self.transfer_gas) if calls else self.transfer_gas
        success = tx.body.gas >= gas and not (calls and self._closed)
        nonces[tx.sender] = tx.nonce + 1
        balances[tx.sender] = balances.get(tx.sender, 0) - gas * price
        if success:
            balances[tx.sender] -= call.value_wei
            balances[call.to] = balances.get(call.to, 0) + call.value_wei
        return Done(tx, success, gas, price)

    def _tick(self) -> None:
        if not self.stalled:
            self.make_block()
        self._universe.after(BLOCK_SECS, self._tick)

    def _add(self, block: Block) -> None:
        self.blocks.append(block)
        self.highest = max(self.highest, block.number)
        self.by_hash[block.hash] = block
        for it in block.done:
            self.containing.setdefault(it.tx.hash, []).append(block)
        for tell in self.on_block:
            tell(block)

    def _time(self) -> int:
        return self._universe.true_us() // 1_000_000

    def _hash_of(self, parent: Block | None, number: int) -> Hash:
        self._salt += 1
        before = parent.hash if parent is not None else b""
        return Hash(sha256(b"%d/%d/%d/" % (self._universe.seed, number, self._salt) + before).digest())


def _visited(tx: Tx, balances: dict[Address, int], visits: dict[Address, tuple[int, int]]) -> None:
    inside, ever = visits.get(tx.sender, (0, 0))
    if tx.body.call.data.startswith(LEAVES):
        balances[tx.sender] += inside * VISIT_PAYS_WEI
        visits[tx.sender] = (0, ever)
    else:
        visits[tx.sender] = (inside + 1, ever + 1)


def _bounded(fee_wei: int) -> int:
    return max(LEAST_BASE_FEE_WEI, min(fee_wei, MOST_BASE_FEE_WEI))
