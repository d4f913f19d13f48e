"""What does a fleet need before its first start? A protocol on the chain, wallets with keys and funds, a settings file."""

import math
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.deploy import TOKEN, Deployment, Scale, deploy_with
from ghostfleet.devnet.fleet_files import (
    PASSWORD_FILE,
    STORE,
    PreparedWallet,
    check_free,
    new_wallets,
    write_config,
    write_keys,
)
from ghostfleet.devnet.fund import NO_TOKEN, deploy_faucet, fund
from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.secret import Secret

MAX_WALLETS = 10_000
ETH_PER_WALLET_WEI = 10**18
FUNDS_WEI = 9_000 * 10**18
"""Of the 10,000 ETH of a development account this much may go to wallets."""
MIN_STAKE_WEI = 10 * TOKEN
DATA_BY_PROFILE = {"whale": 20_000, "grinder": 5_000, "degen": 4_000, "casual": 2_000, "sniper": 3_000}
"""DATA that a wallet starts with, whole tokens. The profiles in the order in which they are dealt out."""
MIN_INTERVAL_SECS = 0.05
TRANSFER_GAS = 21_000
JITTER_PCT = 30


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet that is ready to run: `ghost-fleet --config <config>`."""

    config: Path
    wallets: tuple[PreparedWallet, ...]
    deployment: Deployment | None
    """None for a fleet without contracts."""


async def prepare(
    rpc_url: str,
    wallets: int,
    out: Path,
    profile_intervals_secs: float | None = None,
    *,
    plugin: Literal["ghostnet", "transfer"] = "ghostnet",
    transfer_to: Address | None = None,
    eth_per_wallet_wei: int | None = None,
    scale: Scale | None = None,
    health_port: int = 8080,
    random_key: Callable[[], Secret] = lambda: Secret(secrets.token_bytes(32)),
) -> Prepared:
    """On any running development chain: deploy, generate, fund, write `out`.

    With `profile_intervals_secs` every profile acts that often, around the clock; without it they live by their own hours.
    `plugin="transfer"` needs no contracts: every wallet sends 1 wei to `transfer_to`, or to itself. The keys are on disk
    before anything is funded. Raises BadInput before anything is done, DevnetFailed when the chain does not play along.
    """
    if not 1 <= wallets <= MAX_WALLETS:
        raise BadInput(f"cannot prepare {wallets} wallets: give a number from 1 to {MAX_WALLETS}")
    if profile_intervals_secs is not None and not MIN_INTERVAL_SECS <= profile_intervals_secs <= 86_400:
        raise BadInput(
            f"an interval of {profile_intervals_secs:g} s is out of range: give {MIN_INTERVAL_SECS} to 86400"
        )
    check_free(out)
    async with connected(rpc_url) as client:
        chain_id = int(await client.call("eth_chainId"), 16)
        fleet, keys = new_wallets(wallets, tuple(DATA_BY_PROFILE), random_key)
        write_keys(out, fleet, keys, Secret(secrets.token_urlsafe(24).encode()))
        eth = eth_per_wallet_wei if eth_per_wallet_wei is not None else min(ETH_PER_WALLET_WEI, FUNDS_WEI // wallets)
        deployment = await _on_chain(client, fleet, plugin, eth, scale or scale_for(wallets))
    tables = _tables(chain_id, rpc_url, health_port, profile_intervals_secs)
    tables += _plugin_tables(deployment, transfer_to)
    config = write_config(out, fleet, tables)
    return Prepared(config=config, wallets=tuple(fleet), deployment=deployment)


def scale_for(wallets: int) -> Scale:
    """Room for everybody on the lower levels; the upper two are small enough that a demonstration sees them full."""
    roomy = max(50, wallets)
    return Scale(max_positions=(roomy, roomy, roomy, max(3, wallets // 6), max(2, wallets // 10)))


async def _on_chain(
    client: DevnetClient, fleet: list[PreparedWallet], plugin: str, eth_wei: int, scale: Scale
) -> Deployment | None:
    """Everything this asks of the chain, so that nothing is written unless all of it was mined."""
    if plugin == "transfer":
        owner, faucet = await deploy_faucet(client)
        await fund(client, owner, faucet, NO_TOKEN, [([one.address for one in fleet], 0)], eth_wei)
        return None
    deployment = await deploy_with(client, scale)
    shares = [
        ([one.address for one in fleet if one.profile == profile], tokens * TOKEN)
        for profile, tokens in DATA_BY_PROFILE.items()
    ]
    await fund(client, deployment.deployer, deployment.faucet, deployment.data_token, shares, eth_wei)
    return deployment


def _tables(
    chain_id: int, rpc_url: str, health_port: int, interval_secs: float | None
) -> list[tuple[str, dict[str, Any]]]:
    interval = interval_secs if interval_secs is not None else 60.0
    tick_ms = max(50, min(1_000, int(interval * 250)))
    per_hour = max(20, math.ceil(3_600 / interval * 3))
    tables: list[tuple[str, dict[str, Any]]] = [
        ("service", {"name": "ghost-fleet-devnet", "tick_interval_ms": tick_ms, "health_port": health_port}),
        ("chain", {"chain_id": chain_id, "rpc_url": rpc_url, "chain_type": "standard", "use_realtime": False}),
        ("store", {"url": f"sqlite:///{STORE}"}),
        ("keys", {"password_file": PASSWORD_FILE}),
        (
            "safety",
            {
                "max_consecutive_errors": 5,
                "cooldown_secs": 3_600 if interval_secs is None else max(10.0, 10 * interval),
                "max_actions_per_hour": min(1_000_000, per_hour),
                "global_pause": False,
            },
        ),
    ]
    if interval_secs is None:
        return tables
    lively = {
        "activity_level": min(72_000.0, 3_600 / interval_secs),
        "action_interval_secs": interval_secs,
        "action_interval_jitter_pct": JITTER_PCT,
        "active_hours_start": 0,
        "active_hours_end": 24,
        "off_hours_factor": 1.0,
        "afk_probability": 0.0,
    }
    return tables + [(f"profiles.{profile}", lively) for profile in DATA_BY_PROFILE]


def _plugin_tables(deployment: Deployment | None, transfer_to: Address | None) -> list[tuple[str, dict[str, Any]]]:
    if deployment is None:
        transfer: dict[str, Any] = {"amount_wei": "1", "gas": TRANSFER_GAS}
        if transfer_to is not None:
            transfer["to"] = checksummed(transfer_to)
        return [("plugins", {"enabled": ["transfer"]}), ("plugins.transfer", transfer)]
    return [
        ("plugins", {"enabled": ["ghostnet"]}),
        (
            "plugins.ghostnet",
            {
                "ghost_core": checksummed(deployment.ghost_core),
                "hash_crash": checksummed(deployment.hash_crash),
                "arcade_core": checksummed(deployment.arcade_core),
                "data_token": checksummed(deployment.data_token),
                "min_stake": str(MIN_STAKE_WEI),
                "hashcrash_enabled": True,
            },
        ),
    ]
