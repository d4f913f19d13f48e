"""The keys of a running fleet, by wallet. Gives out handles that sign, never keys.

Keys come from keystore files, from the environment, or from the settings file itself (development): `opening.py` opens them.
Others stay where they are, with AWS KMS or a remote signer, and are only asked for signatures.

CPython cannot wipe what it frees, so the less is loaded the better: a key is forgotten when its wallet has retired and its last
slot has ended.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import coincurve
import msgspec

from ghostfleet.domain.values import Address, WalletId
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.far import FarKey, KeyService
from ghostfleet.keys.kms import KmsPlace
from ghostfleet.keys.passwords import PasswordSource
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace

BEING_OPENED = "its keystore is being opened"


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

    __slots__ = ("_awaited", "_keys", "_services", "_unusable")

    def __init__(self, keys: Mapping[WalletId, "SigningKey | FarKey"], services: Iterable[KeyService] = ()) -> None:
        self._keys = dict(keys)
        self._services = tuple(services)
        self._awaited: set[WalletId] = set()
        self._unusable: dict[WalletId, str] = {}

    @classmethod
    def of(cls, secrets: Mapping[WalletId, bytes]) -> "Keyring":
        """From raw 32-byte keys, for development chains and tests."""
        return cls({wallet: signing_key(Secret(secret)) for wallet, secret in secrets.items()})

    def key(self, wallet: WalletId) -> "SigningKey | FarKey":
        """Raises KeyError for a wallet whose key was not loaded."""
        return self._keys[wallet]

    def address(self, wallet: WalletId) -> Address:
        return self._keys[wallet].address

    def withheld(self, wallet: WalletId) -> str:
        """Why the key of this wallet is not here though it is to be; empty where it is, and where nobody said that it would."""
        return BEING_OPENED if wallet in self._awaited else self._unusable.get(wallet, "")

    def awaits(self, wallet: WalletId) -> bool:
        """Whether its key is still being opened."""
        return wallet in self._awaited

    @property
    def awaited(self) -> int:
        """How many keys are still being opened."""
        return len(self._awaited)

    @property
    def unusable(self) -> Mapping[WalletId, str]:
        """Wallets whose key could not be opened, and why."""
        return self._unusable

    def expect(self, wallets: Iterable[WalletId]) -> None:
        """The keys of these are being opened."""
        self._awaited.update(wallets)

    def found(self, wallet: WalletId, key: "SigningKey | FarKey | str") -> None:
        """The key that was awaited, or what is wrong with it; nothing to anybody where it was forgotten or replaced meanwhile."""
        if wallet not in self._awaited:
            return
        self._awaited.remove(wallet)
        if isinstance(key, str):
            self._unusable[wallet] = key
        else:
            self._keys[wallet] = key

    def serve(self, services: Iterable[KeyService]) -> None:
        """These hold keys of this keyring; they are hung up on when it is closed."""
        self._services += tuple(services)

    async def problems(self) -> list[str]:
        """What is in the way of signing with the keys that are elsewhere: asked, not tried."""
        far = {wallet: key for wallet, key in self._keys.items() if isinstance(key, FarKey)}
        found = await asyncio.gather(*(key.problem() for key in far.values()))
        return [f"{wallet}: {problem}" for wallet, problem in zip(far, found, strict=True) if problem is not None]

    def adopt(self, other: "Keyring") -> None:
        """Take the keys of another keyring in, in place of those of the same wallets, and whoever holds them."""
        for wallet in other._keys:
            self.forget(wallet)
        self._keys |= other._keys
        self._services += other._services
        other._keys, other._services = {}, ()

    def forget(self, wallet: WalletId) -> None:
        """Let go of a key that is needed no more."""
        self._keys.pop(wallet, None)
        self._awaited.discard(wallet)
        self._unusable.pop(wallet, None)

    async def aclose(self) -> None:
        """Forget every key, those that are still being opened too, and hang up on whoever holds the others."""
        self._keys.clear()
        self._awaited.clear()
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
