"""A settings file that a command changes keeps all that its owner wrote, and is never replaced by one that does not load."""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostfleet.config.editing import NotEditable, append, disable, replace_file, require_replaceable, wallet_ids
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


GOOD = '[chain]\nchain_id = 31337\nrpc_url = "http://127.0.0.1:8545"\n[plugins]\nenabled = []\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text(GOOD)
    path.chmod(0o600)
    return path


def test_whether_it_can_be_replaced_is_asked_without_a_trace(config: Path) -> None:
    before = config.stat()
    require_replaceable(config, GOOD + "# better\n", {})
    with pytest.raises(ConfigInvalid):
        require_replaceable(config, GOOD + "[nonsense]\n", {})
    assert (config.read_text(), config.stat().st_ino) == (GOOD, before.st_ino)
    assert [it.name for it in config.parent.iterdir()] == [config.name]


MOUNTED = """
import sys
from pathlib import Path
from ghostfleet.config.editing import NotEditable, replace_file, require_replaceable
config = Path(sys.argv[1])
try:
    require_replaceable(config, config.read_text(), {})
except NotEditable as refused:
    print(refused)
"""


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ("mount --bind {file} {config}", "is mounted by itself and cannot be replaced: mount the folder"),
        (
            "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}",
            "cannot be replaced: Read-only file system",
        ),
    ],
    ids=["a file that is a mount", "a folder that is mounted read-only"],
)
def test_what_a_container_mounts_wrong_is_found_before_it_matters(
    config: Path, tmp_path: Path, mounts: str, said: str
) -> None:
    (tmp_path / "elsewhere.toml").write_text(GOOD)
    script = mounts.format(file=tmp_path / "elsewhere.toml", config=config, folder=config.parent)
    private = ("unshare", "--mount", "--map-root-user", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run([*private, script], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make mounts of his own")
    done = subprocess.run(
        [*private, f'{script} && exec {sys.executable} -c "$0" {config}', MOUNTED], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_whoever_replaces_it_it_stays_its_owners(config: Path, tmp_path: Path) -> None:
    os.chown(config, 10001, 10001)
    replace_file(config, GOOD + "# better\n", {}, tmp_path / "before")
    for file in (config, tmp_path / "before"):
        assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o777) == (10001, 10001, 0o600)


def test_a_link_that_leads_to_it_stays_one(config: Path, tmp_path: Path) -> None:
    link = config.with_name("link.toml")
    link.symlink_to(config.name)
    require_replaceable(link, GOOD + "# better\n", {})
    replace_file(link, GOOD + "# better\n", {}, tmp_path / "before")
    assert (link.is_symlink(), config.read_text()) == (True, GOOD + "# better\n")


def test_what_was_there_is_kept_on_another_disk_too(config: Path) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == config.stat().st_dev:
        pytest.skip("there is no other file system here")
    with tempfile.TemporaryDirectory(dir=shared) as elsewhere:
        replace_file(config, GOOD + "# better\n", {}, Path(elsewhere) / "before")
        assert (Path(elsewhere) / "before").read_text() == GOOD
