"""New wallets: keystores, entries to append to a settings file, and a list of addresses to fund.

In the directory: `keystores/ID.json`, `wallets.toml`, `wallets.csv` (address first) and, when no password was given, a new
one in `keystore-password`. Nothing is overwritten. wallets.toml is written last: where it is, the rest is complete.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import coincurve
import msgspec

from ghostfleet.domain.values import Address
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import address_of, checksummed
from ghostfleet.keys.keystore import DEFAULT_SCRYPT_N, write_keystore, write_private
from ghostfleet.keys.secret import Secret

MAX_WALLETS_AT_ONCE = 10_000
PASSWORD_FILE = "keystore-password"  # noqa: S105 - the name of it
KEYSTORES = "keystores"
WALLETS_TOML = "wallets.toml"
WALLETS_CSV = "wallets.csv"
ID_DIGITS = 8
"""Hex digits of the address in a generated id: two wallets of one profile share them once in 65,000 wallets, and then
`validate` names the pair."""


class AlreadyThere(BadInput):
    """The directory holds wallets already; keys are never overwritten. Give another directory."""


class NewWallet(msgspec.Struct, frozen=True):
    id: str
    address: Address
    secret: Secret


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to generate. Without `start` the ids carry digits of the address, so that they clash with no others."""

    directory: Path
    count: int
    profile: str
    prefix: str
    start: int | None
    password: Secret
    new_password: bool
    """Write the password into the directory."""
    password_file: Path | None
    """Named in every entry; None when the password comes from the environment."""
    plaintext_keys: bool = False
    relative_to: Path | None = None
    """Write file names relative to this directory, that of the settings file; absolute otherwise."""
    scrypt_n: int = DEFAULT_SCRYPT_N


def generate(plan: Plan, random_key: Callable[[], Secret]) -> Sequence[NewWallet]:
    """Make the wallets and write the files. Raises AlreadyThere before anything is written."""
    if not 1 <= plan.count <= MAX_WALLETS_AT_ONCE:
        raise BadInput(f"cannot generate {plan.count} wallets: give a number from 1 to {MAX_WALLETS_AT_ONCE}")
    directory = plan.directory
    for name in (KEYSTORES, WALLETS_TOML, WALLETS_CSV, *([PASSWORD_FILE] if plan.new_password else [])):
        if (directory / name).exists():
            raise AlreadyThere(f"{directory / name} exists and is not overwritten: give another directory")
    wallets = _wallets(plan, random_key)
    keystores = directory / KEYSTORES
    try:
        keystores.mkdir(parents=True, mode=0o700)
        if plan.new_password:
            write_private(directory / PASSWORD_FILE, plan.password.reveal() + b"\n")
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
            list(threads.map(lambda wallet: _write_keystore(plan, wallet), wallets))
        write_private(directory / WALLETS_CSV, _csv(plan, wallets).encode())
        write_private(directory / WALLETS_TOML, _toml(plan, wallets).encode())
        if not plan.plaintext_keys:
            (directory / WALLETS_CSV).chmod(0o644)
    except FileExistsError as error:
        raise AlreadyThere(f"{error.filename} exists and is not overwritten: give another directory") from None
    except OSError as error:
        raise BadInput(f"cannot write {error.filename or directory}: {error.strerror}") from None
    return wallets


def _wallets(plan: Plan, random_key: Callable[[], Secret]) -> list[NewWallet]:
    wallets: dict[str, NewWallet] = {}
    for number in range(plan.count):
        secret = random_key()
        address = address_of(coincurve.PrivateKey(secret.reveal()))
        name = f"{plan.prefix}-{address.hex()[:ID_DIGITS]}"
        if plan.start is not None:
            name = f"{plan.prefix}-{plan.start + number:03d}"
        elif name in wallets:
            name = f"{plan.prefix}-{address.hex()}"
        wallets[name] = NewWallet(name, address, secret)
    assert len(wallets) == plan.count
    return list(wallets.values())


def _keystore_path(plan: Plan, wallet: NewWallet) -> Path:
    return plan.directory / KEYSTORES / f"{wallet.id}.json"


def _write_keystore(plan: Plan, wallet: NewWallet) -> None:
    write_keystore(_keystore_path(plan, wallet), wallet.secret, plan.password, scrypt_n=plan.scrypt_n)


def _csv(plan: Plan, wallets: Sequence[NewWallet]) -> str:
    lines = ["address,key,id,profile"]
    for wallet in wallets:
        key = "0x" + wallet.secret.reveal().hex() if plan.plaintext_keys else ""
        lines.append(f"{checksummed(wallet.address)},{key},{wallet.id},{plan.profile}")
    return "\n".join(lines) + "\n"


def _toml(plan: Plan, wallets: Sequence[NewWallet]) -> str:
    """Starts with an empty line, so that it can be appended to a file that does not end with one."""
    lines = ["", f"# {len(wallets)} wallets, generated; append to the settings file"]
    for wallet in wallets:
        lines += [
            "",
            "[[wallets]]",
            f"id = {_quoted(wallet.id)}",
            f'address = "{checksummed(wallet.address)}"',
            f"profile = {_quoted(plan.profile)}",
            f"keyfile = {_quoted(_named(plan, _keystore_path(plan, wallet)))}",
        ]
        if plan.password_file is not None:
            lines.append(f"password_file = {_quoted(_named(plan, plan.password_file))}")
    return "\n".join(lines) + "\n"


def _named(plan: Plan, path: Path) -> str:
    if plan.relative_to is not None:
        return os.path.relpath(path.absolute(), plan.relative_to.absolute())
    return str(path.absolute())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
