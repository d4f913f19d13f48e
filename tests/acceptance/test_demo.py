"""The main job, as `make demo` runs it: every kind of action on the embedded chain, and a log that says what the chain says."""

import asyncio
import contextlib
import json
import os
import pty
import re
import sys
import urllib.request
from pathlib import Path

import pytest

from ghostfleet.devnet.process import free_port
from ghostfleet.plugins.ghostnet import GhostnetPlugin
from tests.acceptance.service_process import until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LEAST_MINED = 150
SHOWN_SECS = 200.0
CTRL_C = b"\x03"
TERMINAL = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
"""Run by the leader of a new session: whatever terminal it opens first is its own, with Ctrl-C and all."""
FORGETFUL = """
from ghostfleet.store import queries

every = queries.every

async def all_but_one(*asked):
    kept_back = True
    async for row in every(*asked):
        if kept_back and row.status in ("mined", "final"):
            kept_back = False
        else:
            yield row

queries.every = all_but_one
from ghostfleet.cli.main import entry
entry()
"""
"""The command, with one mined transaction of the log kept from the comparison at the end."""


ASKED = set(
    re.findall(
        r"`(?:curl http://127\.0\.0\.1:8080)?(/[a-z/]+)`", README.split("While the demo runs", 1)[1].split("\n\n")[0]
    )
)
"""What the README says can be asked while it runs."""


def kinds_that_succeeded(metrics: str) -> set[str]:
    found = re.findall(r"ghost_fleet_actions_total\{([^}]*)\} ([0-9.e+]+)", metrics)
    labels = [(dict(re.findall(r'(\w+)="([^"]*)"', text)), float(count)) for text, count in found]
    return {label["kind"] for label, count in labels if label["outcome"] == "succeeded" and count}


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def make_line(line: str, port: int) -> list[str]:
    """A `make demo` line of the README, on this port and in the virtual environment of this test, which is set up already."""
    found = re.fullmatch(r'make demo(?: ARGS="(.*)")?', line)
    assert found, line
    arguments = f"{found[1] or ''} --port {port}"
    return ["make", "--no-print-directory", "-o", "setup", "demo", f"VENV={sys.prefix}", f"ARGS={arguments}"]


async def printed(terminal: int, what: str, output: bytearray) -> None:
    """Read until the terminal has shown it."""

    async def look() -> bool:
        with contextlib.suppress(BlockingIOError):
            output.extend(os.read(terminal, 65_536))
        return what.encode() in output

    await until(look, f"{what!r} on the terminal; it showed:\n{output[-2000:].decode(errors='replace')}", SHOWN_SECS)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_the_demo_shows_every_kind_of_action_and_log_and_chain_agree():
    """The README's own line, with its own seconds and wallets."""
    port = free_port()
    (line,) = re.findall(r'`(make demo ARGS="[^"`]*--json")`', README)
    process = await asyncio.create_subprocess_exec(*make_line(line, port), stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    kinds: set[str] = set()
    answered: set[str] = set()
    while not reading.done():
        await asyncio.wait([reading], timeout=2)
        try:
            kinds |= kinds_that_succeeded(await asyncio.to_thread(ask, f"http://127.0.0.1:{port}/metrics"))
            for path in ASKED:
                await asyncio.to_thread(ask, f"http://127.0.0.1:{port}{path}")
                answered.add(path)
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
    assert answered == ASKED


@pytest.mark.timeout(600)
async def test_port_0_takes_a_free_one_and_says_which():
    """It used to take port 1."""
    program = (
        str(Path(sys.executable).parent / "ghost-fleet"),
        *["demo", "--wallets", "5", "--seconds", "1", "--port", "0"],
    )
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0, out
    said = re.search(r"running: http://127\.0\.0\.1:(\d+) answers", out)
    assert said is not None, out
    assert int(said[1]) > 1023


@pytest.mark.timeout(600)
async def test_a_service_that_is_stopped_by_a_command_ends_the_demo():
    """It waited for ever, for commits that nobody made any more."""
    port = free_port()
    program = str(Path(sys.executable).parent / "ghost-fleet")
    process = await asyncio.create_subprocess_exec(
        *(program, "demo", "--wallets", "3", "--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    while b"answers" not in (line := await process.stdout.readline()):
        assert line, "the demo ended before its service answered"
    stop = await asyncio.create_subprocess_exec(program, "stop", "--url", f"http://127.0.0.1:{port}")
    out, errors = await process.communicate()
    assert process.returncode == 1, out
    assert "the service was asked to stop: nothing was compared" in errors.decode()
    await stop.wait()


@pytest.mark.timeout(600)
async def test_a_transaction_that_is_missing_in_the_log_ends_it_with_exit_code_1():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORGETFUL, "demo", "--wallets", "3", "--seconds", "4", "--port", "0", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, err = (text.decode() for text in await process.communicate())
    assert process.returncode == 1, out + err
    assert json.loads(out.splitlines()[-1])["chain"]["mismatches"] >= 1
    assert "differences between log and chain" in err


@pytest.mark.timeout(600)
async def test_ctrl_c_in_a_terminal_ends_the_demo_gracefully_with_log_and_chain_compared():
    """The README's first command as a person runs it: Ctrl-C reaches every process of the terminal but the chain."""
    (line,) = re.findall(r"^(make demo) +#", README, re.MULTILINE)
    ours, its = pty.openpty()
    os.set_blocking(ours, False)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TERMINAL, "/usr/bin/env", *make_line(line, free_port())),
            stdin=its, stdout=its, stderr=its, cwd=ROOT, start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "130", "LINES": "50"},
        )  # fmt: skip
        output = bytearray()
        await printed(ours, "transactions 1", output)  # the view, with transactions under way
        os.write(ours, CTRL_C)
        await printed(ours, "differences from the embedded chain", output)
        assert "; 0 differences" in output.decode(errors="replace")
        await process.wait()
        assert b"Traceback" not in output
        assert b"is left alone" not in output  # the chain outlived the Ctrl-C
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)
        os.close(its)
