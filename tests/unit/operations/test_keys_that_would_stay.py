"""What would keep a process from destroying a keystore is known before anything is paid."""

import shutil
import subprocess
import sys
from pathlib import Path

import coincurve
import pytest

from ghostfleet.cli.before_paying import WouldNotEnd, require_of_service
from ghostfleet.domain.values import Address
from ghostfleet.keys.addresses import address_of
from ghostfleet.keys.keystore import write_keystore
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.destroy import why_it_would_stay

KEY = Secret(bytes.fromhex("22" * 32))
ADDRESS = address_of(coincurve.PrivateKey(KEY.reveal()))
ASKED = """
import sys
from pathlib import Path
from ghostfleet.domain.values import Address
from ghostfleet.operations.destroy import why_it_would_stay
print(why_it_would_stay(Path(sys.argv[1]), Address.from_hex(sys.argv[2])))
"""


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    folder = tmp_path / "keystores"
    folder.mkdir()
    write_keystore(folder / "wallet-001.json", KEY, Secret(b"pw"), scrypt_n=2)
    return folder / "wallet-001.json"


def test_one_that_can_be_destroyed_one_of_somebody_else_and_one_that_is_not_there(keystore: Path) -> None:
    assert why_it_would_stay(keystore, ADDRESS) == ""
    assert "does not say whose key it holds" in why_it_would_stay(keystore, Address(bytes(20)))
    assert "is not there" in why_it_would_stay(keystore.with_name("gone.json"), ADDRESS)
    keystore.write_text("{}")
    assert "not a keystore file" in why_it_would_stay(keystore, ADDRESS)


def test_a_folder_that_is_mounted_read_only(keystore: Path) -> None:
    """As compose had it, and as /etc is for a unit with ProtectSystem=strict."""
    folder = keystore.parent
    script = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    private = ("unshare", "--mount", "--map-root-user", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run([*private, script], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make mounts of his own")
    ask = f'{script} && exec {sys.executable} -c "$0" {keystore} {ADDRESS}'
    told = subprocess.run([*private, ask, ASKED], capture_output=True, text=True)
    assert told.stdout.strip() == f"{folder} cannot be written", told.stderr


def test_what_the_service_answers_is_told_with_what_to_do() -> None:
    require_of_service({"wallet-001": {"stays": ""}})
    with pytest.raises(WouldNotEnd, match=r"nothing was paid.*wallet-001.*is not there.*docker exec.*--keys-may-stay"):
        require_of_service({"wallet-001": {"stays": "/x is not there"}, "wallet-002": {"stays": ""}})
