"""EP-002 with the service down: a fleet's keystores may take minutes to open. The plan is there before, and every wallet is
emptied as soon as its own key is."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ghostfleet.cli import operations_door
from ghostfleet.config.loading import load
from ghostfleet.domain import events as ev
from ghostfleet.keys import opening
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.keyring import BEING_OPENED
from ghostfleet.keys.keystore import Keystore, open_keystore
from ghostfleet.keys.secret import Secret
from tests.operations.stage import SAFE, MoneyFleet

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.5], indirect=True)]
LONG_SECS = 60.0


def _until(door: operations_door.AloneDoor, operation: str, shown: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + LONG_SECS
    while not shown(door.one(operation)):
        assert time.monotonic() < deadline, door.one(operation)
        time.sleep(0.05)


async def test_a_command_that_goes_on_alone_does_what_it_can_while_keys_are_being_opened(
    fleet: MoneyFleet, monkeypatch: pytest.MonkeyPatch
):
    going_on = threading.Event()

    def slow(file: Keystore, password: Secret) -> Secret:
        if not file.path.stem.endswith("1"):
            going_on.wait(LONG_SECS)
        return open_keystore(file, password)

    monkeypatch.setattr(opening, "open_keystore", slow)
    loaded = load(fleet.config, fleet.environ({}))
    others = dict.fromkeys(("wallet-002", "wallet-003"), BEING_OPENED)

    def extract() -> None:
        body = {"kind": "extract", "extract": {"to": SAFE}}
        try:
            with operations_door._alone(loaded) as door:
                assert door._running.service.keys_check().reason == "2 keys are still being opened"
                door.pause("everything comes out")
                assert set(door.plan(body)["plans"]) == set(fleet.wallets)
                operation = door.start(body)["operation"]
                _until(door, operation, lambda it: "wallet-001" in it["rows"])
                assert door.one(operation)["waiting"] == others
                going_on.set()
                _until(door, operation, lambda it: it["state"] == "done")
        finally:
            going_on.set()

    await asyncio.to_thread(extract)
    await fleet.empty()
    await fleet.agrees()
    assert not [each for each in await fleet.recorded() if isinstance(each.event, ev.ErrorRecorded)]


async def test_a_new_wallet_is_not_registered_before_its_key_is_seen_to_fit(fleet: MoneyFleet):
    """Foundry's keystores do not state their address, and an id that is registered under a wrong one is lost."""
    keystore = fleet.directory / "keystores" / "wallet-003.json"
    content = json.loads(keystore.read_text())
    del content["address"]
    keystore.write_text(json.dumps(content))
    settings = fleet.config.read_text()
    fleet.config.write_text(settings.replace(checksummed(fleet.wallets["wallet-003"]), f"0x{99:040x}"))
    assert fleet.config.read_text() != settings
    fleet.variables["GHOST_FLEET__SERVICE__HEALTH_PORT"] = (
        "0"  # were it to start, nobody would take it for another service
    )
    refused = await fleet.run("run")
    assert refused.code == 2
    assert "wallet-003: the key belongs to " in refused.err
    assert not await fleet.recorded()
