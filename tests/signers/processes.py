"""How does a test run those who hold keys? A Web3Signer of ours and moto's AWS KMS, each as a process of its own.

async with web3signer(keys) as signer:
    signer.hang(); signer.go_on(); await signer.kill()
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ghostfleet.devnet.process import ended

ROOT = Path(__file__).parents[2]
START_SECS = 120.0
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What moto takes, and no look at the machine's own."""


@dataclass
class Server:
    """A process that answers at `url`."""

    url: str
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    """What it said at its start, after its URL."""

    def hang(self) -> None:
        """It takes connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def server(module: str, *arguments: str, told: Sequence[str] = (), lines: int = 0) -> AsyncIterator[Server]:
    """A module of this folder as a process: takes `told` line by line, says its URL and so many lines more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.signers.{module}",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **AWS_ENVIRONMENT},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with ended(process):
        process.stdin.write(("\n".join(told) + "\n\n").encode())
        await process.stdin.drain()
        async with asyncio.timeout(START_SECS):
            said = [(await process.stdout.readline()).decode().strip() for _ in range(1 + lines)]
        assert said[0].startswith("http"), f"{module} did not start: {said}"
        try:
            yield Server(said[0], process, said[1:])
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # one that hangs would not hear a SIGTERM


@contextlib.asynccontextmanager
async def web3signer(keys: Mapping[bytes, bytes], *arguments: str) -> AsyncIterator[Server]:
    """Holds private keys: for the public key of each the one that it really signs with, mostly the same."""
    async with server("signer", *arguments, told=[f"{key.hex()} {real.hex()}" for key, real in keys.items()]) as it:
        yield it


@contextlib.asynccontextmanager
async def kms(keys: Sequence[bytes]) -> AsyncIterator[Server]:
    """Holds private keys under the aliases `alias/0`, `alias/1` and so on; `lines` are their key ids."""
    async with server("aws", told=[key.hex() for key in keys], lines=len(keys)) as it:
        yield it
