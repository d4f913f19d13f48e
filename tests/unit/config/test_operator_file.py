"""The settings file that GHOSTNET operators have loads as it is, and means what it says."""

import json

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict

from ghostfleet.config.loaded import Endpoint
from ghostfleet.domain.profile import SNIPER
from ghostfleet.domain.values import Address, encode_json
from ghostfleet.keys.keyring import InlineKey, KeystoreFile
from ghostfleet.keys.opening import load_keyring


class AnyTable(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_the_operators_file_loads_as_it_is(operator):
    settings = operator.load()
    assert settings.service_name == "ghost-fleet-testnet"
    assert settings.tick_secs == 1.0
    assert (settings.admin.host, settings.admin.port) == ("127.0.0.1", 8080)
    assert settings.chain.chain_id == 6343
    assert settings.chain.megaeth
    assert settings.chain.use_realtime
    assert settings.chain.gas_limit_override == 500000
    assert settings.chain.endpoints == (
        Endpoint(name="https://carrot.megaeth.com/…", url="https://carrot.megaeth.com/rpc"),
    )
    assert [wallet.id for wallet in settings.wallets] == ["wallet-001", "wallet-002", "wallet-003"]
    assert [wallet.enabled for wallet in settings.wallets] == [True, True, False]
    assert {wallet.plugin for wallet in settings.wallets} == {"ghostnet"}
    assert settings.plugins[0].table["min_stake"] == "10000000000000000000"
    assert settings.plugins[0].settings.hashcrash_enabled
    assert settings.safety.max_actions_per_hour == 20
    assert settings.safety.cooldown_secs == 3600.0
    assert not settings.safety.global_pause


def test_profiles_override_the_built_in_ones_and_may_have_names_of_their_own(operator):
    profiles = operator.load().profiles
    assert profiles["whale"].risk_tolerance == 0.3
    assert profiles["whale"].active_hours_end == 24
    assert profiles["nightowl"].active_hours_start == 22
    assert profiles["sniper"] == SNIPER
    assert set(profiles) == {"whale", "grinder", "degen", "casual", "sniper", "nightowl"}


def test_new_sections_have_defaults_that_the_old_file_need_not_name(operator):
    settings = operator.load()
    assert settings.chain.confirmations == 1
    assert settings.chain.finality_blocks == 32
    assert settings.fees.max_fee_wei == 100 * 10**9
    assert settings.fees.bump_percent == 12.5
    assert settings.limits.transactions_per_minute is None
    assert settings.limits.gas_wei_per_wallet_per_day is None
    assert settings.safety.fleet_trip_share == 0.5
    assert settings.store.url == f"sqlite:///{operator.path.parent}/ghostfleet.db"


def test_a_log_that_the_settings_do_not_name_is_in_the_data_directory_unless_one_is_beside_them(operator):
    operator.environ["GHOST_FLEET_DATA_DIRECTORY"] = "/var/lib/ghost-fleet"
    assert operator.load().store.url == "sqlite:////var/lib/ghost-fleet/ghostfleet.db"
    operator.environ["GHOST_FLEET__STORE__URL"] = "sqlite:///other.db"
    assert operator.load().store.url == f"sqlite:///{operator.path.parent}/other.db"
    del operator.environ["GHOST_FLEET__STORE__URL"]
    (operator.path.parent / "ghostfleet.db").touch()
    assert operator.load().store.url == f"sqlite:///{operator.path.parent}/ghostfleet.db"


def test_new_sections_are_read(operator):
    settings = operator.load(
        (
            "[safety]",
            '[fees]\nmax_fee_gwei = "0.05"\nmax_attempts = 3\n[limits]\ngas_wei_per_wallet_per_day = "5"\n[safety]',
        )
    )
    assert settings.fees.max_fee_wei == 50_000_000
    assert settings.fees.max_attempts == 3
    assert settings.limits.gas_wei_per_wallet_per_day == 5


async def test_the_keys_of_the_enabled_wallets_can_be_opened(operator):
    settings = operator.load()
    keys = settings.wallet_keys()
    assert [type(key.source) for key in keys] == [InlineKey, KeystoreFile]
    keyring = await load_keyring(keys, operator.environ)
    assert keyring.address("wallet-002") == Address.from_hex("0x1563915e194d8cfba1943570603f7606a3115508")


def test_several_endpoints_have_names_of_their_own_without_credentials(operator):
    settings = operator.load(
        (
            'rpc_url = "https://carrot.megaeth.com/rpc"',
            'rpc_urls = ["https://a.example/KEY1", "https://a.example/KEY2"]',
        )
    )
    assert [endpoint.name for endpoint in settings.chain.endpoints] == ["https://a.example/…", "https://a.example/…#2"]
    assert "KEY1" not in repr(settings)


def test_inline_keys_come_with_a_warning(operator):
    assert any("development only" in warning for warning in operator.load().warnings)


def test_settings_without_secrets_are_json_and_have_a_digest(operator):
    url = ('"https://carrot.megaeth.com/rpc"', '"https://user:hunter2@carrot.megaeth.com/v2/APIKEY?k=APIKEY"')
    operator.models = {"ghostnet": AnyTable}
    settings = operator.load(
        url,
        ("[safety]", '[store]\nurl = "postgresql://fleet:hunter2@db.example/fleet"\n[safety]'),
        ("hashcrash_enabled = true", 'hashcrash_enabled = true\napi_key = "hunter2"\nrole = "' + "ab" * 32 + '"'),
    )
    text = json.dumps(settings.redacted, ensure_ascii=False)
    assert msgspec.json.decode(encode_json(settings.redacted)) == json.loads(text)
    for secret in ("11" * 32, "hunter2", "APIKEY", "user", "ab" * 32):
        assert secret not in text
        assert secret not in repr(settings)
    assert "https://carrot.megaeth.com/…" in text
    assert len(settings.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        ("tick_interval_ms = 1000", "tick_interval_ms = 999"),
        ("risk_tolerance = 0.3", "risk_tolerance = 0.4"),
        ('min_stake = "10000000000000000000"', 'min_stake = "10000000000000000001"'),
        ("0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9", "0x5FbDB2315678afecb367f032d93F642f64180aa3"),
        ("enabled = false", "enabled = false  # new\nplugin = 'ghostnet'"),
    ],
)
def test_the_digest_changes_with_a_setting(operator, change):
    assert operator.load().digest != operator.load(change).digest


def test_the_digest_does_not_change_with_a_comment(operator):
    assert operator.load().digest == operator.load(("[safety]", "# a word\n[safety]")).digest


def test_realtime_without_megaeth_loads_and_is_said_to_have_no_effect(operator):
    elsewhere = ("chain_id = 6343", "chain_id = 31337")
    assert not any("use_realtime" in it or "chain_type" in it for it in operator.load().warnings)
    (warning,) = [it for it in operator.load(elsewhere, ('"megaeth"', '"standard"')).warnings if "use_realtime" in it]
    assert "has no effect" in warning
    assert "set chain_type, or use_realtime = false" in warning
    plain = operator.load(elsewhere, ('"megaeth"', '"standard"'), ("use_realtime = true", "use_realtime = false"))
    assert not any("chain_type" in it for it in plain.warnings)


def test_megaeth_by_its_chain_id_and_another_chain_type_is_a_warning(operator):
    (warning,) = [it for it in operator.load(('"megaeth"', '"standard"')).warnings if "chain 6343" in it]
    assert 'set chain_type = "megaeth"' in warning
