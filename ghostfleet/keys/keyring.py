"""The private keys of a running fleet, by wallet. Gives out handles that sign, never keys.

Keys come from keystore files, decrypted in threads a few at a time, or from the settings file itself (development).
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import coincurve
import msgspec

from ghostfleet.domain.values import Address, WalletId
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keystore import KeystoreUnusable, open_keystore, read_keystore
from ghostfleet.keys.passwords import PasswordSource, PasswordUnusable, read_password
from ghostfleet.keys.secret import Secret

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


KeySource = InlineKey | KeystoreFile


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
    """The signing keys of a fleet, held for as long as the process runs."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[WalletId, SigningKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def of(cls, secrets: Mapping[WalletId, bytes]) -> "Keyring":
        """From raw 32-byte keys, for development chains and tests."""
        return cls({wallet: signing_key(Secret(secret)) for wallet, secret in secrets.items()})

    def key(self, wallet: WalletId) -> SigningKey:
        """Raises KeyError for a wallet whose key was not loaded."""
        return self._keys[wallet]

    def address(self, wallet: WalletId) -> Address:
        return self._keys[wallet].address

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


async def load_keyring(
    keys: Sequence[WalletKey], environ: Mapping[str, str], *, at_once: int = DECRYPTIONS_AT_ONCE
) -> Keyring:
    """Open every key and check that it has the address it is said to have. Raises KeysUnusable with every problem."""
    passwords: dict[PasswordSource, Secret | str] = {}
    for wanted in keys:
        if isinstance(wanted.source, KeystoreFile) and wanted.source.password not in passwords:
            passwords[wanted.source.password] = _password_or_problem(wanted.source.password, environ)
    gate = asyncio.Semaphore(at_once)

    async def opened(wanted: WalletKey) -> SigningKey | str:
        async with gate:
            return await asyncio.to_thread(_open, wanted, passwords)

    results = await asyncio.gather(*(opened(wanted) for wanted in keys))
    problems = [
        f"{wanted.wallet}: {result}" for wanted, result in zip(keys, results, strict=True) if isinstance(result, str)
    ]
    if problems:
        raise KeysUnusable(problems)
    return Keyring({k.wallet: r for k, r in zip(keys, results, strict=True) if isinstance(r, SigningKey)})


def _password_or_problem(source: PasswordSource, environ: Mapping[str, str]) -> Secret | str:
    try:
        return read_password(source, environ)
    except PasswordUnusable as error:
        return str(error)


def _open(wanted: WalletKey, passwords: Mapping[PasswordSource, Secret | str]) -> SigningKey | str:
    """The key, or what is wrong with it."""
    try:
        if isinstance(wanted.source, InlineKey):
            key = signing_key(wanted.source.secret)
        else:
            password = passwords[wanted.source.password]
            if isinstance(password, str):
                return password
            key = signing_key(open_keystore(read_keystore(wanted.source.path), password))
    except (KeystoreUnusable, ValueError) as error:
        return str(error)
    if key.address != wanted.address:
        return f"the key belongs to {checksummed(key.address)}, the settings say {checksummed(wanted.address)}"
    return key
