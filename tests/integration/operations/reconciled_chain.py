"""A small real chain with two wallets' transactions of every kind on it, and the log's rows that tell it as it is."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from eth_account import Account

from ghostfleet.chain.keccak import keccak
from ghostfleet.chain.reads import Chain
from ghostfleet.devnet.accounts import DEV_CHAIN_ID, DevAccount, dev_accounts
from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.embedded import serving
from ghostfleet.domain.events import Purpose
from ghostfleet.domain.values import Address, BlockRef, Hash
from ghostfleet.operations.reconcile import Mismatch, reconcile
from ghostfleet.store.queries import TransactionRow, TransactionStatus
from tests.acceptance.agreement import reading

GWEI = 10**9
REVERTS = "0x6005600c60003960056000f360006000fd"
"""Creates a contract that reverts without a word."""
OWNERS = dict(zip(("w1", "w2", "somebody"), dev_accounts(), strict=False))
WALLETS = {name: OWNERS[name].address for name in ("w1", "w2")}


class Told(msgspec.Struct, kw_only=True):
    """What the log says; a test forges it."""

    chain: Chain
    rows: dict[str, TransactionRow] = {}
    """By "<action> <attempt>"."""
    outside: frozenset[Hash] = frozenset()
    names: dict[str, str] = {}
    """By hash: of what was really signed, and of the blocks it is in."""

    def forge(self, row: str, **fields: Any) -> None:
        self.rows[row] = msgspec.structs.replace(self.rows[row], **fields)

    async def differences(self) -> list[str]:
        """As reconcile tells them, with names in the place of hashes."""
        found = await reconcile(list(self.rows.values()), WALLETS, self.outside, self.chain)
        return [self._named(each) for each in found]

    def _named(self, mismatch: Mismatch) -> str:
        what = mismatch.what
        for tx, name in self.names.items():
            what = what.replace(tx, f"<{name}>")
        return f"{mismatch.wallet}: {what}"


class Stage:
    """Sends transactions, and writes down what the log of their sender would say."""

    def __init__(self, client: DevnetClient, told: Told) -> None:
        self._client = client
        self.told = told

    async def lands(
        self,
        action: str,
        nonce: int,
        status: TransactionStatus = "final",
        *,
        purpose: Purpose = "action",
        **fields: Any,
    ) -> None:
        raw = _raw(OWNERS[action.partition("/")[0]], nonce, **fields)
        block = await self._mined(raw)
        self.told.names[str(block.hash)] = f"block {block.number}"
        self.signed(
            action, nonce, raw, status=status, purpose=purpose, block_number=block.number, block_hash=block.hash
        )

    async def strange(self, owner: str, nonce: int, **fields: Any) -> dict[str, Any]:
        """A transaction that is not in the log. Its receipt."""
        raw = _raw(OWNERS[owner], nonce, **fields)
        await self._mined(raw)
        receipt: dict[str, Any] = await self._client.call("eth_getTransactionReceipt", str(_hash_of(raw)))
        return receipt

    def signed(self, action: str, nonce: int, raw: bytes = b"", **fields: Any) -> None:
        """A row; without bytes, one that no node has ever seen."""
        attempt = 1 + sum(row.action_id == action for row in self.told.rows.values())
        self.told.rows[f"{action} {attempt}"] = TransactionRow(
            hash=_hash_of(raw or f"{action} {attempt}".encode()),
            wallet=action.partition("/")[0],
            address=None,
            action_id=action,
            nonce=nonce,
            attempt=attempt,
            signed_position=1,
            signed_us=0,
            **{"purpose": "action", **fields},
        )

    async def _mined(self, raw: bytes) -> BlockRef:
        await self._client.call("eth_sendRawTransaction", "0x" + raw.hex())
        receipt = await self._client.call("eth_getTransactionReceipt", str(_hash_of(raw)))
        return BlockRef(int(receipt["blockNumber"], 16), Hash.from_hex(receipt["blockHash"]))


@contextlib.asynccontextmanager
async def told_as_it_is() -> AsyncIterator[Told]:
    """w1: a success, a revert, an attempt outbid by a cancel, somebody else's use of its key, a success. w2: a success, and an
    open slot that no node has."""
    async with serving(block_time_secs=0) as url, connected(url) as client, reading(url) as chain:
        stage = Stage(client, Told(chain=chain))
        reverting = (await stage.strange("somebody", 0, to=b"", data=REVERTS, gas=100_000))["contractAddress"]
        await stage.lands("w1/1", 0)
        await stage.lands("w1/2", 1, "reverted", to=bytes(Address.from_hex(reverting)), gas=60_000)
        stage.signed("w1/3", 2)
        await stage.lands("w1/3", 2, "cancelled", purpose="cancel", value=0)
        strange = await stage.strange("w1", 3)
        outside = Hash.from_hex(strange["transactionHash"])
        stage.told.outside = frozenset({outside})
        await stage.lands("w1/4", 4, "mined")
        await stage.lands("w2/1", 0)
        stage.signed("w2/2", 1)
        stage.told.names |= {str(row.hash): name for name, row in stage.told.rows.items()} | {str(outside): "outside"}
        yield stage.told


def _raw(owner: DevAccount, nonce: int, **fields: Any) -> bytes:
    transaction = {
        "type": 2,
        "chainId": DEV_CHAIN_ID,
        "nonce": nonce,
        "to": bytes(OWNERS["somebody"].address),
        "value": 1 if "to" not in fields else 0,
        "gas": 21_000,
        "maxFeePerGas": 3 * GWEI,
        "maxPriorityFeePerGas": GWEI,
    } | fields
    return bytes(Account.sign_transaction(transaction, bytes(owner.private_key)).raw_transaction)


def _hash_of(raw: bytes) -> Hash:
    return Hash(keccak(raw))
