"""`ghost-fleet wallets`: make new ones, list those of the settings file."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import coincurve
import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_table, print_warning
from ghostfleet.config.settings import NAME
from ghostfleet.domain.profile import BUILT_IN_PROFILES
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.generation import PASSWORD_FILE, WALLETS_CSV, WALLETS_TOML, Plan, generate
from ghostfleet.keys.keyring import EnvironmentKey, InlineKey, KeystoreFile, KmsKey, RemoteKey
from ghostfleet.keys.keystore import DEFAULT_SCRYPT_N, MAX_SCRYPT_MEMORY_BYTES
from ghostfleet.keys.passwords import PasswordPlace, PasswordSource, default_source, read_password
from ghostfleet.keys.secret import Secret

KEY_WORDS: Mapping[type, str] = {
    InlineKey: "inline",
    KeystoreFile: "keystore",
    EnvironmentKey: "environment",
    KmsKey: "kms",
    RemoteKey: "remote",
    type(None): "none",
}
app = typer.Typer(help="Generate and list wallets.", no_args_is_help=True)


@app.command("generate")
def generate_wallets(
    count: Annotated[int, typer.Argument(help="How many.", min=1)],
    out: Annotated[Path, typer.Option("--out", help="Directory for keystores, wallets.toml and wallets.csv.")],
    profile: Annotated[str, typer.Option("--profile", help="Profile of all of them.")] = "casual",
    plaintext_keys: Annotated[
        bool, typer.Option("--plaintext-keys", help="Put the keys into wallets.csv as well, unencrypted, mode 600.")
    ] = False,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="Password of the keystores; a new one is made otherwise.")
    ] = None,
    prefix: Annotated[str | None, typer.Option("--prefix", help="Start of every id. Default: the profile.")] = None,
    start: Annotated[
        int | None, typer.Option("--start", min=0, help="Number the ids from here. Default: ids from the address.")
    ] = None,
    relative_to: Annotated[
        Path | None,
        typer.Option("--relative-to", help="Write paths relative to this directory (of the settings file)."),
    ] = None,
    scrypt_n: Annotated[
        int, typer.Option("--scrypt-n", help="Work factor of the encryption, a power of two; small is weak.")
    ] = DEFAULT_SCRYPT_N,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write new encrypted keystores, entries for a settings file, and a list of addresses to fund."""
    for what, name in (("profile", profile), ("prefix", prefix or profile)):
        if not NAME.fullmatch(name):
            raise BadInput(f"{what} {name!r} is no name: letters, digits, dots, dashes, underscores")
    if scrypt_n < 2 or scrypt_n & (scrypt_n - 1) or 128 * 8 * scrypt_n > MAX_SCRYPT_MEMORY_BYTES:
        raise BadInput(f"--scrypt-n {scrypt_n} is not a power of two from 2 to {MAX_SCRYPT_MEMORY_BYTES // 1024}")
    password, place, new = _password(password_file, out)
    if profile not in BUILT_IN_PROFILES:
        print_warning(f"{profile} is not a built-in profile: the settings file has to define [profiles.{profile}]")
    wallets = generate(
        Plan(
            directory=out,
            count=count,
            profile=profile,
            prefix=prefix or profile,
            start=start,
            password=password,
            new_password=new,
            password_file=place,
            plaintext_keys=plaintext_keys,
            relative_to=relative_to,
            scrypt_n=scrypt_n,
        ),
        lambda: Secret(coincurve.PrivateKey().secret),
    )
    if as_json:
        print_json(
            {
                "directory": str(out),
                "password_file": str(place) if place is not None else None,
                "wallets": [{"id": wallet.id, "address": checksummed(wallet.address)} for wallet in wallets],
            }
        )
        return
    print_line(
        f"{len(wallets)} wallets in {out}: fund the addresses of {WALLETS_CSV}, append {WALLETS_TOML} to a config"
    )
    if new:
        print_line(f"the keystores' password is in {place}: keep it apart from them")


@app.command("list")
def list_wallets(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """The wallets of the settings file, without asking the service."""
    settings = options_of(context).load(opens=False)
    rows = []
    for wallet in settings.wallets:
        kind = KEY_WORDS[type(wallet.key)]
        rows.append(
            {
                "id": wallet.id,
                "address": checksummed(wallet.address),
                "profile": wallet.profile,
                "plugin": wallet.plugin,
                "enabled": wallet.enabled,
                "key": kind,
            }
        )
    if as_json:
        print_json({"wallets": rows})
    else:
        columns = ("id", "address", "profile", "plugin", "enabled", "key")
        print_table(columns, [[row[column] for column in columns] for row in rows])


def _password(given: Path | None, out: Path) -> tuple[Secret, Path | None, bool]:
    """The password, the file the entries name for it, and whether it is new."""
    if given is not None:
        return read_password(PasswordSource(PasswordPlace.FILE, str(given)), os.environ), given, False
    source = default_source(os.environ)
    if source is not None:
        return read_password(source, os.environ), None, False
    return Secret(secrets.token_urlsafe(32).encode()), out / PASSWORD_FILE, True
