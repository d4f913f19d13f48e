"""One wallet and the Follower of its slots, before a chain of blocks that a test makes and takes back. On virtual time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ghostfleet.chain import transactions
from ghostfleet.chain.fees import FeeRules
from ghostfleet.chain.reads import Broadcast
from ghostfleet.domain import events as ev
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.values import (
    Address,
    AnswerClass,
    BlockRef,
    Call,
    Fees,
    Hash,
    Head,
    JsonObject,
    LogEntry,
    Octets,
    Receipt,
    Signed,
    Unsigned,
)
from ghostfleet.domain.wallet import Wallet
from ghostfleet.engine.follow import Follower
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.heads import Heads
from ghostfleet.engine.in_force import ChainRules, InForce, Pace, Tuning
from ghostfleet.engine.world import World
from ghostfleet.keys.keyring import signing_key
from ghostfleet.keys.secret import Secret
from ghostfleet.plugins.api import Plugin
from tests.unit.engine.live_stage import NOW_US, Fixture, live_state

KEY = signing_key(Secret(b"\x11" * 32))
SAFE = Address(b"\x77" * 20)
STREAM = ev.wallet_stream("w")
FEES = Fees(2, 1)
GAS = 21_000
BLOCK_SECS = 1.0
FINALITY_BLOCKS = 32
COST_WEI = GAS * FEES.max_fee_wei
"""Of a transaction that moves nothing."""


class Node:
    """Blocks, a balance, and a pool that the next block takes in whole, where the wallet can pay for it."""

    def __init__(self) -> None:
        self.blocks: list[Head] = []
        self.balance_wei = 10**18
        self.sent: list[Unsigned] = []
        self.answer = AnswerClass.ACCEPTED
        self.succeeds = True
        self.logs: tuple[LogEntry, ...] = ()
        """In every receipt."""
        self._pool: dict[Hash, Unsigned] = {}
        self._receipts: dict[Hash, Receipt] = {}
        self.grow(10)

    @property
    def mined(self) -> Sequence[Hash]:
        """What is in the chain now."""
        known = {block.hash for block in self.blocks}
        return [tx for tx, receipt in self._receipts.items() if receipt.block.hash in known]

    def grow(self, blocks: int = 1, branch: str = "a") -> None:
        """More blocks at the end."""
        for _ in range(blocks):
            number = len(self.blocks)
            name = Hash(f"{branch}{number}".encode().ljust(32, b"\0"))
            parent = self.blocks[-1].hash if self.blocks else Hash(bytes(32))
            head = Head(number=number, hash=name, parent=parent, time_secs=number, base_fee_wei=1, gas_limit=30_000_000)
            self.blocks.append(head)
            self._mine(BlockRef(number, name))

    def take_back(self, blocks: int) -> None:
        """The newest blocks are gone, with what was in them."""
        del self.blocks[-blocks:]

    def forget_pool(self) -> None:
        self._pool.clear()

    def include(self, signed: ev.TransactionSigned) -> BlockRef:
        """This one is in the newest block."""
        head = self.blocks[-1]
        block = BlockRef(head.number, head.hash)
        self._receipts[signed.hash] = self._receipt(signed.hash, block)
        return block

    def _mine(self, block: BlockRef) -> None:
        for tx, unsigned in list(self._pool.items()):
            if unsigned.nonce == self._next_nonce() and unsigned.worst_cost_wei <= self.balance_wei:
                self._receipts[tx] = self._receipt(tx, block)
                del self._pool[tx]

    def _receipt(self, tx: Hash, block: BlockRef) -> Receipt:
        return Receipt(tx=tx, block=block, success=self.succeeds, gas_used=GAS, gas_price_wei=1, logs=self.logs)

    def _next_nonce(self) -> int:
        return len(self.mined)

    async def head(self) -> Head:
        return self.blocks[-1]

    async def head_at(self, number: int) -> Head | None:
        return self.blocks[number] if number < len(self.blocks) else None

    async def nonce(self, address: Address, tag: str | int = "latest") -> int:
        return self._next_nonce()

    async def balance(self, address: Address, block: str | int = "latest") -> int:
        return self.balance_wei

    async def receipt(self, tx: Hash, endpoint: str | None = None) -> Receipt | None:
        return self._receipts[tx] if tx in self.mined else None

    async def known(self, tx: Hash, endpoint: str) -> bool | None:
        return tx in self._pool or tx in self.mined

    async def estimate_gas(self, sender: Address, call: Call) -> int:
        return GAS

    async def call(
        self, to: Address, data: bytes, sender: Address | None = None, block: str | int = "latest"
    ) -> Octets:
        """A contract that answers nothing."""
        return Octets(b"")

    async def broadcast(self, raw: Octets, tx: Hash, **_how: Any) -> Broadcast:
        unsigned, _ = transactions.decode(raw)
        self.sent.append(unsigned)
        if self.answer is AnswerClass.ACCEPTED:
            if unsigned.worst_cost_wei > self.balance_wei:
                return Broadcast(endpoint="node", cls=AnswerClass.INSUFFICIENT_FUNDS, message="insufficient funds")
            self._pool[tx] = unsigned
        return Broadcast(endpoint="node", cls=self.answer, message="")


EXTRACT: JsonObject = {"to": str(SAFE), "wait": True, "retire": False, "destinations": [str(SAFE)]}


def operation_started(kind: str, params: JsonObject, *, number: int = 1, wallet: str = "w") -> ev.OperationStarted:
    """An operator asked for this."""
    return ev.OperationStarted(
        operation_id=f"{kind}-{number}", kind=kind, wallets=(wallet,), params=params, actor="local", reason=""
    )


class Clock:
    """The loop's, from some moment on."""

    def now_us(self) -> int:
        return NOW_US + int(asyncio.get_running_loop().time() * 1e6)


class Signer:
    """Has the wallet's key."""

    async def sign(self, wallet: str, unsigned: Unsigned) -> Signed:
        return transactions.sign(unsigned, KEY)

    def awaits(self, wallet: str) -> bool:
        return False

    def withheld(self, wallet: str) -> str:
        return ""


class FeeSource:
    async def suggest(self, head: Head) -> Fees:
        return FEES


class Stage:
    """Wallet `w`, what happened to it, and the lane's Follower."""

    def __init__(self, fixture: Fixture, node: Node, plugins: dict[str, Plugin[Any]]) -> None:
        self.live, self.node, self._told = fixture.live, node, fixture.told
        tuning = Tuning(
            config_digest="",
            rules=Rules(finality_blocks=FINALITY_BLOCKS),
            chain_rules=ChainRules(chain_id=1),
            pace=Pace(),
            fee_rules=FeeRules(cap_wei=100),
            profiles={},
            plugins=plugins,
            allowed=AllowList(),
        )
        ports: Any = {"chain": node, "fees": FeeSource(), "signer": Signer(), "entropy": None}
        self.heads = Heads(
            ports["chain"], poll_secs=BLOCK_SECS / 4, depth=64, on_reorganisation=lambda it: self.fleet(it)
        )
        self.world = World(
            live=self.live,
            heads=self.heads,
            gate=Gate(),
            clock=Clock(),
            in_force=InForce(tuning),
            duties={},
            **ports,
        )
        self.follower = Follower("w", self.world)

    @property
    def wallet(self) -> Wallet:
        return self.live.state.wallets["w"]

    @property
    def kinds(self) -> list[str]:
        """Of all events so far."""
        return [type(it.event).__name__ for it in self._told]

    @property
    def told(self) -> Sequence[ev.Event]:
        return [it.event for it in self._told]

    async def fleet(self, *events: ev.Event) -> None:
        await self.live.write([ev.NewEvent(ev.FLEET_STREAM, event) for event in events])

    async def happened(self, *events: ev.Event) -> None:
        await self.live.write([ev.NewEvent(STREAM, event) for event in events])

    async def signed(self, *, value_wei: int = 0, operation: str = "", kind: str = "k") -> ev.TransactionSigned:
        """The next action, decided and signed, and not sent yet."""
        number = self.wallet.decisions + 1
        call = Call(to=SAFE, value_wei=value_wei)
        nonce = self.wallet.next_nonce or 0
        bytes_ = transactions.sign(Unsigned(chain_id=1, nonce=nonce, call=call, gas=GAS, fees=FEES), KEY)
        decided = ev.ActionDecided(
            action_id=f"w/{number}",
            plugin="t",
            kind=kind,
            params={},
            seed=1,
            observation={},
            profile="p",
            config_digest="",
            call=call,
            spend_wei=0,
            balance_wei=1,
            next_turn_us=0,
            operation=operation,
            step=f"w/{number}" if operation else "",
        )
        signed = ev.TransactionSigned(
            action_id=decided.action_id,
            nonce=nonce,
            attempt=1,
            purpose="action",
            hash=bytes_.hash,
            raw=bytes_.raw,
            to=SAFE,
            value_wei=value_wei,
            gas=GAS,
            fees=FEES,
        )
        await self.happened(decided, signed)
        return signed

    async def included(self, signed: ev.TransactionSigned) -> None:
        """It is in the newest block, and has succeeded: so says the log."""
        block = self.node.include(signed)
        mined = ev.TransactionMined(
            action_id=signed.action_id,
            nonce=signed.nonce,
            attempt=1,
            hash=signed.hash,
            block=block,
            success=True,
            gas_used=GAS,
            gas_price_wei=1,
        )
        await self.happened(mined, ev.ActionSucceeded(action_id=signed.action_id))

    async def blocks(self, count: int, branch: str = "a") -> None:
        """So many blocks come, one a second, and everybody looks."""
        for _ in range(count):
            self.node.grow(1, branch)
            await asyncio.sleep(BLOCK_SECS)


@asynccontextmanager
async def stage(plugins: dict[str, Plugin[Any]] | None = None, node: Node | None = None) -> AsyncIterator[Stage]:
    """With a wallet that has done nothing yet, and heads that are followed."""
    async with live_state(0) as fixture:
        made = Stage(fixture, node or Node(), plugins or {})
        registered = ev.WalletRegistered(address=KEY.address, profile="p", plugin="t", first_turn_us=0)
        await made.happened(registered)
        looking = asyncio.create_task(made.heads.run())
        await made.heads.first()
        try:
            yield made
        finally:
            looking.cancel()
            await asyncio.wait([looking])


@asynccontextmanager
async def following(on: Stage) -> AsyncIterator[None]:
    """A lane that does nothing but follow."""

    async def lane() -> None:
        while True:
            await on.follower.follow()
            await on.heads.changed()

    task = asyncio.create_task(lane())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
