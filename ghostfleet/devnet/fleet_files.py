"""What does a prepared fleet look like on disk? Light keystores, their password, wallets.csv and config.toml.

The keystores are for development: scrypt with so little work that hundreds of them open in a second, and the password
lies beside them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import coincurve
import msgspec

from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keystore import write_keystore, write_private
from ghostfleet.keys.secret import Secret

DEVELOPMENT_SCRYPT_N = 256
CONFIG = "config.toml"
WALLETS_CSV = "wallets.csv"
PASSWORD_FILE = "keystore-password"  # noqa: S105 - the name of it
KEYSTORES = "keystores"
STORE = "ghostfleet.db"


class FleetExists(BadInput):
    """The directory holds a fleet already, and its keys are never overwritten. Give another directory."""


class PreparedWallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet of the fleet. Its key is on disk only."""

    id: str
    address: Address
    profile: str

    @property
    def keyfile(self) -> str:
        return f"{KEYSTORES}/{self.id}.json"


def check_free(directory: Path) -> None:
    """Raises FleetExists before anything is written, and before anything is spent."""
    for name in (CONFIG, WALLETS_CSV, PASSWORD_FILE, KEYSTORES):
        if (directory / name).exists():
            raise FleetExists(f"{directory / name} exists and is not overwritten: give another directory")


def write_keys(
    directory: Path,
    wallets: Sequence[PreparedWallet],
    keys: Mapping[str, Secret],
    password: Secret,
) -> None:
    """Before anything is funded: a wallet that has money has its key on disk."""
    (directory / KEYSTORES).mkdir(parents=True, mode=0o700)
    write_private(directory / PASSWORD_FILE, password.reveal() + b"\n")
    for wallet in wallets:
        write_keystore(directory / wallet.keyfile, keys[wallet.id], password, scrypt_n=DEVELOPMENT_SCRYPT_N)
    lines = ["address,id,profile", *(f"{checksummed(one.address)},{one.id},{one.profile}" for one in wallets)]
    (directory / WALLETS_CSV).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_config(
    directory: Path,
    wallets: Sequence[PreparedWallet],
    tables: Sequence[tuple[str, Mapping[str, Any]]],
) -> Path:
    """The settings file, mode 600, written last: where it is, the rest is complete. Paths in it are relative to it."""
    lines = ["# A fleet on a development chain, written by `ghost-fleet devnet prepare`.", ""]
    for name, entries in tables:
        lines += _table(f"[{name}]", entries)
    for wallet in wallets:
        entries = {
            "id": wallet.id,
            "address": checksummed(wallet.address),
            "profile": wallet.profile,
            "keyfile": wallet.keyfile,
        }
        lines += _table("[[wallets]]", entries)
    path = directory / CONFIG
    write_private(path, "\n".join(lines).encode())
    return path


def new_wallets(
    count: int, profiles: Sequence[str], random_key: Callable[[], Secret]
) -> tuple[list[PreparedWallet], dict[str, Secret]]:
    """wallet-001 and on, the profiles in turn; and the keys by id."""
    wallets, keys = [], {}
    for number in range(count):
        key = random_key()
        wallet = PreparedWallet(
            id=f"wallet-{number + 1:03d}",
            address=address_of(coincurve.PrivateKey(key.reveal())),
            profile=profiles[number % len(profiles)],
        )
        wallets.append(wallet)
        keys[wallet.id] = key
    return wallets, keys


def _table(header: str, entries: Mapping[str, Any]) -> list[str]:
    # JSON strings, numbers, booleans and lists of strings are TOML as well.
    return [header, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()), ""]
