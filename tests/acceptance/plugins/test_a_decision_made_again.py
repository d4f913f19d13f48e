"""The script of docs/plugins.md makes decisions again that a service recorded, from nothing but the export of its log."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ghostfleet.devnet.client import DevnetClient
from ghostfleet.plugins.api import Action
from tests.acceptance.plugins.test_plugin_guide import BLOCKS, run
from tests.acceptance.service_process import prepared_fleet

pytestmark = [pytest.mark.anvil, pytest.mark.parametrize("anvil", [0.2], indirect=True)]


async def test_every_decision_in_an_exported_log_is_made_again(chain: DevnetClient, tmp_path: Path) -> None:
    fleet = await prepared_fleet(chain, tmp_path / "fleet", chain__finality_blocks=4, chain__block_time_secs=0.2)
    fleet.edit_config(('amount_wei = "1"', 'amount_wei = {min = "1", max = "1000000"}'))
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(2)
        assert await service.terminate() == 0
    exported = await fleet.command("audit", "export")
    log, script = tmp_path / "log.jsonl", tmp_path / "again.py"
    log.write_text(exported.out)
    script.write_text(BLOCKS[script.name])
    again = _module(script)
    decided = [json.loads(row["payload"]) for row in exported.lines if row["type"] == "ActionDecided"]
    assert len({it["call"]["value_wei"] for it in decided}) > 2, "the amount is drawn"
    for it in decided:
        choice = again.made_again(*again.found(exported.out.splitlines(), it["action_id"]))
        assert isinstance(choice, Action)
        assert (choice.kind, choice.params, choice.spend_wei) == (it["kind"], it["params"], it["spend_wei"])
        call = choice.call
        assert {"to": str(call.to), "value_wei": call.value_wei, "data": str(call.data)} == it["call"]
        moved = it | {"seed": it["seed"] + 1}
        assert again.made_again(moved, again.found(exported.out.splitlines(), it["action_id"])[1]) != choice
    said = run(sys.executable, script, log, decided[0]["action_id"], cwd=tmp_path)
    assert said.startswith("then: transfer {")
    assert "now:  Action(kind='transfer'" in said


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("again", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
