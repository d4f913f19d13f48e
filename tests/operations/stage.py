"""What do tests of operations run? A fleet on GHOSTNET with a treasury, its commands, and questions to the chain itself."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.prepare import prepare
from ghostfleet.domain import events as ev
from ghostfleet.domain.values import Address
from ghostfleet.operations.holdings import TRANSFER
from ghostfleet.operations.reconcile import reconcile
from ghostfleet.plugins.abi import function
from tests.acceptance.agreement import reading
from tests.acceptance.service_process import GHOST_FLEET, Finished, Fleet
from tests.findings import nothing

SAFE = "0x00000000000000000000000000000000005afe01"
TREASURY = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
TREASURY_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
AIMED = (sys.executable, "-m", "tests.crashtest.aimed")
BALANCE_OF = function("balanceOf(address)", "uint256")
ETH = 10**18
assert TRANSFER.signature == "transfer(address,uint256)"


@dataclass
class MoneyFleet(Fleet):
    """A fleet whose money tests move. Commands find no service at the settings' port, and go on alone, unless given a --url."""

    variables: dict[str, str] = field(default_factory=dict)
    """More of the environment of every command."""

    def environ(self, settings: dict[str, object]) -> dict[str, str]:
        return super().environ(settings) | self.variables

    async def run(self, *arguments: str, url: str = "", aim: str = "") -> Finished:
        """A command, where wanted against a running service, or killed at a step."""
        at = ("--url", url) if url else ()
        return await self.command(*arguments, *at, program=(*AIMED, aim) if aim else (str(GHOST_FLEET),))

    @property
    def data_token(self) -> Address:
        line = next(line for line in self.config.read_text().splitlines() if line.startswith("data_token"))
        return Address.from_hex(line.split('"')[1])

    async def native(self, address: str | Address) -> int:
        return int(await self.chain.call("eth_getBalance", str(address), "latest"), 16)

    async def data(self, address: str | Address) -> int:
        of = Address.from_hex(str(address))
        request = {"to": str(self.data_token), "data": str(BALANCE_OF.encode(of))}
        return int(await self.chain.call("eth_call", request, "latest"), 16)

    async def empty(self) -> None:
        """Nothing is left in any wallet, says the chain."""
        left = {name: (await self.native(at), await self.data(at)) for name, at in self.wallets.items()}
        assert set(left.values()) == {(0, 0)}, left

    async def agrees(self) -> None:
        """Log and chain say the same of every transaction of every wallet, and the log verifies."""
        recorded = await self.recorded()
        addresses = {
            each.wallet: each.event.address
            for each in recorded
            if isinstance(each.event, ev.WalletRegistered) and each.wallet is not None
        }
        addresses = {name: at for name, at in addresses.items() if not name.startswith("funder-")}
        attempts = [row for row in await self.attempts() if row.wallet in addresses]
        async with reading(self.chain.url) as chain:
            nothing(str(it) for it in await reconcile(attempts, addresses, frozenset(), chain))
        async with self.log() as log:
            verified = await log.verify()
        nothing([] if verified.ok else [f"the log does not verify: {verified.problem}"])

    async def paid(self, name: str) -> int:
        """Transfers of the treasury that reached this wallet, counted on chain, block by block."""
        to, count = str(self.wallets[name]).lower(), 0
        newest = int(await self.chain.call("eth_blockNumber"), 16)
        for number in range(newest + 1):
            block = await self.chain.call("eth_getBlockByNumber", hex(number), True)
            for tx in block["transactions"]:
                if tx["from"].lower() == TREASURY.lower() and _pays(tx, to):
                    count += 1
        return count


def _pays(tx: dict[str, Any], to: str) -> bool:
    plain = (tx["to"] or "").lower() == to and tx["input"] == "0x"
    return plain or (tx["input"].startswith("0x" + TRANSFER.selector.hex()) and to[2:] in tx["input"])


async def money_fleet(chain: DevnetClient, directory: Path, *, wallets: int, interval_secs: float = 1.0) -> MoneyFleet:
    """Funded wallets on stand-in contracts, and the treasury in the settings."""
    await prepare(chain.url, wallets, directory, interval_secs, health_port=1)
    config = directory / "config.toml"
    treasury = f'\n[treasury]\naddress = "{TREASURY}"\nprivate_key = "{TREASURY_KEY}"\n'
    config.write_text(config.read_text() + treasury)
    config.chmod(0o600)
    settings: dict[str, object] = {
        "chain.finality_blocks": 4,
        "chain.block_time_secs": 0.5,
        "chain.request_timeout_secs": 5,
        "fees.stuck_after_secs": 3,
    }
    return MoneyFleet(directory, chain, settings)


def answer(finished: Finished) -> Any:
    """The JSON object that a command ended with."""
    assert finished.out, finished.err
    return json.loads(finished.out.splitlines()[-1])
