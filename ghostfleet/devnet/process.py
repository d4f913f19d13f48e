"""How is a development chain's process watched from its start to its certain end?"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Literal

import aiohttp
import msgspec

from ghostfleet.devnet.errors import DevnetFailed

START_SECS = 60.0
"""py-evm takes a second or two to import; on a machine under full load much longer."""
STOP_SECS = 5.0
POLL_SECS = 0.01
OWN_GROUP = 0
"""A chain gets a process group of its own: Ctrl-C in a terminal is for whoever started it, who needs the chain until the end."""


class Devnet(msgspec.Struct, frozen=True):
    """A running development chain: where it answers, which engine it is, and its process (None: served from this one)."""

    url: str
    engine: Literal["anvil", "embedded"]
    process: asyncio.subprocess.Process | None


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(url: str, process: asyncio.subprocess.Process, name: str) -> None:
    """Wait until it answers JSON-RPC. Raises DevnetFailed when it ends first, or takes too long."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        async with asyncio.timeout(START_SECS), aiohttp.ClientSession() as session:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.post(url, json=request) as response:
                        if response.status == 200 and "result" in await response.json(content_type=None):
                            return
                await asyncio.sleep(POLL_SECS)
    except TimeoutError:
        raise DevnetFailed(f"{name} did not answer at {url} within {START_SECS:g} s") from None
    raise DevnetFailed(f"{name} ended at its start (exit code {process.returncode}); is {url} taken?")


@contextlib.asynccontextmanager
async def ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Whatever happens inside, the process is gone afterwards."""
    try:
        yield
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_SECS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                await process.stdin.wait_closed()
