"""Are the keys there, the owner's alone, and do they fit the addresses?

Looks at inline keys and at what keystore files say of themselves; decrypting them is `keys.load_keyring`'s.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ghostfleet.config.development_keys import PUBLIC_ADDRESSES
from ghostfleet.config.settings import KeysSettings, WalletSettings
from ghostfleet.config.shape import Shape
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.keys.keyring import InlineKey, KeySource, KeystoreFile, signing_key
from ghostfleet.keys.keystore import KeystoreUnusable, checked_address, read_keystore
from ghostfleet.keys.passwords import (
    CREDENTIALS_VARIABLE,
    PASSWORD_VARIABLE,
    PasswordPlace,
    PasswordSource,
    PasswordUnusable,
    credential_path,
    default_source,
    read_password,
    seen_by_others,
)
from ghostfleet.keys.secret import Secret

_HEX_KEY = re.compile(r"(0[xX])?[0-9a-fA-F]{64}")


class KeyFiles:
    """Finds and checks the keys of the wallets, each file once. `directory` is what relative paths start from."""

    def __init__(self, shape: Shape, config: Path, environ: Mapping[str, str]) -> None:
        self._shape = shape
        self._config = config
        self._environ = environ
        self._passwords: dict[PasswordSource, bool] = {}
        self._shared: PasswordSource | None = None
        self._shared_missing_reported = False
        self.inline = 0
        self._private_inline = 0

    def resolve(self, text: str) -> Path:
        return (self._config.parent / Path(text).expanduser()).absolute()

    def use_keys_section(self, settings: KeysSettings) -> None:
        """Where the password of keystores without one of their own is."""
        given = [key for key in ("password_file", "password_env", "credential") if getattr(settings, key) is not None]
        for key in given[1:]:
            self._shape.report(("keys", key), f"is given beside {given[0]}", "keep one of them")
        if settings.password_file is not None:
            self._shared = PasswordSource(PasswordPlace.FILE, str(self.resolve(settings.password_file)))
        elif settings.password_env is not None:
            self._shared = PasswordSource(PasswordPlace.ENVIRONMENT, settings.password_env)
        elif settings.credential is not None:
            path = credential_path(self._environ, settings.credential)
            if path is None:
                self._shape.report(
                    ("keys", "credential"),
                    f"there is no ${CREDENTIALS_VARIABLE}",
                    "run under a systemd unit with LoadCredential=, or give a password_file",
                )
                self._shared_missing_reported = True
                return
            self._shared = PasswordSource(PasswordPlace.CREDENTIAL, str(path))
        else:
            self._shared = default_source(self._environ)
            return
        key = given[0]
        self._usable(self._shared, ("keys", key))

    def key_of(self, index: int, wallet: WalletSettings) -> KeySource | None:
        """The wallet's key, or None when it has none or something is wrong with it."""
        path = ("wallets", f"[{index}]")
        if wallet.private_key is not None:
            self.inline += 1
            if parse_address(wallet.address) not in PUBLIC_ADDRESSES:
                self._private_inline += 1
            return self._inline(wallet, wallet.private_key, (*path, "private_key"))
        if wallet.keyfile is not None and wallet.enabled:
            return self._keystore(wallet, wallet.keyfile, path)
        return None

    def check_config_mode(self) -> None:
        """A settings file with keys in it is for its owner's eyes only."""
        if self._private_inline:
            self._check_mode(self._config, "it holds private keys", ())

    def _inline(self, wallet: WalletSettings, text: str, path: tuple[str, ...]) -> KeySource | None:
        if not _HEX_KEY.fullmatch(text):
            self._shape.report(path, f"{wallet.id}: is no private key", "64 hexadecimal digits, with or without 0x")
            return None
        secret = Secret(bytes.fromhex(text[-64:]))
        try:
            key = signing_key(secret)
        except ValueError as error:
            self._shape.report(path, f"{wallet.id}: is {error}", "give another key")
            return None
        stated = parse_address(wallet.address)
        if key.address != stated:
            self._shape.report(
                (*path[:-1], "address"),
                f"{wallet.id}: {checksummed(stated)} does not belong to the private_key",
                f"that key's address is {checksummed(key.address)}",
            )
            return None
        return InlineKey(secret)

    def _keystore(self, wallet: WalletSettings, keyfile: str, path: tuple[str, str]) -> KeySource | None:
        file = self.resolve(keyfile)
        try:
            keystore = read_keystore(file)
        except KeystoreUnusable as error:
            self._shape.report((*path, "keyfile"), f"{wallet.id}: {error}", "give the path of a keystore V3 file")
            return None
        self._check_mode(file, f"it holds the key of {wallet.id}", (*path, "keyfile"))
        try:
            checked_address(keystore, parse_address(wallet.address))
        except KeystoreUnusable as error:
            self._shape.report((*path, "address"), f"{wallet.id}: {error}", "put the keystore's own address here")
        password = self._shared
        if wallet.password_file is not None:
            password = PasswordSource(PasswordPlace.FILE, str(self.resolve(wallet.password_file)))
            if not self._usable(password, (*path, "password_file")):
                return None
        if password is None:
            self._report_no_password()
            return None
        return KeystoreFile(file, password)

    def _report_no_password(self) -> None:
        if not self._shared_missing_reported:
            self._shared_missing_reported = True
            self._shape.report(
                ("keys", "password_file"),
                "there are keystores and no password for them",
                f"give a password_file, or set {PASSWORD_VARIABLE}",
            )

    def _usable(self, source: PasswordSource, path: tuple[str, ...]) -> bool:
        """Each password is read and reported once, whatever number of wallets it is for."""
        if source in self._passwords:
            return self._passwords[source]
        usable = True
        try:
            read_password(source, self._environ)
        except PasswordUnusable as error:
            self._shape.report(path, str(error), "it holds the keystores' password, nothing else")
            usable = False
        if usable and source.place is PasswordPlace.FILE:
            self._check_mode(Path(source.where), "it holds a password", path)
        self._passwords[source] = usable
        return usable

    def _check_mode(self, file: Path, why: str, path: tuple[str, ...]) -> None:
        try:
            mode = seen_by_others(file)
        except OSError:
            return  # a file that cannot be looked at was reported when it was read
        if mode is not None:
            self._shape.report(path, f"others may read {file} (mode {mode}) and {why}", f"chmod 600 {file}")
