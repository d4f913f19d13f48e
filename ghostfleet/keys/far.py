"""A key that somebody else holds: asked for signatures within bounds, and believed only where the signature shows who signed.

Source: EIP-2 (of the two values of s that fit, only the lower one is valid in a transaction).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol, TypeVar

import coincurve
import msgspec
from eth_hash.auto import keccak

from ghostfleet.domain.values import Address
from ghostfleet.errors import GhostFleetError, TryAgain
from ghostfleet.keys.addresses import address_of_point, checksummed

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
T = TypeVar("T")


class SignerUnavailable(TryAgain):
    """Whoever holds the wallet's key does not answer, not in time, or does not want to sign. Nothing was signed and no nonce was
    spent: the wallet waits, and it is not the wallet's error. See that the signer can be reached and lets this service sign."""


class WrongSignature(GhostFleetError):
    """What came back is no signature of this wallet over these bytes: another key answers in its place. Nothing was recorded
    or sent. Compare the wallet's address in the settings with the key that the signer holds for it."""


class Scalars(msgspec.Struct, frozen=True):
    """A signature as whoever made it gives it: r and s, without the word on which of two keys it was."""

    r: int
    s: int


class KeyService(Protocol):
    """Holds keys, each under a name of its own (`key`)."""

    @property
    def place(self) -> str:
        """Where it is, without a credential: for messages."""
        ...

    async def sign(self, key: str, address: Address, message: bytes) -> Scalars:
        """A signature over keccak256(message). Raises SignerUnavailable."""
        ...

    async def address(self, key: str, address: Address) -> Address | None:
        """The address of the key it holds under this name, `address` if it knows keys by that; None when it has none.
        Raises SignerUnavailable."""
        ...

    async def close(self) -> None: ...


class Turns:
    """So many questions at a time, and so long for each of them, the wait for its turn included."""

    def __init__(self, place: str, *, at_once: int, timeout_secs: float) -> None:
        self._place = place
        self._secs = timeout_secs
        self._gate = asyncio.Semaphore(at_once)

    async def take(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer. Raises SignerUnavailable when there is none in time."""
        try:
            async with asyncio.timeout(self._secs), self._gate:
                return await ask()
        except TimeoutError:
            raise SignerUnavailable(f"{self._place} does not answer within {self._secs:g} s") from None


class FarKey:
    """One wallet's key at a service."""

    __slots__ = ("_key", "_service", "address")

    def __init__(self, service: KeyService, key: str, address: Address) -> None:
        self._service = service
        self._key = key
        self.address = address

    async def sign(self, message: bytes) -> bytes:
        """65 bytes r, s, v (0 or 1) over keccak256(message). Raises SignerUnavailable, WrongSignature."""
        scalars = await self._service.sign(self._key, self.address, message)
        signature = signature_of(self.address, keccak(message), scalars)
        if signature is None:
            raise WrongSignature(
                f"the signature that came from {self._service.place} is not one of {checksummed(self.address)}"
            )
        return signature

    async def problem(self) -> str | None:
        """What is in the way of signing with it, in a sentence."""
        try:
            found = await self._service.address(self._key, self.address)
        except SignerUnavailable as silence:
            return str(silence)
        if found is None:
            return f"{self._service.place} holds no key of {checksummed(self.address)}"
        if found != self.address:
            return f"the key belongs to {checksummed(found)}, the settings say {checksummed(self.address)}"
        return None

    def __repr__(self) -> str:
        return f"FarKey({checksummed(self.address)} at {self._service.place})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key cannot be pickled or copied")


def signature_of(address: Address, digest: bytes, scalars: Scalars) -> bytes | None:
    """The 65 bytes with the lower s and the v (0 or 1) under which they are this address's; None when there is no such v."""
    if not (0 < scalars.r < CURVE_ORDER and 0 < scalars.s < CURVE_ORDER):
        return None
    low_s = min(scalars.s, CURVE_ORDER - scalars.s)
    body = scalars.r.to_bytes(32, "big") + low_s.to_bytes(32, "big")
    return next((body + v for v in (b"\0", b"\1") if signer_of(body + v, digest) == address), None)


def signer_of(signature: bytes, digest: bytes) -> Address | None:
    """Whose signature (65 bytes) over a digest this is; None where no key can have made it."""
    try:
        point = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # coincurve raises plain Exception there
        return None
    return address_of_point(point.format(compressed=False))
