"""The embedded chain as a process: JSON-RPC over HTTP, blocks at an interval or at once.

    python -m ghostfleet.devnet.embedded --port 8545 --block-time 1

prints its address on one line when it answers, and ends on SIGTERM, SIGINT, or when its standard input is closed (with
--until-eof), so that it never outlives who started it.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

from aiohttp import web

from ghostfleet.devnet.accounts import DEV_CHAIN_ID
from ghostfleet.devnet.evm import EmbeddedChain
from ghostfleet.devnet.hexadecimal import octets
from ghostfleet.devnet.jsonrpc import answer
from ghostfleet.devnet.methods import Methods
from ghostfleet.devnet.rpc_errors import SYNC_TIMEOUT, RpcError
from ghostfleet.devnet.wire import JsonObject, MinedBlock

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_SYNC_WAIT_SECS = 30.0
DEFAULT_SYNC_WAIT_SECS = 10.0


class EmbeddedNode:
    """A chain, its block production, and its method table. `block_time_secs` 0 mines every transaction at once."""

    def __init__(self, chain: EmbeddedChain, block_time_secs: float) -> None:
        self.chain = chain
        self._block_time_secs = block_time_secs
        self._mined = asyncio.Event()
        self.methods = Methods(chain, self.submit, self.submit_and_wait, self.mine).table()

    def mine(self) -> MinedBlock:
        """One block now; wakes who waits for a receipt."""
        block = self.chain.mine()
        self._mined.set()
        self._mined = asyncio.Event()
        return block

    def submit(self, raw: bytes) -> bytes:
        """Into the pool, and into a block where blocks do not come by the clock."""
        tx_hash = self.chain.submit(raw)
        if self._block_time_secs == 0:
            self.mine()
        return tx_hash

    async def submit_and_wait(self, raw: bytes, timeout_secs: float | None) -> JsonObject:
        """EIP-7966: the receipt, or an error that says it is still waiting."""
        tx_hash = self.submit(raw)
        wait = min(timeout_secs if timeout_secs else DEFAULT_SYNC_WAIT_SECS, MAX_SYNC_WAIT_SECS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while (receipt := self.chain.receipt(tx_hash)) is None:
                    await self._mined.wait()
                return receipt
        raise RpcError(
            SYNC_TIMEOUT,
            f"The transaction was added to the mempool but wasn't processed in {wait:g}s.",
            octets(tx_hash),
        )

    async def produce_blocks(self) -> None:
        """A block every `block_time_secs`, for ever; a late one does not shift the next."""
        if self._block_time_secs == 0:
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._block_time_secs, loop.time())
            await asyncio.sleep(due - loop.time())
            self.mine()


def application(node: EmbeddedNode) -> web.Application:
    """One route: POST /, JSON-RPC."""

    async def post(request: web.Request) -> web.Response:
        body = await answer(await request.read(), node.methods)
        if body is None:
            return web.Response(status=204)
        return web.Response(body=body, content_type="application/json")

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/", post)
    return app


@contextlib.asynccontextmanager
async def serving(
    *, host: str = "127.0.0.1", port: int = 0, block_time_secs: float = 1.0, chain_id: int = DEV_CHAIN_ID
) -> AsyncIterator[str]:
    """Serve a fresh chain from this very process; gives its URL. Port 0 takes a free one."""
    node = EmbeddedNode(EmbeddedChain(time.time, chain_id), block_time_secs)
    runner = web.AppRunner(application(node), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        producer = asyncio.create_task(node.produce_blocks(), name="devnet blocks")
        try:
            yield f"http://{host}:{bound}"
        finally:
            producer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producer
    finally:
        await runner.cleanup()


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_eof:
        loop.add_reader(sys.stdin, lambda: None if os.read(0, 4096) else stop.set())
    async with serving(
        host=arguments.host, port=arguments.port, block_time_secs=arguments.block_time, chain_id=arguments.chain_id
    ) as url:
        print(url, flush=True)
        await stop.wait()


def main() -> None:
    """Entry point of `python -m ghostfleet.devnet.embedded`."""
    parser = argparse.ArgumentParser(description="A development chain on py-evm, as JSON-RPC over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8545, help="0 takes a free one")
    parser.add_argument("--block-time", type=float, default=1.0, help="seconds; 0 mines every transaction at once")
    parser.add_argument("--chain-id", type=int, default=DEV_CHAIN_ID)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
