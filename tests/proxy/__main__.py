"""`python -m tests.proxy --upstream URL`: a faulty way to a node, until standard input ends (with --until-eof) or for ever."""

import argparse
import asyncio
import sys

from aiohttp import web

from tests.proxy.faults import KINDS, Faults, parse_shares
from tests.proxy.server import Proxy, control


async def serve(options: argparse.Namespace) -> None:
    faults = Faults(options.seed, parse_shares(options.faults))
    runner = web.AppRunner(control(faults), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.control).start()
    async with Proxy(options.upstream, faults, options.port).serving():
        print(f"http://127.0.0.1:{options.port} http://127.0.0.1:{options.control} seed {options.seed}", flush=True)
        if options.until_eof:
            await asyncio.to_thread(sys.stdin.read)
        else:
            await asyncio.Event().wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.proxy", description=__doc__)
    parser.add_argument("--upstream", required=True, help="the node's URL")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True, help="port for POST /on, POST /off, GET /counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="all", help=f"all, none, all=SHARE or KIND=SHARE,...: {', '.join(KINDS)}")
    parser.add_argument("--until-eof", action="store_true", help="end with standard input, and so with the parent")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
