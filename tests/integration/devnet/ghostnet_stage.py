"""A player's view of the stand-ins on a real engine: send, call, move the clock, read the revert."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from ghostfleet.devnet.contracts import artifact, selector
from ghostfleet.devnet.deploy import Deployment, Scale, deploy

TOKEN = 10**18
QUIET = Scale(
    scan_interval_secs=(100, 90, 80, 70, 60),
    death_rates_bps=(0, 0, 0, 0, 0),
    lock_secs=10,
    round_secs=(50, 20, 20, 10),
)
"""Nobody dies, and nothing is over before a test has looked."""
CONTRACTS = {
    "core": ("GhostCore", "ghost_core"),
    "crash": ("HashCrash", "hash_crash"),
    "arcade": ("ArcadeCore", "arcade_core"),
    "data": ("DATA", "data_token"),
}


class Reverted(Exception):
    """The name of the custom error, or what the node said."""


class Stage:
    """A chain with the stand-ins on it. Accounts are the chain's own; account 0 owns the contracts."""

    def __init__(self, url: str, session: aiohttp.ClientSession, at: Deployment, accounts: Sequence[str]) -> None:
        self.at = at
        self.accounts = accounts
        self._url = url
        self._session = session

    async def rpc(self, method: str, *params: Any) -> Any:
        """The result. Raises Reverted with the custom error's name."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with self._session.post(self._url, json=body) as response:
            answer = await response.json(content_type=None)
        if "error" in answer:
            raise Reverted(error_name(answer["error"]))
        return answer["result"]

    async def call(self, contract: str, function: str, *arguments: Any) -> Any:
        """eth_call at the pending block, so that a moved clock shows at once."""
        name, field = CONTRACTS[contract]
        data = artifact(name).call(function, *arguments)
        output = await self.rpc("eth_call", {"to": str(getattr(self.at, field)), "data": str(data)}, "pending")
        return artifact(name).result(function, bytes.fromhex(output[2:]))

    async def send(self, player: int, contract: str, function: str, *arguments: Any) -> dict[str, Any]:
        """The receipt of a transaction that succeeded. Raises Reverted; what would revert is not sent."""
        name, field = CONTRACTS[contract]
        fields = {
            "from": self.accounts[player],
            "to": str(getattr(self.at, field)),
            "data": str(artifact(name).call(function, *arguments)),
        }
        await self.rpc("eth_call", fields, "pending")
        tx_hash = await self.rpc("eth_sendTransaction", {**fields, "gas": hex(3_000_000)})
        while (receipt := await self.rpc("eth_getTransactionReceipt", tx_hash)) is None:
            pass
        assert receipt["status"] == "0x1", f"{function} reverted in its block though it did not before"
        return dict(receipt)

    async def pass_time(self, secs: int) -> None:
        """The next block is this much later than the head."""
        head = await self.rpc("eth_getBlockByNumber", "latest", False)
        await self.rpc("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + secs)
        await self.rpc("evm_mine")

    async def equip(self, player: int, tokens: int = 10_000) -> None:
        """DATA and both approvals."""
        account = self.accounts[player]
        fields = {
            "from": self.accounts[0],
            "to": str(self.at.faucet),
            "data": str(artifact("Faucet").call("fund", self.at.data_token, [account], tokens * TOKEN)),
        }
        await self.rpc("eth_sendTransaction", {**fields, "gas": hex(300_000), "value": hex(1)})
        for spender in (self.at.ghost_core, self.at.arcade_core):
            await self.send(player, "data", "approve", spender, 2**256 - 1)

    def address(self, player: int) -> str:
        return self.accounts[player]


def error_name(error: dict[str, Any]) -> str:
    """Our name for a revert's data, or the node's words."""
    data = error.get("data")
    if isinstance(data, str) and len(data) >= 10:
        for entry in artifact("GhostCore").abi:
            if entry["type"] == "error" and selector(entry).hex() == data[2:10]:
                return str(entry["name"])
    return str(error["message"])


@asynccontextmanager
async def staged(url: str, scale: Scale) -> AsyncIterator[Stage]:
    """Deploy the stand-ins at this scale."""
    at = await deploy(url, scale)
    async with aiohttp.ClientSession() as session:
        stage = Stage(url, session, at, ())
        stage.accounts = await stage.rpc("eth_accounts")
        yield stage
