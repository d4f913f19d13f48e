"""How fast can anything send? A sender that only sends: transactions signed beforehand, in batches, nothing recorded.

Batches of 100 over aiohttp, four in flight, each of the four with wallets of its own so that no nonce overtakes another.
"""

import asyncio
import secrets
from collections.abc import Sequence
from time import perf_counter

import aiohttp
import coincurve
import msgspec

from ghostfleet.chain import transactions
from ghostfleet.devnet.client import DevnetClient
from ghostfleet.domain.values import Address, Call, Fees, Unsigned
from ghostfleet.keys.addresses import address_of

BATCH = 100
STREAMS = 4
WALLETS = 100
GWEI = 10**9
BALANCE_WEI = 100 * 10**18
TRANSFER_GAS = 21_000
MINED_SECS = 120.0
POLL_SECS = 0.05


class Sent(msgspec.Struct, frozen=True):
    """Transactions a second: taken by the node, and in blocks."""

    accepted: float
    mined: float


def new_keys(count: int) -> list[coincurve.PrivateKey]:
    """Of wallets that nothing else uses."""
    return [coincurve.PrivateKey(secrets.token_bytes(32)) for _ in range(count)]


async def give(chain: DevnetClient, keys: Sequence[coincurve.PrivateKey]) -> None:
    """Make these wallets rich, as only a development chain can."""
    await chain.batch([("anvil_setBalance", [str(address_of(key)), hex(BALANCE_WEI)]) for key in keys])


async def measure_presigned(chain: DevnetClient, sink: Address, count: int) -> Sent:
    """Send about `count` transactions and wait until they are mined."""
    keys = new_keys(WALLETS)
    await give(chain, keys)
    chain_id = int(await chain.call("eth_chainId"), 16)
    each = max(1, count // WALLETS)
    streams = [_bodies(keys[number::STREAMS], each, chain_id, sink) for number in range(STREAMS)]
    before = await _received(chain, sink)
    async with aiohttp.ClientSession() as session:
        started = perf_counter()
        await asyncio.gather(*(_send(session, chain.url, bodies) for bodies in streams))
        accepted = perf_counter() - started
    async with asyncio.timeout(MINED_SECS):
        while await _received(chain, sink) < before + each * WALLETS:  # noqa: ASYNC110 - a chain has no events for us
            await asyncio.sleep(POLL_SECS)
    return Sent(each * WALLETS / accepted, each * WALLETS / (perf_counter() - started))


async def _received(chain: DevnetClient, sink: Address) -> int:
    return int(await chain.call("eth_getBalance", str(sink), "latest"), 16)


def _bodies(keys: Sequence[coincurve.PrivateKey], each: int, chain_id: int, sink: Address) -> list[bytes]:
    """The request bodies of one stream: nonce by nonce, every wallet in turn."""
    calls = [
        b'{"jsonrpc":"2.0","id":%d,"method":"eth_sendRawTransaction","params":["%b"]}'
        % (nonce * len(keys) + number, str(_signed(key, nonce, chain_id, sink)).encode())
        for nonce in range(each)
        for number, key in enumerate(keys)
    ]
    return [b"[" + b",".join(calls[start : start + BATCH]) + b"]" for start in range(0, len(calls), BATCH)]


def _signed(key: coincurve.PrivateKey, nonce: int, chain_id: int, sink: Address) -> object:
    call = Call(to=sink, value_wei=1)
    fees = Fees(20 * GWEI, GWEI)
    return transactions.sign(Unsigned(chain_id=chain_id, nonce=nonce, call=call, gas=TRANSFER_GAS, fees=fees), key).raw


async def _send(session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes]) -> None:
    headers = {"content-type": "application/json"}
    for body in bodies:
        async with session.post(url, data=body, headers=headers) as answer:
            content = await answer.read()
        assert b'"error"' not in content, content[:300]
