"""The keys of a running fleet, by wallet. Gives out handles that sign, never keys.

Keys come from keystore files, decrypted in threads a few at a time, from the environment, or from the settings file itself
(development). Others stay where they are, with AWS KMS or a remote signer, and are only asked for signatures.

CPython cannot wipe what it frees, so the less is loaded the better: no keys of disabled wallets; passwords and opened keystores
are let go of once the keys are in; a key is forgotten when its wallet has retired and its last slot has ended.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import coincurve
import msgspec

from ghostfleet.domain.values import Address, WalletId
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.far import FarKey, KeyService
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore
from ghostfleet.keys.kms import Kms, KmsPlace, KmsUnusable
from ghostfleet.keys.passwords import PasswordSource, PasswordUnusable, read_password
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace, RemoteUnusable, Web3Signer

HEX_KEY = re.compile(r"(0[xX])?[0-9a-fA-F]{64}")
DECRYPTIONS_AT_ONCE = 4
"""Each takes a core and, with the usual scrypt settings, 256 MiB."""


class KeysUnusable(BadInput):
    """Some wallets' keys cannot be used; `problems` has one sentence for each of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class InlineKey(msgspec.Struct, frozen=True):
    """A key that stands in the settings file itself."""

    secret: Secret


class KeystoreFile(msgspec.Struct, frozen=True):
    """A key in a keystore file, and where its password is."""

    path: Path
    password: PasswordSource


class EnvironmentKey(msgspec.Struct, frozen=True):
    """A key in an environment variable, as 64 hexadecimal digits."""

    variable: str


class KmsKey(msgspec.Struct, frozen=True):
    """A key in AWS KMS, by its key id, ARN or alias."""

    key_id: str
    place: KmsPlace


class RemoteKey(msgspec.Struct, frozen=True):
    """A key at a remote signer, which knows it by the wallet's address."""

    place: RemotePlace


KeySource = InlineKey | KeystoreFile | EnvironmentKey | KmsKey | RemoteKey


class WalletKey(msgspec.Struct, frozen=True):
    """Which key a wallet is said to have."""

    wallet: WalletId
    address: Address
    source: KeySource


class SigningKey:
    """One private key that can only sign. The signature call is coincurve's."""

    __slots__ = ("_sign", "address")

    def __init__(self, key: coincurve.PrivateKey) -> None:
        self._sign = key.sign_recoverable
        self.address = address_of(key)

    def sign_recoverable(self, message: bytes, hasher: Any = None) -> bytes:
        """65 bytes r, s, v (0 or 1) over a 32-byte digest; `hasher` None takes `message` as that digest."""
        return bytes(self._sign(message, hasher))

    def __repr__(self) -> str:
        return f"SigningKey({checksummed(self.address)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a signing key cannot be pickled or copied")


class Keyring:
    """The keys of a fleet, each for as long as its wallet may have to sign."""

    __slots__ = ("_keys", "_services")

    def __init__(self, keys: Mapping[WalletId, "SigningKey | FarKey"], services: Iterable[KeyService] = ()) -> None:
        self._keys = dict(keys)
        self._services = tuple(services)

    @classmethod
    def of(cls, secrets: Mapping[WalletId, bytes]) -> "Keyring":
        """From raw 32-byte keys, for development chains and tests."""
        return cls({wallet: signing_key(Secret(secret)) for wallet, secret in secrets.items()})

    def key(self, wallet: WalletId) -> "SigningKey | FarKey":
        """Raises KeyError for a wallet whose key was not loaded."""
        return self._keys[wallet]

    def address(self, wallet: WalletId) -> Address:
        return self._keys[wallet].address

    async def problems(self) -> list[str]:
        """What is in the way of signing with the keys that are elsewhere: asked, not tried."""
        far = {wallet: key for wallet, key in self._keys.items() if isinstance(key, FarKey)}
        found = await asyncio.gather(*(key.problem() for key in far.values()))
        return [f"{wallet}: {problem}" for wallet, problem in zip(far, found, strict=True) if problem is not None]

    def adopt(self, other: "Keyring") -> None:
        """Take the keys of another keyring in, in place of those of the same wallets, and whoever holds them."""
        self._keys |= other._keys
        self._services += other._services
        other._keys, other._services = {}, ()

    def forget(self, wallet: WalletId) -> None:
        """Let go of a key that is needed no more."""
        self._keys.pop(wallet, None)

    async def aclose(self) -> None:
        """Forget every key, and hang up on whoever holds the others."""
        self._keys.clear()
        services, self._services = self._services, ()
        for service in services:
            await service.close()

    def __contains__(self, wallet: object) -> bool:
        return wallet in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Keyring({len(self._keys)} wallets)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a keyring cannot be pickled or copied")


def signing_key(secret: Secret) -> SigningKey:
    """Raises ValueError when the 32 bytes are no key of secp256k1; the message has no part of them."""
    try:
        return SigningKey(coincurve.PrivateKey(secret.reveal()))
    except ValueError:
        raise ValueError("not a private key of secp256k1 (32 bytes, above 0, below the curve's order)") from None


def key_in(source: EnvironmentKey, environ: Mapping[str, str]) -> Secret:
    """The key in an environment variable. Raises ValueError; the message has no part of it."""
    text = environ.get(source.variable, "").strip()
    if not text:
        raise ValueError(f"the environment variable {source.variable} is not set")
    if not HEX_KEY.fullmatch(text):
        raise ValueError(f"the environment variable {source.variable} holds no private key (64 hexadecimal digits)")
    return Secret(bytes.fromhex(text[-64:]))


async def load_keyring(
    keys: Sequence[WalletKey], environ: Mapping[str, str], *, at_once: int = DECRYPTIONS_AT_ONCE
) -> Keyring:
    """Open every key that is to be here and check that it has the address it is said to have; the others are not asked yet, so
    that a signer that is away keeps no service from starting. Raises KeysUnusable with every problem."""
    given: dict[PasswordSource | EnvironmentKey, Secret | str] = {}
    """What the environment and password files hold: read once, and passed on as what cannot be seen."""
    for wanted in keys:
        source = wanted.source.password if isinstance(wanted.source, KeystoreFile) else wanted.source
        if isinstance(source, PasswordSource | EnvironmentKey) and source not in given:
            given[source] = _read(source, environ)
    services = await asyncio.to_thread(_services_of, keys)
    gate = asyncio.Semaphore(at_once)

    async def opened(wanted: WalletKey) -> SigningKey | FarKey | str:
        if isinstance(wanted.source, KmsKey | RemoteKey):
            service = services[wanted.source.place]
            return service if isinstance(service, str) else FarKey(service, _name_at(wanted.source), wanted.address)
        async with gate:
            return await asyncio.to_thread(_open, wanted, given)

    results = await asyncio.gather(*(opened(wanted) for wanted in keys))
    problems = [
        f"{wanted.wallet}: {result}" for wanted, result in zip(keys, results, strict=True) if isinstance(result, str)
    ]
    if problems:
        raise KeysUnusable(problems)
    handles = {k.wallet: r for k, r in zip(keys, results, strict=True) if not isinstance(r, str)}
    return Keyring(handles, (service for service in services.values() if not isinstance(service, str)))


def _services_of(keys: Sequence[WalletKey]) -> dict[KmsPlace | RemotePlace, KeyService | str]:
    """Each place that holds keys, once; or what is wrong with how it is named."""
    services: dict[KmsPlace | RemotePlace, KeyService | str] = {}
    for wanted in keys:
        source = wanted.source
        if isinstance(source, KmsKey | RemoteKey) and source.place not in services:
            try:
                services[source.place] = Kms(source.place) if isinstance(source, KmsKey) else Web3Signer(source.place)
            except (KmsUnusable, RemoteUnusable) as problem:
                services[source.place] = str(problem)
    return services


def _name_at(source: KmsKey | RemoteKey) -> str:
    return source.key_id if isinstance(source, KmsKey) else ""


def _read(source: PasswordSource | EnvironmentKey, environ: Mapping[str, str]) -> Secret | str:
    """A password, or a key; or what is wrong with it."""
    try:
        return key_in(source, environ) if isinstance(source, EnvironmentKey) else read_password(source, environ)
    except (PasswordUnusable, ValueError) as error:
        return str(error)


def _open(wanted: WalletKey, given: Mapping[PasswordSource | EnvironmentKey, Secret | str]) -> SigningKey | str:
    """The key, or what is wrong with it."""
    source = wanted.source
    try:
        if isinstance(source, InlineKey):
            key = signing_key(source.secret)
        elif isinstance(source, EnvironmentKey | KeystoreFile):
            secret = given[source if isinstance(source, EnvironmentKey) else source.password]
            if isinstance(secret, str):
                return secret
            opened = open_keystore(read_keystore(source.path), secret) if isinstance(source, KeystoreFile) else secret
            key = signing_key(opened)
        else:
            raise AssertionError(f"{type(source).__name__} is not opened here")
    except (KeystoreUnusable, ValueError) as error:
        return str(error)
    if key.address != wanted.address:
        return f"the key belongs to {checksummed(key.address)}, the settings say {checksummed(wanted.address)}"
    return key
