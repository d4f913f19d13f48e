"""How does a test get a faulty way to its chain? `running_proxy`, a process of its own that ends with the block or the test."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from ghostfleet.devnet.process import ended
from tests.acceptance.service_process import listening_port

START_SECS = 120.0


@dataclass(frozen=True)
class ProxyProcess:
    """Where it answers, and how it is told."""

    url: str
    control: str
    seed: int

    async def switch(self, *, on: bool) -> None:
        """Faults on or off."""
        await self._ask("POST", "/on" if on else "/off")

    async def counts(self) -> dict[str, Any]:
        """{"requests": n, "faults": {kind: n}}"""
        return dict(await self._ask("GET", "/counts"))

    async def _ask(self, method: str, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.request(method, self.control + path) as answer:
            return await answer.json()


@contextlib.asynccontextmanager
async def running_proxy(upstream: str, *, seed: int, faults: str = "all") -> AsyncIterator[ProxyProcess]:
    """The proxy before `upstream`."""
    port, control = listening_port(), listening_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.proxy", "--upstream", upstream, "--port", str(port), "--control", str(control)),
        *("--seed", str(seed), "--faults", faults, "--until-eof"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with ended(process):
        async with asyncio.timeout(START_SECS):
            line = (await process.stdout.readline()).decode()
        assert line, f"the proxy ended at its start ({process.returncode})"
        yield ProxyProcess(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{control}", seed)
