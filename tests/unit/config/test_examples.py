"""The files in config/ are what they say: the development one runs as it is, the others name what is left to fill in."""

import re
from pathlib import Path

import pytest
from operator_file import KEYSTORE_KEY, GhostnetSettings

from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.secret import Secret

CONFIG = Path(__file__).parents[3] / "config"
MODELS = {"ghostnet": GhostnetSettings}
PASSWORD = {"GHOST_FLEET_KEYSTORE_PASSWORD": "pw"}
ZERO = "0x" + "0" * 40
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def test_development_loads_as_it_is():
    settings = load(CONFIG / "development.toml", {}, MODELS)
    assert len(settings.wallet_keys()) == 3
    assert settings.profiles["impatient"].action_interval_secs == 3


def test_testnet_lacks_only_the_contracts(tmp_path):
    with pytest.raises(ConfigInvalid) as refused:
        load(CONFIG / "testnet.toml", {}, MODELS)
    assert {found.wrong for found in refused.value.problems} == {"is the zero address"}
    filled = tmp_path / "testnet.toml"
    filled.write_text((CONFIG / "testnet.toml").read_text().replace(ZERO, CONTRACT))
    assert load(filled, {}, MODELS).chain.chain_id == 6343


def test_production_names_every_placeholder_and_loads_once_they_are_filled(tmp_path):
    text = (CONFIG / "production.toml.example").read_text()
    placeholders = re.findall(r'"(<[A-Z0-9_]+>)"', text)
    with pytest.raises(ConfigInvalid) as refused:
        load(CONFIG / "production.toml.example", PASSWORD, MODELS)
    assert {found.key for found in refused.value.problems} == {
        "chain.rpc_url",
        "chain.rpc_urls[0]",
        "wallets[0].address",
        "plugins.ghostnet.ghost_core",
        "plugins.ghostnet.hash_crash",
        "plugins.ghostnet.arcade_core",
        "plugins.ghostnet.data_token",
        "admin.tokens[0].sha256",
    }
    write_keystore(tmp_path / "key.json", Secret(bytes.fromhex(KEYSTORE_KEY)), Secret(b"pw"), scrypt_n=2)
    values = {
        "<RPC_URL>": "https://a.example",
        "<SECOND_RPC_URL>": "https://b.example",
        "<ADDRESS>": "0x1563915e194D8CfBA1943570603F7606A3115508",
        "<KEYSTORE_FILE>": "key.json",
        "<SHA256_OF_TOKEN>": "ab" * 32,
    }
    for placeholder in placeholders:
        text = text.replace(placeholder, values.get(placeholder, CONTRACT))
    filled = tmp_path / "production.toml"
    filled.write_text(text)
    (tmp_path / "keystore-password").write_text("pw\n")
    settings = load(filled, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, MODELS)
    assert settings.safety.global_pause
    assert settings.limits.transactions_per_minute == 120
