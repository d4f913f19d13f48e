"""Reading and writing Ethereum keystore files (Web3 Secret Storage, version 3).

What may go wrong with a file from elsewhere is one error, KeystoreUnusable, and its message never has a secret in it.
"""

import json
import os
import re
import sys
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import msgspec

from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.secret import Secret

MAX_KEYSTORE_BYTES = 64 * 1024
MAX_SCRYPT_MEMORY_BYTES = 1 << 30
"""scrypt takes 128 * n * r bytes: a file may not make the service take more than this."""
MAX_PBKDF2_ROUNDS = 50_000_000
DEFAULT_SCRYPT_N = 1 << 18
"""What geth and Foundry write: about a second for each key."""
NO_MEMORY = "Error 2 while running scrypt"
"""How pycryptodome says, with a ValueError, that it got no memory (ERR_MEMORY of its errors.h)."""
_importing = Lock()


class KeystoreUnusable(BadInput):
    """A keystore file that cannot be read, is not a keystore V3, or does not open with the password."""


class TooLittleMemory(KeystoreUnusable):
    """There was no memory to open a keystore; nothing is known to be wrong with it. Free some, or raise the process's limit, and
    have the settings read again: `ghost-fleet reload`, or another start."""


class Keystore(msgspec.Struct, frozen=True):
    """A keystore file as it lies on disk, still encrypted. `address` is what the file says of itself, if anything."""

    path: Path
    address: Address | None
    content: dict[str, Any]

    def __repr__(self) -> str:
        return f"Keystore({str(self.path)!r})"


def read_keystore(path: Path) -> Keystore:
    """Read and look at the form; no decryption. Raises KeystoreUnusable."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise KeystoreUnusable(f"cannot read keystore {path}: {error.strerror or type(error).__name__}") from None
    except ValueError:
        raise KeystoreUnusable("cannot read keystore: not a path") from None
    if len(octets) > MAX_KEYSTORE_BYTES:
        raise KeystoreUnusable(f"{path} is larger than any keystore")
    try:
        content = _lower_keys(json.loads(octets))
        _check_form(content)
        stated = content.get("address")
        address = None
        if isinstance(stated, str) and re.fullmatch(r"(0[xX])?[0-9a-fA-F]{40}", stated):
            address = Address(bytes.fromhex(stated[-40:]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise KeystoreUnusable(f"{path} is not a keystore file (JSON, version 3, scrypt or pbkdf2)") from None
    return Keystore(path, address, content)


def open_keystore(keystore: Keystore, password: Secret) -> Secret:
    """The private key, 32 bytes. Slow on purpose (scrypt): call it in a thread. Raises KeystoreUnusable, TooLittleMemory."""
    keyfile = _keyfile()
    try:
        key = keyfile.decode_keyfile_json(keystore.content, password.reveal())
    except Exception as error:  # a boundary: foreign file, foreign library, one outcome
        if str(error) == "MAC mismatch":
            raise KeystoreUnusable(f"the password does not open keystore {keystore.path}") from None
        if isinstance(error, MemoryError) or str(error) == NO_MEMORY:
            raise TooLittleMemory(
                f"there is not enough memory to open keystore {keystore.path}, which takes {_mebibytes(keystore)} MiB:"
                " free some, or raise the limit of the process, then: ghost-fleet reload"
            ) from None
        raise KeystoreUnusable(f"keystore {keystore.path} is damaged ({type(error).__name__})") from None
    if len(key) != 32:
        raise KeystoreUnusable(f"keystore {keystore.path} holds {len(key)} bytes, a private key has 32")
    return Secret(key)


def _mebibytes(keystore: Keystore) -> int:
    """What scrypt takes for it; for pbkdf2, which takes next to nothing, 1."""
    parameters = keystore.content["crypto"]["kdfparams"]
    return max(1, 128 * int(parameters.get("n", 0)) * int(parameters.get("r", 0)) >> 20)


def write_keystore(path: Path, key: Secret, password: Secret, *, scrypt_n: int = DEFAULT_SCRYPT_N) -> None:
    """Encrypt and write, readable by the owner only. Never overwrites: raises FileExistsError."""
    content = _keyfile().create_keyfile_json(key.reveal(), password.reveal(), kdf="scrypt", iterations=scrypt_n)
    content["address"] = str(content["address"]).lower()
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")


def _keyfile() -> ModuleType:
    """eth_keyfile: half a second to import, and most commands open no keystore.

    py_ecc, which it imports, raises the recursion limit of the whole process to 100,000: a nested JSON document from anywhere
    would then overflow the stack and kill the service, where it was an error.
    """
    with _importing:
        limit = sys.getrecursionlimit()
        from eth_keyfile import keyfile

        sys.setrecursionlimit(limit)
    return keyfile


def write_private(path: Path, content: bytes) -> None:
    """Create a file with mode 600 from its first byte on. Raises FileExistsError when there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _lower_keys(content: Any) -> Any:
    """Some old files spell `Crypto` and `KDFParams`."""
    if isinstance(content, dict):
        return {str(key).lower(): _lower_keys(value) for key, value in content.items()}
    return content


def _check_form(content: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError unless this has the parts of a V3 file, within our bounds."""
    crypto = content["crypto"]
    parameters = crypto["kdfparams"]
    if content["version"] != 3 or crypto["cipher"] != "aes-128-ctr" or parameters["dklen"] != 32:
        raise ValueError
    bytes.fromhex(crypto["ciphertext"].removeprefix("0x"))
    if crypto["kdf"] == "scrypt":
        if (
            not 128 * int(parameters["n"]) * int(parameters["r"]) <= MAX_SCRYPT_MEMORY_BYTES
            or int(parameters["p"]) > 16
        ):
            raise ValueError
    elif crypto["kdf"] != "pbkdf2" or not 1 <= int(parameters["c"]) <= MAX_PBKDF2_ROUNDS:
        raise ValueError


def checked_address(keystore: Keystore, expected: Address) -> None:
    """Compare what the file says with what the settings say. Raises KeystoreUnusable."""
    if keystore.address is not None and keystore.address != expected:
        raise KeystoreUnusable(
            f"keystore {keystore.path} is for {checksummed(keystore.address)}, the settings say {checksummed(expected)}"
        )
