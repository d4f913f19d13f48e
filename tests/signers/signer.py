"""A remote signer that speaks Web3Signer's API for Ethereum 1 keys: as much of it as its OpenAPI document says of signing.

Takes `PUBLIC-KEY-OF SIGNS-WITH` (two private keys in hex) line by line until an empty line, then says its URL. What it signs is
keccak256 of the data, and v is 27 or 28, as Web3Signer's own signers do.
"""

import argparse
import asyncio
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import coincurve
from aiohttp import BasicAuth, web
from eth_hash.auto import keccak


@dataclass
class Signer:
    """What it holds, and how it was asked. `late_secs` is how long it takes for a signature."""

    keys: dict[str, coincurve.PrivateKey]
    credentials: BasicAuth | None
    late_secs: float
    under_way: int = 0
    most: int = 0
    signed: int = 0

    async def sign(self, request: web.Request) -> web.Response:
        self._require_credentials(request)
        try:
            data = bytes.fromhex((await request.json())["data"].removeprefix("0x"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise web.HTTPBadRequest from None
        name = request.match_info["identifier"].lower()
        key = self.keys.get(name if name.startswith("0x") else "0x" + name)
        if key is None:
            raise web.HTTPNotFound
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.late_secs)
        self.under_way -= 1
        self.signed += 1
        signature = key.sign_recoverable(keccak(data), hasher=None)
        return web.Response(text="0x" + signature[:64].hex() + f"{27 + signature[64]:02x}")

    async def public_keys(self, request: web.Request) -> web.Response:
        self._require_credentials(request)
        return web.json_response(list(self.keys))

    async def add(self, request: web.Request) -> web.Response:
        """Not Web3Signer's: a key comes in, as after its /reload."""
        add(self.keys, await request.text())
        return web.Response(text="OK")

    async def count(self, request: web.Request) -> web.Response:
        """Not Web3Signer's: what was asked of it."""
        return web.json_response({"most": self.most, "signed": self.signed})

    def _require_credentials(self, request: web.Request) -> None:
        if self.credentials is not None and request.headers.get("Authorization") != self.credentials.encode():
            raise web.HTTPUnauthorized


def add(keys: dict[str, coincurve.PrivateKey], line: str) -> None:
    public, real = (coincurve.PrivateKey(bytes.fromhex(text)) for text in line.split())
    keys["0x" + public.public_key.format(compressed=False)[1:].hex()] = real


async def serve() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--late", type=float, default=0.0)
    options.add_argument("--user", default="")
    options.add_argument("--tls", type=Path)
    given = options.parse_args()
    keys: dict[str, coincurve.PrivateKey] = {}
    while line := sys.stdin.readline().strip():
        add(keys, line)
    user, _, password = given.user.partition(":")
    signer = Signer(keys, BasicAuth(user, password) if user else None, given.late)
    app = web.Application()
    app.add_routes(
        [
            web.post("/api/v1/eth1/sign/{identifier}", signer.sign),
            web.get("/api/v1/eth1/publicKeys", signer.public_keys),
            web.post("/test/add", signer.add),
            web.get("/test/count", signer.count),
        ]
    )
    tls = None
    if given.tls is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=given.tls / "ca.pem")
        tls.load_cert_chain(given.tls / "server.pem", given.tls / "server.key")
        tls.verify_mode = ssl.CERT_REQUIRED
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", given.port, ssl_context=tls)
    await site.start()
    print(f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
