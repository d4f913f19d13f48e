"""Keys at a remote signer that speaks Web3Signer's API for Ethereum 1 keys, over HTTP.

POST /api/v1/eth1/sign/{public key} takes the bytes to sign, hashes them itself, and answers with r, s, v as text in hex;
GET /api/v1/eth1/publicKeys lists the keys. Source: Web3Signer's OpenAPI document for eth1 and its CredentialSigner.
"""

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of_point, checksummed
from ghostfleet.keys.far import Scalars, SignerUnavailable, Turns

MAX_LIST_BYTES = 32 * 1024 * 1024
"""A hundred thousand keys fit in half of it."""
MAX_SIGNATURE_BYTES = 1024
LOOK_AGAIN_SECS = 10.0
"""A key that was not in the list is looked for again this often: keys are added to a signer while it runs."""
_SIGNATURE = re.compile(rb'\s*"?0x([0-9a-fA-F]{64})([0-9a-fA-F]{64})[0-9a-fA-F]{2}"?\s*')
_PUBLIC_KEY = re.compile(r"0x(?:04)?([0-9a-fA-F]{128})")


class RemoteUnusable(BadInput):
    """The certificates for the remote signer cannot be read. The message names the file."""


class RemotePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the signer is and how it is asked. `name` is the address without its credentials."""

    url: str
    name: str
    timeout_secs: float
    at_once: int
    ca_file: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None

    def __repr__(self) -> str:
        return f"RemotePlace({self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name)]


class Web3Signer:
    """A KeyService. It knows keys by their addresses: the list of public keys says under which name each is asked for."""

    def __init__(self, place: RemotePlace) -> None:
        self._place = place
        self._tls = tls_of(place)
        self._turns = Turns(place.name, at_once=place.at_once, timeout_secs=place.timeout_secs)
        self._session: aiohttp.ClientSession | None = None
        self._names: dict[Address, str] = {}
        self._listing = asyncio.Lock()
        self._listed_at: float | None = None

    @property
    def place(self) -> str:
        return self._place.name

    async def sign(self, key: str, address: Address, message: bytes) -> Scalars:
        return await self._turns.take(lambda: self._sign(address, message))

    async def address(self, key: str, address: Address) -> Address | None:
        return address if await self._turns.take(lambda: self._name_of(address)) is not None else None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _sign(self, address: Address, message: bytes) -> Scalars:
        name = await self._name_of(address)
        if name is None:
            raise SignerUnavailable(f"{self.place} holds no key of {checksummed(address)}")
        body = msgspec.json.encode({"data": "0x" + message.hex()})
        status, answer = await self._ask("POST", f"/api/v1/eth1/sign/{name}", MAX_SIGNATURE_BYTES, body)
        if status == 404:
            self._names.pop(address, None)
            raise SignerUnavailable(f"{self.place} no longer holds the key of {checksummed(address)}")
        found = _SIGNATURE.fullmatch(answer) if status == 200 else None
        if found is None:
            raise SignerUnavailable(f"{self.place} answers {status} and no signature")
        return Scalars(int(found[1], 16), int(found[2], 16))

    async def _name_of(self, address: Address) -> str | None:
        async with self._listing:
            now = asyncio.get_running_loop().time()
            if address not in self._names and (self._listed_at is None or now - self._listed_at >= LOOK_AGAIN_SECS):
                self._names = await self._list()
                self._listed_at = now
            return self._names.get(address)

    async def _list(self) -> dict[Address, str]:
        status, answer = await self._ask("GET", "/api/v1/eth1/publicKeys", MAX_LIST_BYTES)
        try:
            names = msgspec.json.decode(answer, type=list[str]) if status == 200 else None
        except msgspec.DecodeError:
            names = None
        if names is None:
            raise SignerUnavailable(f"{self.place} answers {status} and no list of its keys")
        points = ((name, _PUBLIC_KEY.fullmatch(name)) for name in names)
        return {address_of_point(b"\x04" + bytes.fromhex(point[1])): name for name, point in points if point}

    async def _ask(self, method: str, path: str, most_bytes: int, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body. Raises SignerUnavailable in words that hold no part of the URL's credentials."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._place.at_once, ssl=self._tls)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"content-type": "application/json"} if body is not None else {}
        url = self._place.url.rstrip("/") + path
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, await _bounded(answer, most_bytes)
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise SignerUnavailable(f"{self.place} cannot be asked: {type(problem).__name__}") from None


async def _bounded(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    content = await answer.content.read(most_bytes + 1)
    while len(content) <= most_bytes and (more := await answer.content.read(most_bytes + 1 - len(content))):
        content += more
    if len(content) > most_bytes:
        answer.close()
        raise ValueError("an answer that is too long")
    return content


def tls_of(place: RemotePlace) -> ssl.SSLContext | bool:
    """How its certificate is checked, and with which of ours. Raises RemoteUnusable."""
    if place.ca_file is None and place.client_certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=place.ca_file)
        if place.client_certificate is not None:
            context.load_cert_chain(place.client_certificate, place.client_key)
    except (OSError, ValueError) as problem:
        files = ", ".join(str(it) for it in (place.ca_file, place.client_certificate, place.client_key) if it)
        raise RemoteUnusable(f"the certificates for {place.name} cannot be used ({files}): {_words(problem)}") from None
    return context


def _words(problem: Exception) -> str:
    return getattr(problem, "reason", None) or getattr(problem, "strerror", None) or type(problem).__name__
