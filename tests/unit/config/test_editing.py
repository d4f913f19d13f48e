"""A settings file that a command changes keeps all that its owner wrote, and is never replaced by one that does not load."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.config.editing import NotEditable, append, disable, replace_file, wallet_ids
from ghostfleet.config.problems import ConfigInvalid

TEXT = """# my fleet
[chain] # the test network
chain_id = 31337
rpc_url = "http://127.0.0.1:8545"

[[wallets]]
id = "wallet-001" # the first
address = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
profile = "whale"
enabled = true

  [[ wallets ]]
  profile = "degen"
  id = 'wallet-002'
  address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
[plugins]
enabled = ["ghostnet"]
"""


@given(st.sets(st.sampled_from(["wallet-001", "wallet-002"])))
def test_disabling_changes_those_wallets_and_nothing_else(names: set[str]) -> None:
    before, changed = tomllib.loads(TEXT), disable(TEXT, names)
    after = tomllib.loads(changed)
    assert after["plugins"] == before["plugins"]
    assert [it.get("enabled", True) for it in after["wallets"]] == [it["id"] not in names for it in before["wallets"]]
    assert "# the first" in changed
    assert disable(changed, names) == changed
    assert wallet_ids(changed) == ["wallet-001", "wallet-002"]


def test_a_wallet_without_a_table_is_named() -> None:
    with pytest.raises(NotEditable, match="wallet-009"):
        disable(TEXT, ["wallet-009"])


def test_appending_adds_tables_to_any_end() -> None:
    table = '\n[[wallets]]\nid = "wallet-003"\n'
    for text in (TEXT, TEXT.rstrip("\n"), TEXT + "\n\n"):
        assert wallet_ids(append(text, table)) == ["wallet-001", "wallet-002", "wallet-003"]


def test_a_file_that_would_not_load_is_not_put_in_place(tmp_path: Path) -> None:
    config, backup = tmp_path / "config.toml", tmp_path / "config.toml.before"
    good = '[chain]\nchain_id = 31337\nrpc_url = "http://127.0.0.1:8545"\n[plugins]\nenabled = []\n'
    config.write_text(good)
    config.chmod(0o600)
    with pytest.raises(ConfigInvalid):
        replace_file(config, good + "[nonsense]\n", {}, backup)
    assert (config.read_text(), backup.exists(), len(list(tmp_path.iterdir()))) == (good, False, 1)
    replace_file(config, good + "# better\n", {}, backup)
    assert (config.read_text(), backup.read_text()) == (good + "# better\n", good)
    assert config.stat().st_mode & 0o777 == 0o600
