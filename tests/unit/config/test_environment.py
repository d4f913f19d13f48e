"""What the environment may say about the settings."""

from pathlib import Path

import pytest

from ghostfleet.config.environment import NoConfig, config_path


def test_the_file_is_the_one_given_or_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_path(Path("a"), {"GHOST_FLEET_CONFIG": "b"}) == Path("a")
    assert config_path(None, {"GHOST_FLEET_CONFIG": "b", "CONFIG_PATH": "c"}) == Path("b")
    assert config_path(None, {"GHOST_FLEET_CONFIG": "", "CONFIG_PATH": "c"}) == Path("c")
    (tmp_path / "config.toml").touch()
    assert config_path(None, {}) == Path("config.toml")


def test_without_any_file_the_answer_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoConfig, match="--config FILE"):
        config_path(None, {})


def test_rpc_url_replaces_every_endpoint(operator):
    operator.environ["GHOST_FLEET_RPC_URL"] = "http://127.0.0.1:8545"
    settings = operator.load(("chain_id = 6343", 'chain_id = 6343\nrpc_urls = ["https://a.example"]'))
    assert [endpoint.url for endpoint in settings.chain.endpoints] == ["http://127.0.0.1:8545"]


def test_options_of_the_run(operator):
    operator.environ |= {
        "GHOST_FLEET_LOG_LEVEL": "WARN",
        "GHOST_FLEET_DRY_RUN": "1",
        "GHOST_FLEET_JSON_LOGS": "yes",
    }
    run = operator.load().run
    assert (run.log_level, run.dry_run, run.json_logs) == ("warning", True, True)


def test_options_that_are_not_set_have_defaults(operator):
    operator.environ |= {"GHOST_FLEET_LOG_LEVEL": "", "GHOST_FLEET_DRY_RUN": "false"}
    run = operator.load().run
    assert (run.log_level, run.dry_run, run.json_logs) == ("info", False, False)


def test_a_dry_run_that_is_neither_yes_nor_no_is_refused(operator, only_problem):
    operator.environ["GHOST_FLEET_DRY_RUN"] = "perhaps"
    assert (only_problem().file, only_problem().key) == ("environment", "GHOST_FLEET_DRY_RUN")


def test_any_key_can_be_overridden(operator):
    operator.environ |= {
        "GHOST_FLEET__CHAIN__CHAIN_ID": "31337",
        "GHOST_FLEET__CHAIN__RPC_URLS": '["http://a.example", "http://b.example"]',
        "GHOST_FLEET__SAFETY__GLOBAL_PAUSE": "true",
        "GHOST_FLEET__SERVICE__NAME": "8080",
        "GHOST_FLEET__PROFILES__WHALE__PATIENCE": "0.25",
        "GHOST_FLEET__PLUGINS__ENABLED": "ghostnet",
        "GHOST_FLEET__PLUGINS__GHOSTNET__MIN_STAKE": "7",
        "GHOST_FLEET__FEES__MAX_FEE_GWEI": "0.5",
        "GHOST_FLEET__ADMIN__PORT": "0",
        "GHOST_FLEET__LIMITS__TOKENS_PER_WALLET_PER_DAY": "",
    }
    settings = operator.load()
    assert settings.chain.chain_id == 31337
    assert [endpoint.url for endpoint in settings.chain.endpoints][1:] == ["http://a.example", "http://b.example"]
    assert settings.safety.global_pause
    assert settings.service_name == "8080"
    assert settings.profiles["whale"].patience == 0.25
    assert settings.plugins[0].settings.min_stake == "7"
    assert settings.fees.max_fee_wei == 500_000_000
    assert settings.admin.port == 0
    assert settings.limits.tokens_per_wallet_per_day is None


@pytest.mark.parametrize(
    ("variable", "value", "wrong", "right"),
    [
        ("GHOST_FLEET__CHAIN__CHAIN_ID", "many", "is a text", "whole number"),
        ("GHOST_FLEET__CHAIN__CHAIN_IT", "1", "unknown key", "`chain_id`"),
        ("GHOST_FLEET__CHIAN__CHAIN_ID", "1", "no section 'chian'", "`chain`"),
        ("GHOST_FLEET__CHAIN", "1", "does not name one key", "SECTION__KEY"),
        ("GHOST_FLEET__WALLETS__0__PRIVATE_KEY", "11" * 32, "cannot be overridden", "SECTION__KEY"),
        ("GHOST_FLEET__CHAIN__CHAIN_ID", "4326", "is live", "allow_live"),
        ("GHOST_FLEET_RPC_URL", "localhost:8545", "not accepted", "http"),
    ],
)
def test_an_override_that_does_not_fit_is_a_problem_of_the_variable(
    operator, only_problem, variable, value, wrong, right
):
    operator.environ[variable] = value
    found = only_problem()
    assert (found.file, found.key) == ("environment", variable)
    assert wrong in found.wrong
    assert right in found.right


def test_a_misspelt_variable_is_a_warning_and_those_of_kubernetes_are_not(operator):
    operator.environ |= {
        "GHOST_FLEET_DRYRUN": "1",
        "GHOST_FLEET_SERVICE_HOST": "10.0.0.1",
        "GHOST_FLEET_PORT": "tcp://x",
    }
    warnings = [warning for warning in operator.load().warnings if "variable" in warning]
    assert warnings == ["environment variable GHOST_FLEET_DRYRUN has no meaning; did you mean GHOST_FLEET_DRY_RUN?"]
