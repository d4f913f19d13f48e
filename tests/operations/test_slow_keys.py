"""EP-002 with the service down: a fleet's keystores may take minutes to open, and nobody gives up on them meanwhile."""

import asyncio

import pytest

from ghostfleet.cli import operations_door
from ghostfleet.config.loading import load
from ghostfleet.keys.keystore import DEFAULT_SCRYPT_N, open_keystore, read_keystore, write_keystore
from ghostfleet.keys.secret import Secret
from tests.operations.stage import MoneyFleet

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]


async def test_a_command_that_goes_on_alone_waits_for_the_keys_and_says_so(
    fleet: MoneyFleet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    password = Secret((fleet.directory / "keystore-password").read_bytes().strip())
    for keystore in sorted((fleet.directory / "keystores").iterdir()):
        secret = open_keystore(read_keystore(keystore), password)
        keystore.unlink()
        write_keystore(keystore, secret, password, scrypt_n=DEFAULT_SCRYPT_N)
    monkeypatch.setattr(operations_door, "NOTICE_SECS", 0.05)
    loaded = load(fleet.config, fleet.environ({}))

    def ask() -> int:
        with operations_door._alone(loaded) as door:
            return len(door.status()["wallets"])

    assert await asyncio.to_thread(ask) == len(fleet.wallets)
    notices = capsys.readouterr().err.splitlines()
    assert len(notices) > 1
    keys = len(fleet.wallets) + 1
    assert all(line.startswith(f"ghost-fleet: note: opening {keys} keys and the log, for ") for line in notices), (
        notices
    )
