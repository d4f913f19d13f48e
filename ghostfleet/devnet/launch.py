"""Which development chain comes up when one is asked for? `running_devnet`: anvil or embedded, surely ended afterwards."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Literal

from ghostfleet.devnet.accounts import DEV_CHAIN_ID
from ghostfleet.devnet.anvil import find_anvil, running_anvil
from ghostfleet.devnet.errors import DevnetFailed
from ghostfleet.devnet.process import OWN_GROUP, START_SECS, Devnet, ended

Engine = Literal["auto", "anvil", "embedded"]
MAX_OUTPUT_BYTES = 64 * 1024

__all__ = ["Devnet", "Engine", "find_anvil", "running_anvil", "running_devnet", "running_embedded"]


@contextlib.asynccontextmanager
async def running_embedded(
    *, port: int = 0, block_time_secs: float = 1.0, chain_id: int = DEV_CHAIN_ID
) -> AsyncIterator[Devnet]:
    """The embedded chain in a process of its own. Ended when the block ends, or when this process dies."""
    command = ("--port", str(port), "--block-time", f"{block_time_secs:g}", "--chain-id", str(chain_id), "--until-eof")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ghostfleet.devnet.embedded",
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_OUTPUT_BYTES,
        process_group=OWN_GROUP,
    )
    assert process.stdout is not None
    async with ended(process):
        try:
            async with asyncio.timeout(START_SECS):
                url = (await process.stdout.readline()).decode().strip()
        except TimeoutError:
            raise DevnetFailed(f"the embedded chain did not answer within {START_SECS:g} s") from None
        if not url:
            raise DevnetFailed(f"the embedded chain ended at its start, on port {port}: see its output above")
        yield Devnet(url, "embedded", process)


@contextlib.asynccontextmanager
async def running_devnet(
    engine: Engine = "auto", *, port: int = 0, block_time_secs: float = 1.0, chain_id: int = DEV_CHAIN_ID
) -> AsyncIterator[Devnet]:
    """The engine asked for; `auto` is anvil where it is installed, else the embedded chain."""
    if engine == "anvil" or (engine == "auto" and find_anvil() is not None):
        async with running_anvil(port=port, block_time_secs=block_time_secs, chain_id=chain_id) as devnet:
            yield devnet
    else:
        async with running_embedded(port=port, block_time_secs=block_time_secs, chain_id=chain_id) as devnet:
            yield devnet
