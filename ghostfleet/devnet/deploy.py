"""How do the stand-ins get onto a chain? All transactions at once, at known nonces, from the chain's first own account."""

from collections.abc import Sequence

import msgspec
import rlp
from eth_hash.auto import keccak

from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.contracts import artifact
from ghostfleet.devnet.errors import DevnetFailed
from ghostfleet.domain.values import Address, Octets
from ghostfleet.keys.addresses import parse_address

MINED_SECS = 60.0
DEPLOY_GAS = 5_000_000
SETUP_GAS = 150_000
MAX_FEE_WEI = 100 * 10**9
TOKEN = 10**18
LIQUIDITY = 5_000_000 * TOKEN
"""What GhostCore pays rewards from, and ArcadeCore winnings."""
TREASURY = Address(bytes.fromhex("00000000000000000000000000000000000dada1"))


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How the protocol's hours become seconds. Per level, VAULT first; the defaults are for a demonstration."""

    scan_interval_secs: tuple[int, int, int, int, int] = (30, 25, 20, 15, 12)
    death_rates_bps: tuple[int, int, int, int, int] = (100, 200, 300, 500, 800)
    max_positions: tuple[int, int, int, int, int] = (5_000, 3_000, 1_500, 500, 100)
    lock_secs: int = 3
    emission_per_second: int = TOKEN
    """DATA that each level earns per second, shared by stake."""
    round_secs: tuple[int, int, int, int] = (5, 2, 2, 2)
    """Betting, locked, active, settled."""
    first_round_delay_secs: int = 0


DEMO = Scale()


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stand-ins are. `deployer` owns them: it may pause them, and fund wallets through the faucet."""

    chain_id: int
    deployer: Address
    data_token: Address
    ghost_core: Address
    arcade_core: Address
    hash_crash: Address
    faucet: Address


async def deploy(rpc_url: str, scale: Scale = DEMO) -> Deployment:
    """Deploy all of them on a development chain. Raises DevnetFailed."""
    async with connected(rpc_url) as client:
        return await deploy_with(client, scale)


async def deploy_with(client: DevnetClient, scale: Scale = DEMO) -> Deployment:
    """As `deploy`, over a connection that is there. From a fresh anvil the addresses are always the same."""
    accounts, chain_id = await client.batch([("eth_accounts", []), ("eth_chainId", [])])
    if not accounts:
        raise DevnetFailed(f"{client.url} has no accounts of its own: it is no development chain")
    deployer = parse_address(accounts[0])
    nonce = int(await client.call("eth_getTransactionCount", accounts[0], "pending"), 16)
    data, core, arcade, crash, faucet = (created_address(deployer, nonce + index) for index in range(5))
    token = artifact("DATA")
    creations = [
        token.creation(TREASURY),
        artifact("GhostCore").creation(
            data,
            scale.scan_interval_secs,
            scale.death_rates_bps,
            scale.max_positions,
            scale.lock_secs,
            scale.emission_per_second,
        ),
        artifact("ArcadeCore").creation(data),
        artifact("HashCrash").creation(arcade, scale.round_secs, scale.first_round_delay_secs),
        artifact("Faucet").creation(),
    ]
    calls = [(data, token.call("setExempt", one, True)) for one in (core, arcade, faucet)]
    calls.append((arcade, artifact("ArcadeCore").call("setGame", crash)))
    calls += [(data, token.call("transfer", one, LIQUIDITY)) for one in (core, arcade)]
    calls.append((data, token.call("transfer", faucet, 80_000_000 * TOKEN)))
    transactions = [transaction(deployer, nonce + at, None, code, DEPLOY_GAS) for at, code in enumerate(creations)]
    transactions += [
        transaction(deployer, nonce + len(creations) + at, to, call, SETUP_GAS) for at, (to, call) in enumerate(calls)
    ]
    await send_all(client, transactions)
    return Deployment(
        chain_id=int(chain_id, 16),
        deployer=deployer,
        data_token=data,
        ghost_core=core,
        arcade_core=arcade,
        hash_crash=crash,
        faucet=faucet,
    )


def created_address(sender: Address, nonce: int) -> Address:
    """Where a contract goes that this account creates at this nonce."""
    return Address(keccak(rlp.encode([bytes(sender), nonce]))[-20:])


def transaction(
    sender: Address, nonce: int, to: Address | None, data: Octets, gas: int, value_wei: int = 0
) -> dict[str, str]:
    """The parameter of eth_sendTransaction; fees that survive blocks filled by ourselves."""
    fields = {
        "from": str(sender),
        "nonce": hex(nonce),
        "data": str(data),
        "gas": hex(gas),
        "value": hex(value_wei),
        "maxFeePerGas": hex(MAX_FEE_WEI),
        "maxPriorityFeePerGas": hex(10**9),
    }
    if to is not None:
        fields["to"] = str(to)
    return fields


async def send_all(client: DevnetClient, transactions: Sequence[dict[str, str]]) -> None:
    """Send in nonce order, then wait for all of them. Raises DevnetFailed.

    One request after the other: anvil works on the calls of a batch at once, and about one run in 40 of those that arrive
    out of order keeps a transaction back for good, though its nonce is next.
    """
    hashes = [await client.call("eth_sendTransaction", one) for one in transactions]
    await client.receipts(hashes, MINED_SECS)
