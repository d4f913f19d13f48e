"""The main job, as `make demo` runs it: every kind of action on the embedded chain, and a log that says what the chain says."""

import asyncio
import json
import re
import socket
import sys
import urllib.request

import pytest

from ghostfleet.plugins.ghostnet import GhostnetPlugin

SECONDS = 45
LEAST_MINED = 150


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kinds_that_succeeded(metrics: str) -> set[str]:
    found = re.findall(r"ghost_fleet_actions_total\{([^}]*)\} ([0-9.e+]+)", metrics)
    labels = [(dict(re.findall(r'(\w+)="([^"]*)"', text)), float(count)) for text, count in found]
    return {label["kind"] for label, count in labels if label["outcome"] == "succeeded" and count}


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.timeout(180)
async def test_the_demo_shows_every_kind_of_action_and_log_and_chain_agree():
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from ghostfleet.cli.main import entry; entry()",
        *("demo", "--seconds", str(SECONDS), "--wallets", "20", "--port", str(port), "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    kinds: set[str] = set()
    health = ""
    while not reading.done():
        await asyncio.wait([reading], timeout=2)
        try:
            kinds |= kinds_that_succeeded(await asyncio.to_thread(ask, f"http://127.0.0.1:{port}/metrics"))
            health = await asyncio.to_thread(ask, f"http://127.0.0.1:{port}/health")
        except OSError:
            continue  # not up yet, or down again
    output = (await reading).decode()
    assert await process.wait() == 0, output
    result = json.loads(output.splitlines()[-1])
    assert list(result) == ["wallets", "seconds", "actions", "transactions", "log", "chain"]
    assert result["wallets"] == 20
    assert set(result["actions"]) == {"succeeded", "failed", "rejected"}
    assert result["transactions"]["mined"] >= LEAST_MINED
    assert result["transactions"]["open"] == 0
    assert result["log"]["verified"] is True
    assert result["chain"] == {"engine": "embedded", "mismatches": 0}
    assert kinds >= set(GhostnetPlugin.kinds)
    assert json.loads(health)["status"] == "healthy"
