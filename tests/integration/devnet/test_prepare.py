"""A prepared fleet is complete: keys on disk, funds on the chain, settings that load, and nothing overwritten."""

import os
import stat
import tomllib
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from ghostnet_stage import TOKEN, Stage

from ghostfleet.config.loading import load
from ghostfleet.devnet.fleet_files import FleetExists
from ghostfleet.devnet.prepare import DATA_BY_PROFILE, prepare
from ghostfleet.devnet.process import Devnet
from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.keys.keystore import open_keystore, read_keystore
from ghostfleet.keys.secret import Secret


async def test_a_fleet_of_all_profiles_is_funded_and_described(anvil: Devnet, tmp_path: Path) -> None:
    prepared = await prepare(anvil.url, 12, tmp_path, 2.0)
    assert prepared.deployment is not None
    settings = tomllib.loads(prepared.config.read_text())
    assert [wallet["id"] for wallet in settings["wallets"]] == [f"wallet-{number:03d}" for number in range(1, 13)]
    assert {wallet["profile"] for wallet in settings["wallets"]} == set(DATA_BY_PROFILE) == set(settings["profiles"])
    assert all(profile["action_interval_secs"] == 2.0 for profile in settings["profiles"].values())
    assert settings["chain"] == {
        "chain_id": 31_337,
        "rpc_url": anvil.url,
        "chain_type": "standard",
        "use_realtime": False,
    }
    assert settings["plugins"]["ghostnet"]["ghost_core"] == checksummed(prepared.deployment.ghost_core)
    async with aiohttp.ClientSession() as session:
        stage = Stage(anvil.url, session, prepared.deployment, ())
        for wallet in prepared.wallets:
            assert await stage.rpc("eth_getBalance", str(wallet.address), "latest") == hex(10**18)
            held = await stage.call("data", "balanceOf", str(wallet.address))
            assert held == DATA_BY_PROFILE[wallet.profile] * TOKEN, "whole: the faucet is exempt from the tax"


async def test_every_key_opens_and_is_its_address_and_only_the_owner_reads_it(anvil: Devnet, tmp_path: Path) -> None:
    prepared = await prepare(anvil.url, 5, tmp_path, plugin="transfer")
    settings = tomllib.loads(prepared.config.read_text())
    password_file = tmp_path / settings["keys"]["password_file"]
    password = Secret(password_file.read_bytes().strip())
    listed = (tmp_path / "wallets.csv").read_text().splitlines()[1:]
    for wallet, line in zip(settings["wallets"], listed, strict=True):
        keystore = read_keystore(tmp_path / wallet["keyfile"])
        assert keystore.address == parse_address(wallet["address"]) == parse_address(line.split(",")[0])
        assert len(open_keystore(keystore, password).reveal()) == 32
        assert stat.S_IMODE((tmp_path / wallet["keyfile"]).stat().st_mode) == 0o600
    for path in (prepared.config, password_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_fleet_without_contracts_only_transfers(anvil: Devnet, tmp_path: Path) -> None:
    to = Address(b"\x11" * 20)
    prepared = await prepare(anvil.url, 3, tmp_path, 0.5, plugin="transfer", transfer_to=to)
    assert prepared.deployment is None
    settings = tomllib.loads(prepared.config.read_text())
    assert settings["plugins"] == {
        "enabled": ["transfer"],
        "transfer": {"amount_wei": "1", "gas": 21_000, "to": checksummed(to)},
    }


@pytest.mark.parametrize("plugin", ["ghostnet", "transfer"])
async def test_the_service_loads_what_was_prepared(
    anvil: Devnet, tmp_path: Path, plugin: Literal["ghostnet", "transfer"]
) -> None:
    prepared = await prepare(anvil.url, 5, tmp_path, 2.0, plugin=plugin)
    loaded = load(prepared.config, {})
    assert [wallet.id for wallet in loaded.wallets] == [wallet.id for wallet in prepared.wallets]


async def test_an_existing_fleet_is_never_overwritten(anvil: Devnet, tmp_path: Path) -> None:
    await prepare(anvil.url, 1, tmp_path, plugin="transfer")
    before = (tmp_path / "config.toml").read_bytes()
    with pytest.raises(FleetExists):
        await prepare(anvil.url, 1, tmp_path, plugin="transfer")
    assert (tmp_path / "config.toml").read_bytes() == before


@pytest.mark.parametrize(("wallets", "interval"), [(0, None), (10_001, None), (1, 0.0), (1, 1e9)])
async def test_what_cannot_be_prepared_is_refused_before_anything_is_done(
    tmp_path: Path, wallets: int, interval: float | None
) -> None:
    with pytest.raises(BadInput):
        await prepare("http://127.0.0.1:1", wallets, tmp_path, interval)
    assert os.listdir(tmp_path) == []


async def test_the_embedded_chain_prepares_as_well(embedded: Devnet, tmp_path: Path) -> None:
    prepared = await prepare(embedded.url, 5, tmp_path, 2.0)
    async with aiohttp.ClientSession() as session:
        assert prepared.deployment is not None
        stage = Stage(embedded.url, session, prepared.deployment, ())
        assert await stage.call("data", "balanceOf", str(prepared.wallets[0].address)) == 20_000 * TOKEN
