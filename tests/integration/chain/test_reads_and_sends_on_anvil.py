"""Every read, and every way to send, against a real node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import coincurve
import pytest

from ghostfleet.chain import transactions
from ghostfleet.chain.edge import EndpointsUnavailable, GateClosed, RpcEdge, RpcRefused
from ghostfleet.chain.endpoints import EndpointConfig
from ghostfleet.chain.fees import FeeOracle, FeeRules, bump
from ghostfleet.chain.reads import Chain
from ghostfleet.chain.transport import AiohttpTransport
from ghostfleet.devnet.process import Devnet
from ghostfleet.domain.values import Address, AnswerClass, Call, Fees, Hash, Octets, Receipt, Signed, Unsigned
from ghostfleet.engine.gate import Gate

pytestmark = pytest.mark.anvil

KEY = coincurve.PrivateKey(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
WALLET = Address.from_hex("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266")
CHEAP = Fees(max_fee_wei=2 * 10**9, priority_fee_wei=0)


def transfer(nonce: int, fees: Fees = CHEAP, gas: int = 21_000) -> Signed:
    call = Call(to=Address(b"\5" * 20), value_wei=1)
    return transactions.sign(Unsigned(chain_id=31337, nonce=nonce, call=call, gas=gas, fees=fees), KEY)


@asynccontextmanager
async def chain_of(devnet: Devnet, gate: Gate | None = None) -> AsyncIterator[Chain]:
    config = EndpointConfig(name="anvil", url=devnet.url)
    async with RpcEdge([config], AiohttpTransport(), gate=gate or Gate()) as edge:
        yield Chain(edge)


async def mined(chain: Chain, tx: Hash) -> Receipt:
    """Accepted is not mined, even where every transaction makes its block at once."""
    for _ in range(1000):
        receipt = await chain.receipt(tx)
        if receipt is not None:
            return receipt
        await asyncio.sleep(0.01)
    raise AssertionError(f"{tx} was not mined within 10 s")


@pytest.mark.parametrize("sync", [False, True])
async def test_a_transaction_is_sent_found_and_known(anvil: Devnet, sync: bool):
    async with chain_of(anvil) as chain:
        head = await chain.head()
        assert (await chain.chain_id(), await chain.genesis_hash()) == (31337, head.hash)
        fees = await FeeOracle(chain, lambda: FeeRules(cap_wei=10**12)).suggest(head)
        signed = transfer(await chain.nonce(WALLET), fees)
        assert await chain.known(signed.hash, "anvil") is False
        assert await chain.receipt(signed.hash) is None
        sent = await chain.broadcast(signed.raw, signed.hash, sync=sync)
        assert (sent.cls, sent.endpoint) == (AnswerClass.ACCEPTED, "anvil")
        receipt = await mined(chain, signed.hash)
        assert receipt.success
        assert sent.receipt == (receipt if sync else None)
        block = await chain.head_at(receipt.block.number)
        assert block is not None
        assert block.hash == receipt.block.hash
        assert await chain.transactions_in(receipt.block.number) == ((signed.hash, WALLET, 0),)
        assert await chain.known(signed.hash, "anvil") is True
        assert await chain.nonce(WALLET) == 1
        assert await chain.balance(Address(b"\5" * 20)) == 1
        again = await chain.broadcast(signed.raw, signed.hash, sync=sync)
        assert again.cls in (AnswerClass.NONCE_TOO_LOW, AnswerClass.ALREADY_KNOWN)


@pytest.mark.parametrize("anvil", [30.0], indirect=True)
async def test_what_a_pool_says_is_sorted_and_a_bump_is_enough(anvil: Devnet):
    async with chain_of(anvil) as chain:
        first = transfer(0)
        assert (await chain.broadcast(first.raw, first.hash)).cls is AnswerClass.ACCEPTED
        assert (await chain.broadcast(first.raw, first.hash)).cls is AnswerClass.ALREADY_KNOWN
        slightly = transfer(0, gas=21_001)
        refused = await chain.broadcast(slightly.raw, slightly.hash)
        assert refused.cls is AnswerClass.REPLACEMENT_UNDERPRICED
        fees = bump(CHEAP, CHEAP, None)
        assert fees is not None
        enough = transfer(0, fees)
        assert (await chain.broadcast(enough.raw, enough.hash)).cls is AnswerClass.ACCEPTED
        starved = transfer(1, gas=20_000)
        assert (await chain.broadcast(starved.raw, starved.hash)).cls is AnswerClass.MALFORMED
        assert (await chain.nonce(WALLET, "latest"), await chain.nonce(WALLET, "pending")) == (0, 1)
        assert await chain.known(enough.hash, "anvil") is True


async def test_accounts_and_blocks_that_are_not_there_are_read_as_such(anvil: Devnet):
    async with chain_of(anvil) as chain:
        assert await chain.estimate_gas(WALLET, Call(to=WALLET)) == 21_000
        assert await chain.code(WALLET) == Octets(b"")
        assert await chain.call(WALLET, b"") == Octets(b"")
        assert await chain.head_at(10**6) is None
        assert await chain.transactions_in(10**6) == ()
        with pytest.raises((RpcRefused, EndpointsUnavailable)):
            await chain.balance(Address(b"too short"))


async def test_a_closed_gate_keeps_every_way_out_shut(anvil: Devnet):
    gate = Gate()
    gate.shut()
    async with chain_of(anvil, gate) as chain:
        signed = transfer(0)
        for sync in (False, True):
            with pytest.raises(GateClosed):
                await chain.broadcast(signed.raw, signed.hash, sync=sync)
        assert await chain.nonce(WALLET, "pending") == 0


async def test_hundreds_of_sends_and_reads_at_once_each_get_their_own_answer(anvil: Devnet):
    async with chain_of(anvil) as chain:
        signed = [transfer(nonce) for nonce in range(300)]
        sent = await asyncio.gather(*(chain.broadcast(it.raw, it.hash) for it in signed))
        assert {it.cls for it in sent} == {AnswerClass.ACCEPTED}
        unknown = Hash(b"\x09" * 32)
        found = await asyncio.gather(*(chain.known(it.hash, "anvil") for it in signed), chain.known(unknown, "anvil"))
        assert found == [True] * 300 + [False]
