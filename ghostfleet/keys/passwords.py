"""Where does a keystore's password come from: a file, an environment variable, or a systemd credential?"""

import os
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from ghostfleet.errors import BadInput
from ghostfleet.keys.secret import Secret

PASSWORD_VARIABLE = "GHOST_FLEET_KEYSTORE_PASSWORD"  # noqa: S105 - the name of it
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
DEFAULT_CREDENTIAL = "keystore-password"
MAX_PASSWORD_BYTES = 4096


class PasswordUnusable(BadInput):
    """The keystore password cannot be read from where the settings say it is. The message names the place."""


class PasswordPlace(StrEnum):
    FILE = "file"
    ENVIRONMENT = "environment"
    CREDENTIAL = "credential"
    UNIT = "unit"
    """A credential of systemd's that is not here: only the unit of the service has it."""


class PasswordSource(msgspec.Struct, frozen=True):
    """Where a password is, not the password: `where` is a path, the name of a variable, or of the credential of a unit."""

    place: PasswordPlace
    where: str


def default_source(environ: Mapping[str, str]) -> PasswordSource | None:
    """Without a word in the settings: the environment variable, then the systemd credential of the usual name."""
    if environ.get(PASSWORD_VARIABLE):
        return PasswordSource(PasswordPlace.ENVIRONMENT, PASSWORD_VARIABLE)
    credential = credential_path(environ, DEFAULT_CREDENTIAL)
    if credential is not None and credential.is_file():
        return PasswordSource(PasswordPlace.CREDENTIAL, str(credential))
    return None


def inside_a_unit(environ: Mapping[str, str]) -> bool:
    """Whether there is a place for credentials at all: a unit of systemd's has one, and the container of the image."""
    return bool(environ.get(CREDENTIALS_VARIABLE))


def where_it_is(name: str, config: Path) -> str:
    """The line that runs a command where the credential is. Another name than the usual one may be the password by mistake."""
    shown = name if name == DEFAULT_CREDENTIAL else "NAME"
    return (
        "run it where that is: `systemd-run --pipe --wait --collect --uid=ghost-fleet -p UMask=0077"
        f" -p LoadCredentialEncrypted={shown}:/etc/ghost-fleet/{shown}.cred"
        f" /opt/ghost-fleet/bin/ghost-fleet --config {config.absolute()} COMMAND` as root (docs/deploy.md)"
    )


def credential_path(environ: Mapping[str, str], name: str) -> Path | None:
    """The file systemd made for LoadCredential=name, or None outside of such a unit."""
    directory = environ.get(CREDENTIALS_VARIABLE)
    return Path(directory) / name if directory else None


def read_password(source: PasswordSource, environ: Mapping[str, str]) -> Secret:
    """The password; one trailing line break of a file does not belong to it. Raises PasswordUnusable."""
    if source.place is PasswordPlace.UNIT:
        raise PasswordUnusable(
            "the keystores' password is a credential that only the service's unit has (docs/deploy.md)"
        )
    if source.place is PasswordPlace.ENVIRONMENT:
        value = environ.get(source.where, "").encode("utf-8", "surrogateescape")
    else:
        try:
            with open(source.where, "rb") as file:
                value = file.read(MAX_PASSWORD_BYTES + 1)
        except (OSError, ValueError) as error:
            raise PasswordUnusable(f"cannot read the password {describe(source)}: {_reason(error)}") from None
        value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise PasswordUnusable(f"the password {describe(source)} is empty")
    if len(value) > MAX_PASSWORD_BYTES:
        raise PasswordUnusable(f"the password {describe(source)} is longer than {MAX_PASSWORD_BYTES} bytes")
    return Secret(value)


def describe(source: PasswordSource) -> str:
    """The place in words for a message."""
    if source.place is PasswordPlace.ENVIRONMENT:
        usual = source.where == PASSWORD_VARIABLE  # any other name may be the password itself, put there by mistake
        return f"in {PASSWORD_VARIABLE}" if usual else "in the environment variable that the settings name"
    return "in a credential of the unit" if source.place is PasswordPlace.UNIT else f"{source.place} {source.where}"


def seen_by_others(path: Path) -> str | None:
    """The file's mode in octal when anyone but its owner has a right to it, else None. Raises OSError."""
    if os.name != "posix":
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{mode:03o}" if mode & 0o077 else None


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "not a path"
