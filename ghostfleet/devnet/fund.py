"""How do hundreds of new wallets get ETH and DATA in seconds? Through the faucet, a hundred in a transaction."""

from collections.abc import Sequence

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.devnet.contracts import artifact
from ghostfleet.devnet.deploy import created_address, send_all, transaction
from ghostfleet.devnet.errors import DevnetFailed
from ghostfleet.domain.values import Address
from ghostfleet.keys.addresses import parse_address

WALLETS_PER_TRANSACTION = 100
GAS_PER_WALLET = 90_000
GAS_BESIDES = 200_000
FAUCET_GAS = 1_500_000
NO_TOKEN = Address(bytes(20))


async def deploy_faucet(client: DevnetClient) -> tuple[Address, Address]:
    """A faucet alone, for fleets without contracts: its owner and its address."""
    accounts = await client.call("eth_accounts")
    if not accounts:
        raise DevnetFailed(f"{client.url} has no accounts of its own: it is no development chain")
    owner = parse_address(accounts[0])
    nonce = int(await client.call("eth_getTransactionCount", accounts[0], "pending"), 16)
    await send_all(client, [transaction(owner, nonce, None, artifact("Faucet").creation(), FAUCET_GAS)])
    return owner, created_address(owner, nonce)


async def fund(
    client: DevnetClient,
    owner: Address,
    faucet: Address,
    token: Address,
    shares: Sequence[tuple[Sequence[Address], int]],
    eth_per_wallet_wei: int,
) -> None:
    """`shares` are groups of wallets with the tokens that each of the group gets. Raises DevnetFailed."""
    nonce, balance = await client.batch(
        [("eth_getTransactionCount", [str(owner), "pending"]), ("eth_getBalance", [str(owner), "latest"])]
    )
    needed = eth_per_wallet_wei * sum(len(wallets) for wallets, _ in shares)
    if int(balance, 16) < needed:
        raise DevnetFailed(
            f"account {owner} of the development chain has {int(balance, 16) / 1e18:g} ETH, {needed / 1e18:g} are needed: "
            "give each wallet less, or make fewer"
        )
    transactions: list[dict[str, str]] = []
    for wallets, tokens in shares:
        for start in range(0, len(wallets), WALLETS_PER_TRANSACTION):
            some = wallets[start : start + WALLETS_PER_TRANSACTION]
            transactions.append(
                transaction(
                    owner,
                    int(nonce, 16) + len(transactions),
                    faucet,
                    artifact("Faucet").call("fund", token, list(some), tokens),
                    GAS_BESIDES + GAS_PER_WALLET * len(some),
                    eth_per_wallet_wei * len(some),
                )
            )
    await send_all(client, transactions)
