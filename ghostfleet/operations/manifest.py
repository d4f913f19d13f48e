"""Which addresses are the fleet's? A signed list for explorers and analytics, so that its traffic is told apart from real users'.

The text that is signed is the whole statement; everything else in the document repeats it. What the signature proves is that
somebody who holds the key of one of the addresses says that all of them are one fleet (docs/decisions/0021).
"""

import asyncio
import re
from collections.abc import Callable, Sequence

import msgspec

from ghostfleet.domain.state import State
from ghostfleet.domain.values import HOUR_US, Address, Octets, decode_octets
from ghostfleet.engine.ports import Clock, Signer
from ghostfleet.errors import GhostFleetError
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.keys.messages import signer_of_text
from ghostfleet.operations.fleet_signature import NoSigner, signed_for_the_fleet
from ghostfleet.telemetry.moments import iso

TITLE = "Ghost Fleet manifest 1"
FRESH_US = HOUR_US
"""A manifest is signed anew when the fleet has changed, and after this long: nobody makes a key service work by asking."""
_TEXT = re.compile(
    rf"{TITLE}\nchain ([1-9][0-9]{{0,18}})\nissued (\S{{20,40}})\naddresses ([0-9]{{1,6}})((?:\n0x[0-9a-fA-F]{{40}})*)",
    re.ASCII,
)


class NotAManifest(GhostFleetError):
    """The document is not what one of its own addresses signed: do not believe it, fetch it again from the fleet itself."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The signed list. `text` is what was signed, `signer` one of the addresses."""

    text: str
    signer: str
    signature: Octets
    chain_id: int
    issued: str
    addresses: tuple[str, ...]


def manifest_text(chain_id: int, issued_us: int, addresses: Sequence[Address]) -> str:
    """What is signed. Addresses are sorted, so that equal fleets say the same; no newline at the end, which shells would drop."""
    lines = [TITLE, f"chain {chain_id}", f"issued {iso(issued_us)}", f"addresses {len(addresses)}"]
    return "\n".join([*lines, *(checksummed(address) for address in sorted(addresses))])


def verified(document: bytes) -> Manifest:
    """The manifest in this JSON, if it is whole and one of its own addresses signed it. Raises NotAManifest."""
    try:
        manifest = msgspec.json.decode(document, type=Manifest, dec_hook=decode_octets)
    except (msgspec.MsgspecError, ValueError, NotImplementedError, RecursionError):
        raise NotAManifest(
            "it is not a manifest: JSON with text, signer, signature, chain_id, issued, addresses"
        ) from None
    found = _TEXT.fullmatch(manifest.text)
    if found is None:
        raise NotAManifest("its text is not that of a manifest")
    told = tuple(found[4].split())
    if (int(found[1]), found[2], int(found[3]), told) != (
        manifest.chain_id,
        manifest.issued,
        len(manifest.addresses),
        manifest.addresses,
    ):
        raise NotAManifest("its fields say something else than the text that was signed")
    signer = signer_of_text(manifest.text.encode(), manifest.signature)
    if signer is None or checksummed(signer) != manifest.signer:
        raise NotAManifest(f"the signature is not that of {manifest.signer[:50]} over its text")
    if signer not in {parse_address(text) for text in told}:
        raise NotAManifest(f"{manifest.signer} signed it and is none of its addresses")
    return manifest


class ManifestDesk:
    """Hands the current manifest out, signed when it has to be."""

    def __init__(self, state: Callable[[], State], signer: Signer, clock: Clock) -> None:
        self._state = state
        self._signer = signer
        self._clock = clock
        self._signing = asyncio.Lock()
        self._of: tuple[int, frozenset[Address]] | None = None
        self._issued_us = 0
        self._manifest: Manifest | None = None

    async def current(self) -> Manifest:
        """Every address that the fleet ever had, retired ones included: their traffic stays on chain. Raises NoSigner."""
        async with self._signing:
            state, now_us = self._state(), self._clock.now_us()
            of = (state.fleet.chain_id or 0, frozenset(wallet.address for wallet in state.wallets.values()))
            fresh = 0 <= now_us - self._issued_us < FRESH_US
            if self._manifest is None or self._of != of or not fresh:
                self._manifest = await self._signed(state, of, now_us)
                self._of, self._issued_us = of, now_us
            return self._manifest

    async def _signed(self, state: State, of: tuple[int, frozenset[Address]], now_us: int) -> Manifest:
        chain_id, addresses = of
        text = manifest_text(chain_id, now_us, list(addresses))
        try:
            signed = await signed_for_the_fleet(state, self._signer, text)
        except NoSigner as nobody:
            raise NoSigner(f"the manifest cannot be signed: {nobody}") from None
        return Manifest(
            text=text,
            signer=checksummed(signed.signer),
            signature=signed.signature,
            chain_id=chain_id,
            issued=iso(now_us),
            addresses=tuple(text.split("\n")[4:]),
        )
