"""One fleet with its service for the tests of a file, on an anvil of its own.

Every test arranges what it needs, so their order does not matter.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from ghostfleet.devnet.launch import find_anvil
from tests.acceptance.service_process import GHOST_FLEET
from tests.runbook.stage import CAST, Stage, new_stage

STOP_SECS = 60
PROGRAMS = ("bash", "curl", "jq", "df", "free")
"""Of Debian: what the runbook's lines call beside ours and Foundry's."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [] if find_anvil() and (CAST / "cast").exists() else ["anvil and cast (`npm install`)"]
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"not installed: {missing} (a test that needs it never skips in CI)")
        pytest.skip(f"not installed: {missing}")
    arguments = ("devnet", "--engine", "anvil", "--port", "0", "--block-time", "0.25", "--json")
    with subprocess.Popen([str(GHOST_FLEET), *arguments], stdout=subprocess.PIPE, text=True) as devnet:
        assert devnet.stdout is not None
        stage = new_stage(tmp_path_factory.mktemp("fleet"), json.loads(devnet.stdout.readline())["url"])
        yield stage
        stage.close()
        devnet.send_signal(signal.SIGTERM)
        devnet.wait(STOP_SECS)
