"""The embedded node answers like a real one: the pool in geth's words, blocks by the clock, and anvil agrees on a script."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from eth_account import Account

from ghostfleet.devnet.accounts import dev_accounts
from ghostfleet.devnet.embedded import serving
from ghostfleet.devnet.process import Devnet

GWEI = 10**9
ALICE, BOB = dev_accounts()[0], dev_accounts()[1]
BROKE = bytes.fromhex("11" * 32)
REVERTS = "0x6005600c60003960056000f360006000fd"
"""Creates a contract that reverts without a word."""
CLOCK = "0x600d600c600039600d6000f3" + "42600052436020526040" + "6000f3"
"""Creates a contract that answers with its block's timestamp and number."""


class Node:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def post(self, body: Any) -> Any:
        async with self.session.post(self.url, json=body) as response:
            return await response.json(content_type=None)

    async def ask(self, method: str, *params: Any) -> Any:
        """The result, or the error object."""
        said = await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        return said["error"] if "error" in said else said["result"]

    async def mined(self, tx_hash: str) -> dict[str, Any]:
        while (receipt := await self.ask("eth_getTransactionReceipt", tx_hash)) is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        return dict(receipt)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """Blocks only when the test asks for one."""
    async with serving(block_time_secs=3_600) as url, aiohttp.ClientSession() as session:
        yield Node(url, session)


def signed(key: bytes = ALICE.private_key, **fields: Any) -> str:
    transaction = {
        "type": 2,
        "chainId": 31_337,
        "nonce": 0,
        "to": bytes(BOB.address),
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": 3 * GWEI,
        "maxPriorityFeePerGas": GWEI,
    } | fields
    return "0x" + Account.sign_transaction(transaction, bytes(key)).raw_transaction.hex()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nonce": 1}, "nonce too high: next nonce 0, tx nonce 1"),
        ({"gas": 20_999}, "intrinsic gas too low: have 20999, want 21000"),
        ({"gas": 21_000, "data": b"\1" * 100}, "intrinsic gas too low: have 21000, want 25000"),
        ({"gas": 30_000_001}, "exceeds block gas limit: tx gas 30000001, limit 30000000"),
        ({"chainId": 1}, "invalid chain id for signer: have 1 want 31337"),
        ({"value": 10**23}, "insufficient funds for gas * price + value: balance 10000"),
        ({"key": BROKE}, "insufficient funds for gas * price + value: balance 0, tx cost 63000000000001"),
        ({"maxPriorityFeePerGas": 4 * GWEI}, "max priority fee per gas higher than max fee per gas"),
    ],
)
async def test_a_transaction_that_cannot_be_is_refused_in_geths_words(
    node: Node, fields: dict[str, Any], message: str
) -> None:
    error = await node.ask("eth_sendRawTransaction", signed(**fields))
    assert error["code"] == -32000
    assert error["message"].startswith(message)


async def test_the_pool_knows_replaces_and_keeps_in_order(node: Node) -> None:
    sent = [await node.ask("eth_sendRawTransaction", signed(nonce=nonce)) for nonce in range(3)]
    assert (await node.ask("eth_sendRawTransaction", signed(nonce=1)))["message"] == "already known"
    bumped = {"nonce": 1, "maxFeePerGas": 3 * GWEI * 109 // 100, "maxPriorityFeePerGas": GWEI * 11 // 10}
    refused = await node.ask("eth_sendRawTransaction", signed(**bumped))
    assert refused["message"] == "replacement transaction underpriced"
    better = await node.ask("eth_sendRawTransaction", signed(**bumped | {"maxFeePerGas": 3 * GWEI * 11 // 10}))
    assert await node.ask("eth_getTransactionByHash", sent[1]) is None
    pooled = await node.ask("eth_getTransactionByHash", better)
    assert (pooled["blockHash"], pooled["nonce"]) == (None, "0x1")
    assert await node.ask("eth_getTransactionReceipt", better) is None
    assert [await node.ask("eth_getTransactionCount", str(ALICE.address), tag) for tag in ("latest", "pending")] == [
        "0x0",
        "0x3",
    ]
    await node.ask("evm_mine")
    block = await node.ask("eth_getBlockByNumber", "latest", False)
    assert block["transactions"] == [sent[0], better, sent[2]]
    receipts = await node.ask("eth_getBlockReceipts", "latest")
    assert [one["transactionHash"] for one in receipts] == block["transactions"]
    assert await node.ask("eth_getTransactionReceipt", better) == receipts[1]
    error = await node.ask("eth_sendRawTransaction", signed(nonce=1, value=7))
    assert error["message"] == "nonce too low: next nonce 3, tx nonce 1"
    assert (await node.ask("eth_sendRawTransaction", signed(nonce=0)))["message"] == "already known"


async def test_what_waits_counts_against_the_funds(node: Node) -> None:
    half = 6_000 * 10**18
    await node.ask("eth_sendRawTransaction", signed(value=half))
    error = await node.ask("eth_sendRawTransaction", signed(value=half, nonce=1))
    assert "queued cost" in error["message"]
    replaced = await node.ask(
        "eth_sendRawTransaction", signed(value=half + 1, maxFeePerGas=4 * GWEI, maxPriorityFeePerGas=2 * GWEI)
    )
    assert isinstance(replaced, str), "it takes the other's place and the other's funds"


async def test_a_fee_below_the_base_fee_waits_and_nothing_behind_it_overtakes(node: Node) -> None:
    low = await node.ask("eth_sendRawTransaction", signed(maxFeePerGas=GWEI // 2, maxPriorityFeePerGas=1))
    await node.ask("eth_sendRawTransaction", signed(nonce=1))
    await node.ask("evm_mine")
    assert (await node.ask("eth_getBlockByNumber", "latest", False))["transactions"] == []
    for _ in range(10):  # empty blocks bring the base fee down
        await node.ask("evm_mine")
    assert (await node.mined(low))["status"] == "0x1"
    assert await node.ask("eth_getTransactionCount", str(ALICE.address), "latest") == "0x2"


async def test_reverts_carry_their_data_and_a_reverted_transaction_its_status(node: Node) -> None:
    tx_hash = await node.ask("eth_sendTransaction", {"from": str(ALICE.address), "data": REVERTS})
    await node.ask("evm_mine")
    contract = (await node.mined(tx_hash))["contractAddress"]
    assert await node.ask("eth_getCode", contract, "latest") == "0x60006000fd"
    for method in ("eth_call", "eth_estimateGas"):
        error = await node.ask(method, {"from": str(ALICE.address), "to": contract}, "latest")
        assert error == {"code": 3, "message": "execution reverted", "data": "0x"}
    raw = signed(nonce=1, to=bytes.fromhex(contract[2:]), value=0, gas=100_000)
    sent = await node.ask("eth_sendRawTransaction", raw)
    await node.ask("evm_mine")
    receipt = await node.mined(sent)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert 21_000 < int(receipt["gasUsed"], 16) < 21_100


async def test_fee_history_has_one_base_fee_more_than_blocks(node: Node) -> None:
    await node.ask("eth_sendRawTransaction", signed())
    for _ in range(4):
        await node.ask("evm_mine")
    history = await node.ask("eth_feeHistory", "0x3", "latest", [25, 75])
    assert history["oldestBlock"] == "0x2"
    assert (len(history["baseFeePerGas"]), len(history["gasUsedRatio"]), len(history["reward"])) == (4, 3, 3)
    pending = await node.ask("eth_getBlockByNumber", "pending", False)
    assert pending["baseFeePerGas"] == history["baseFeePerGas"][-1]
    first = await node.ask("eth_feeHistory", "0x400", "0x1", [50])
    assert (first["oldestBlock"], first["reward"]) == ("0x0", [["0x0"], [hex(GWEI)]])


async def test_blocks_by_every_name_and_by_hash(node: Node) -> None:
    await node.ask("evm_mine")
    latest = await node.ask("eth_getBlockByNumber", "latest", True)
    for tag in ("safe", "finalized", "0x1"):
        assert await node.ask("eth_getBlockByNumber", tag, True) == latest
    assert await node.ask("eth_getBlockByHash", latest["hash"], True) == latest
    assert (await node.ask("eth_getBlockByNumber", "earliest", False))["hash"] == latest["parentHash"]
    assert await node.ask("eth_getBlockByNumber", "0x2", False) is None
    assert await node.ask("eth_getBlockByHash", "0x" + "00" * 32, False) is None
    assert abs(int(latest["timestamp"], 16) - time.time()) < 5


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["newest", False]),
        ("eth_getBlockByNumber", ["0x01", False]),
        ("eth_getBlockByNumber", [1, False]),
        ("eth_getBlockByNumber", ["latest", "yes"]),
        ("eth_getBlockByHash", ["0x12", False]),
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x12", "latest"]),
        ("eth_getTransactionReceipt", ["0xzz"]),
        ("eth_call", ["x"]),
        ("eth_call", [{"to": "0x12"}]),
        ("eth_call", [{"data": "abc"}]),
        ("eth_sendRawTransaction", ["12"]),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]]),
        ("eth_getLogs", [{"topics": [[], [], [], [], []]}]),
        ("eth_getLogs", [{"fromBlock": "0x0", "blockHash": "0x" + "00" * 32}]),
    ],
)
async def test_malformed_parameters_are_told_apart_from_everything_else(
    node: Node, method: str, params: list[Any]
) -> None:
    assert (await node.ask(method, *params))["code"] == -32602


async def test_bytes_that_are_no_transaction_are_refused(node: Node) -> None:
    for raw in ("0x", "0x00", "0x02", "0x1234", "0x02c0", "0xff" * 1, "0xc0", "0x03" + "00" * 40):
        error = await node.ask("eth_sendRawTransaction", raw)
        assert error["code"] == -32000, raw
    good = bytes.fromhex(signed()[2:])
    for cut in range(1, len(good) - 1, 7):
        assert (await node.ask("eth_sendRawTransaction", "0x" + good[:cut].hex()))["code"] == -32000


@pytest.mark.parametrize("embedded", [0.2], indirect=True)
async def test_blocks_come_by_the_clock_and_a_waiting_sender_gets_its_receipt(embedded: Devnet) -> None:
    async with aiohttp.ClientSession() as session:
        node = Node(embedded.url, session)
        receipt = await node.ask("eth_sendRawTransactionSync", signed())
        assert (receipt["status"], receipt["from"]) == ("0x1", str(ALICE.address))
        first = int(await node.ask("eth_blockNumber"), 16)
        await asyncio.sleep(1.0)
        assert 3 <= int(await node.ask("eth_blockNumber"), 16) - first <= 6


async def test_a_sync_send_that_is_not_mined_in_time_names_its_hash(node: Node) -> None:
    raw = signed()
    error = await node.ask("eth_sendRawTransactionSync", raw, 50)
    assert error["code"] == 4
    assert (await node.ask("eth_getTransactionByHash", error["data"]))["nonce"] == "0x0"


@pytest.fixture
async def both(anvil: Devnet, embedded: Devnet) -> AsyncIterator[list[Node]]:
    async with aiohttp.ClientSession() as session:
        yield [Node(anvil.url, session), Node(embedded.url, session)]


async def test_both_engines_say_the_same_to_the_same_script(both: list[Node]) -> None:
    told: list[list[Any]] = []
    for node in both:
        said: list[Any] = [await node.ask(method) for method in ("eth_chainId", "net_version", "eth_accounts")]
        first = await node.ask("eth_sendRawTransaction", signed())
        receipt = await node.mined(first)
        said += [first, *(receipt[key] for key in ("status", "gasUsed", "from", "to", "type", "contractAddress"))]
        whole = await node.ask("eth_getTransactionByHash", first)
        said += [whole[key] for key in ("nonce", "value", "input", "maxFeePerGas", "chainId", "r", "s", "yParity")]
        made = await node.ask(
            "eth_sendRawTransaction", signed(nonce=1, to=b"", data=bytes.fromhex(CLOCK[2:]), gas=200_000, value=0)
        )
        clock = (await node.mined(made))["contractAddress"]
        said += [clock, await node.ask("eth_getCode", clock, "latest")]
        await node.ask("evm_increaseTime", 1_000)
        head = await node.ask("eth_getBlockByNumber", "latest", False)
        for tag in ("latest", "pending"):
            output = await node.ask("eth_call", {"to": clock}, tag)
            said.append(round(int(output[2:66], 16) - int(head["timestamp"], 16), -1))
            said.append(int(output[66:], 16) - int(head["number"], 16))
        said.append(
            await node.ask("eth_estimateGas", {"from": str(ALICE.address), "to": str(BOB.address), "value": "0x1"})
        )
        for raw in (signed(nonce=0, value=5), signed(BROKE)):
            said.append((await node.ask("eth_sendRawTransaction", raw))["message"].lower().split(":")[0])
        said.append(await node.ask("eth_getBlockByNumber", "0xffff", False))
        said.append((await node.ask("eth_nothing"))["code"])
        said.append(sorted(await node.ask("eth_getBlockByNumber", "latest", False)))
        told.append(said)
    assert told[0] == told[1]


async def test_both_engines_estimate_calls_alike(both: list[Node]) -> None:
    from ghostfleet.devnet.contracts import artifact
    from ghostfleet.devnet.deploy import deploy

    estimates = []
    for node in both:
        at = await deploy(node.url)
        approve = str(artifact("DATA").call("approve", at.ghost_core, 10**30))
        pay = str(artifact("DATA").call("transfer", BOB.address, 10**18))
        estimates.append(
            [
                int(
                    await node.ask(
                        "eth_estimateGas", {"from": str(ALICE.address), "to": str(at.data_token), "data": data}
                    ),
                    16,
                )
                for data in (approve, pay)
            ]
        )
    for one, other in zip(*estimates, strict=True):
        assert abs(one - other) < one // 50
