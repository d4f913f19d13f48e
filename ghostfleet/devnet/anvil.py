"""Where is anvil, and how does it run? Started by its binary: the wrapper that npm installs costs a Node process."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from ghostfleet.devnet.accounts import DEV_CHAIN_ID
from ghostfleet.devnet.errors import EngineMissing
from ghostfleet.devnet.process import OWN_GROUP, Devnet, answers, ended, free_port

THREADS = {"TOKIO_WORKER_THREADS": "8"}
"""Anvil takes as many as there are processors; with two, sends that flood it while it mines at once lock it up for good."""


def find_anvil(environ: dict[str, str] | None = None, roots: Sequence[Path] | None = None) -> Path | None:
    """On PATH, then in node_modules, above this package or where we are; there the binary rather than its wrapper in Node."""
    on_path = shutil.which("anvil", path=(environ if environ is not None else dict(os.environ)).get("PATH", ""))
    for root in roots if roots is not None else (Path.cwd(), Path(__file__).resolve().parents[2]):
        modules = root / "node_modules"
        for binary in sorted(modules.glob("@foundry-rs/anvil-*/bin/anvil")):
            if os.access(binary, os.X_OK):
                wrapper = on_path is not None and Path(on_path).resolve().is_relative_to(modules.resolve())
                return Path(on_path) if on_path is not None and not wrapper else binary
        if on_path is None and os.access(modules / ".bin" / "anvil", os.X_OK):
            return modules / ".bin" / "anvil"
    return Path(on_path) if on_path is not None else None


@contextlib.asynccontextmanager
async def running_anvil(
    *,
    port: int = 0,
    block_time_secs: float = 0.0,
    chain_id: int = DEV_CHAIN_ID,
    args: Sequence[str] = (),
    binary: Path | None = None,
) -> AsyncIterator[Devnet]:
    """anvil on a port (0 = a free one), mining every `block_time_secs` (0 = at once). Ended when the block ends."""
    found = binary or find_anvil()
    if found is None:
        raise EngineMissing("anvil is neither on PATH nor in node_modules: run `npm install @foundry-rs/anvil`")
    chosen = port or free_port()
    command = [str(found), "--port", str(chosen), "--chain-id", str(chain_id), "--silent"]
    if block_time_secs:
        command += ["--block-time", f"{block_time_secs:g}"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=THREADS | os.environ,
        process_group=OWN_GROUP,
    )
    async with ended(process):
        url = f"http://127.0.0.1:{chosen}"
        await answers(url, process, "anvil")
        yield Devnet(url, "anvil", process)
