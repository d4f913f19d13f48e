"""How is a development chain spoken to? A small JSON-RPC client, in batches; not the service's own edge, which it tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp

from ghostfleet.devnet.errors import DevnetFailed

BATCH = 100
REQUEST_SECS = 60.0
POLL_SECS = 0.05
Request = tuple[str, list[Any]]


class DevnetClient:
    """One endpoint, one session."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def call(self, method: str, *params: Any) -> Any:
        """The result. Raises DevnetFailed with the node's words."""
        return (await self.batch([(method, list(params))]))[0]

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """The results in order, over as many HTTP requests as it takes."""
        results: list[Any] = []
        for start in range(0, len(requests), BATCH):
            results += await self._post(requests[start : start + BATCH])
        return results

    async def receipts(self, hashes: Sequence[str], timeout_secs: float) -> list[dict[str, Any]]:
        """Wait until all are mined. Raises DevnetFailed when that takes too long or one was reverted."""
        found: dict[str, dict[str, Any]] = {}
        try:
            async with asyncio.timeout(timeout_secs):
                while waiting := [one for one in hashes if one not in found]:
                    answers = await self.batch([("eth_getTransactionReceipt", [one]) for one in waiting])
                    found |= {one: answer for one, answer in zip(waiting, answers, strict=True) if answer is not None}
                    if len(found) < len(hashes):
                        await asyncio.sleep(POLL_SECS)
        except TimeoutError:
            missing = len(hashes) - len(found)
            raise DevnetFailed(
                f"{missing} of {len(hashes)} transactions were not mined in {timeout_secs:g} s"
            ) from None
        for one in hashes:
            if found[one]["status"] != "0x1":
                raise DevnetFailed(f"transaction {one} was reverted by the development chain at {self.url}")
        return [found[one] for one in hashes]

    async def _post(self, requests: Sequence[Request]) -> list[Any]:
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(requests)
        ]
        try:
            async with self._session.post(self.url, json=body) as response:
                answers = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise DevnetFailed(f"no JSON-RPC answer from {self.url}: {type(error).__name__}") from None
        if not isinstance(answers, list) or len(answers) != len(requests):
            raise DevnetFailed(f"{self.url} does not answer JSON-RPC batches: is it a development chain?")
        by_id = {answer.get("id"): answer for answer in answers}
        for index, (method, _) in enumerate(requests):
            if "error" in by_id.get(index, {}):
                raise DevnetFailed(f"{method} at {self.url}: {by_id[index]['error'].get('message')}")
        return [by_id[index]["result"] for index in range(len(requests))]


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[DevnetClient]:
    """A client of the chain at `url`, closed when the block ends."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECS)) as session:
        yield DevnetClient(url, session)
