"""The stand-in contracts on a real chain, wallets that need no keys, and a view of the chain as the engine gives it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.contracts import artifact
from ghostfleet.devnet.deploy import Deployment, Scale, deploy_with
from ghostfleet.devnet.fund import fund
from ghostfleet.domain.values import Address, Call, Hash, LogEntry, Octets, WalletId
from ghostfleet.errors import GhostFleetError
from ghostfleet.keys.addresses import checksummed
from ghostfleet.plugins.api import Action, Plugin, WalletFacts
from ghostfleet.plugins.ghostnet import GhostnetPlugin
from ghostfleet.plugins.loading import load_plugins

TOKEN = 10**18
GAS = 1_000_000
TOKENS_PER_WALLET = 3_000
"""Enough for every level."""


class NodeRefused(GhostFleetError):
    """The node's answer is an error."""


class BatchedView:
    """Concurrent reads share one HTTP request."""

    def __init__(self, client: DevnetClient) -> None:
        self._client = client
        self._waiting: list[tuple[tuple[str, list[Any]], asyncio.Future[Any]]] = []
        self.requests = 0
        self.calls = 0

    async def call(self, to: Address, data: bytes, sender: Address | None = None) -> Octets:
        request = {"to": str(to), "data": "0x" + data.hex()} | ({"from": str(sender)} if sender else {})
        return Octets.from_hex(await self._ask("eth_call", [request, "latest"]))

    async def balance(self, address: Address) -> int:
        return int(await self._ask("eth_getBalance", [str(address), "latest"]), 16)

    async def head_time_secs(self) -> int:
        block = await self._ask("eth_getBlockByNumber", ["latest", False])
        return int(block["timestamp"], 16)

    async def _ask(self, method: str, params: list[Any]) -> Any:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(lambda: loop.create_task(self._flush()))
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(((method, params), answer))
        self.calls += 1
        return await answer

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.requests += 1
        try:
            answers = await self._client.batch([request for request, _ in waiting])
        except GhostFleetError as error:
            for _, future in waiting:
                future.set_exception(NodeRefused(str(error)))
            return
        for (_, future), answer in zip(waiting, answers, strict=True):
            future.set_result(answer)


class Stage:
    """Wallets act by impersonation; blocks come when `mine` says so, at the second it says."""

    def __init__(self, client: DevnetClient, deployment: Deployment, wallets: Sequence[Address]) -> None:
        self.client = client
        self.deployment = deployment
        self.wallets = list(wallets)
        self.view = BatchedView(client)
        self.plugin = ghostnet(deployment)

    def facts(self, wallet: Address) -> WalletFacts:
        return WalletFacts(id=WalletId("wallet-001"), address=wallet, balance_wei=10**18)

    async def observe(self, wallet: Address) -> Any:
        return await self.plugin.observe(self.facts(wallet), self.view)

    async def send(self, sender: Address, call: Call, gas: int = GAS) -> str:
        request = {
            "from": str(sender), "to": str(call.to), "data": str(call.data), "value": hex(call.value_wei),
            "gas": hex(gas),
        }  # fmt: skip
        return str(await self.client.call("eth_sendTransaction", request))

    async def mine(self, secs: int = 1) -> None:
        now_secs = await self.view.head_time_secs()
        await self.client.batch([("evm_setNextBlockTimestamp", [now_secs + secs]), ("evm_mine", [])])

    async def act(self, sender: Address, action: Action | Call) -> tuple[bool, list[LogEntry]]:
        """Send it, mine a block a second later: whether it succeeded, and its logs."""
        tx = await self.send(sender, action.call if isinstance(action, Action) else action)
        await self.mine()
        return await self.outcome(tx)

    async def outcome(self, tx: str) -> tuple[bool, list[LogEntry]]:
        receipt = await self.client.call("eth_getTransactionReceipt", tx)
        logs = [
            LogEntry(
                address=Address.from_hex(log["address"]),
                topics=tuple(Hash.from_hex(topic) for topic in log["topics"]),
                data=Octets.from_hex(log["data"]),
            )
            for log in receipt["logs"]
        ]
        return receipt["status"] == "0x1", logs

    async def by_owner(self, contract: str, function: str, *arguments: Any) -> None:
        """What only the deployer may do: pause, unpause."""
        to = {"GhostCore": self.deployment.ghost_core, "ArcadeCore": self.deployment.arcade_core}[contract]
        succeeded, _ = await self.act(
            self.deployment.deployer, Call(to=to, data=artifact(contract).call(function, *arguments))
        )
        assert succeeded

    async def why_refused(self, sender: Address, call: Call) -> str:
        """What the node says instead of an answer."""
        request = {"from": str(sender), "to": str(call.to), "data": str(call.data)}
        try:
            await self.client.call("eth_call", request, "latest")
        except GhostFleetError as error:
            return str(error)
        raise AssertionError("it was not refused")


def ghostnet(deployment: Deployment, *, hashcrash: bool = True) -> GhostnetPlugin:
    """The plugin as the service makes it: by its entry point, from the table that the operators' file has."""
    table = {
        "ghost_core": checksummed(deployment.ghost_core),
        "hash_crash": checksummed(deployment.hash_crash),
        "arcade_core": checksummed(deployment.arcade_core),
        "data_token": checksummed(deployment.data_token),
        "min_stake": "10000000000000000000",
        "hashcrash_enabled": hashcrash,
    }
    plugin: Plugin[Any] = load_plugins({"ghostnet": table}, ["ghostnet"], deployment.chain_id)["ghostnet"]
    assert isinstance(plugin, GhostnetPlugin)
    return plugin


async def set_stage(client: DevnetClient, wallets: int, scale: Scale, tokens: int = TOKENS_PER_WALLET) -> Stage:
    """Deploy, fund, and take over the clock."""
    deployment = await deploy_with(client, scale)
    addresses = [Address(bytes([0xA0]) + index.to_bytes(19)) for index in range(1, wallets + 1)]
    faucet, token = deployment.faucet, deployment.data_token
    await fund(client, deployment.deployer, faucet, token, [(addresses, tokens * TOKEN)], TOKEN)
    await client.batch([("anvil_autoImpersonateAccount", [True]), ("evm_setAutomine", [False])])
    return Stage(client, deployment, addresses)
