"""Are the keys there, the owner's alone, and do they fit the addresses?

Looks at keys in the file and in the environment, and at what keystore files say of themselves; decrypting them and asking
those who hold keys elsewhere is `keys/opening.py`'s.
"""

from collections.abc import Mapping
from pathlib import Path

from ghostfleet.config.development_keys import PUBLIC_ADDRESSES
from ghostfleet.config.paths import resolved
from ghostfleet.config.redaction import bare_url
from ghostfleet.config.settings import KeysSettings, KmsSettings, RemoteSignerSettings, WalletSettings
from ghostfleet.config.shape import Shape
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.keys.keyring import (
    EnvironmentKey,
    InlineKey,
    KeySource,
    KeystoreFile,
    KmsKey,
    RemoteKey,
    signing_key,
)
from ghostfleet.keys.keystore import KeystoreUnusable, checked_address, read_keystore
from ghostfleet.keys.kms import KmsPlace
from ghostfleet.keys.opening import HEX_KEY, key_in
from ghostfleet.keys.passwords import (
    CREDENTIALS_VARIABLE,
    DEFAULT_CREDENTIAL,
    PASSWORD_VARIABLE,
    PasswordPlace,
    PasswordSource,
    PasswordUnusable,
    credential_path,
    default_source,
    inside_a_unit,
    read_password,
    seen_by_others,
    where_it_is,
)
from ghostfleet.keys.secret import Secret
from ghostfleet.keys.web3signer import RemotePlace, RemoteUnusable, tls_of


class KeyFiles:
    """Finds and checks the keys of the wallets, each file once. `directory` is what relative paths start from. Without `opens`
    nobody will open them here, and a password that only the service's unit has is no problem but a warning."""

    def __init__(
        self, shape: Shape, config: Path, environ: Mapping[str, str], directory: Path, *, opens: bool = True
    ) -> None:
        self._shape = shape
        self._config = config
        self._directory = directory
        self._environ = environ
        self._opens = opens
        self.warnings: list[str] = []
        self._passwords: dict[PasswordSource, bool] = {}
        self._shared: PasswordSource | None = None
        self._shared_missing_reported = False
        self._by_default = False
        self._kms = _kms_place(KmsSettings())
        self._remote: RemotePlace | None = None
        self._remote_missing_reported = False
        self.inline = 0
        self._private_inline = 0

    def resolve(self, text: str) -> Path:
        return resolved(self._directory, text)

    def use_keys_section(self, settings: KeysSettings | None) -> None:
        """Where the password of keystores without one of their own is, and who holds keys elsewhere. None: it has problems of its
        own, and what is missing because of them is not told again."""
        if settings is None:
            self._shared_missing_reported = self._remote_missing_reported = True
            return
        self._kms = _kms_place(settings.kms)
        if settings.remote is not None:
            self._remote = self._remote_place(settings.remote)
        self._use_password(settings)

    def _use_password(self, settings: KeysSettings) -> None:
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
                self._shared = PasswordSource(PasswordPlace.UNIT, settings.credential)
                return
            self._shared = PasswordSource(PasswordPlace.CREDENTIAL, str(path))
        else:
            self._shared = default_source(self._environ)
            if self._shared is None and not inside_a_unit(self._environ):
                self._shared = PasswordSource(PasswordPlace.UNIT, DEFAULT_CREDENTIAL)
                self._by_default = True
            return
        key = given[0]
        self._usable(self._shared, ("keys", key))

    def key_of(self, path: tuple[str, ...], wallet: WalletSettings) -> KeySource | None:
        """The key of the wallet that stands at `path`, or None when it has none or something is wrong with it."""
        if wallet.private_key is not None:
            self.inline += 1
            if parse_address(wallet.address) not in PUBLIC_ADDRESSES:
                self._private_inline += 1
            key = self._inline(wallet, wallet.private_key, (*path, "private_key"))
            return key if wallet.enabled else None
        if not wallet.enabled:
            return None
        if wallet.keyfile is not None:
            return self._keystore(wallet, wallet.keyfile, path)
        if wallet.key_env is not None:
            return self._in_environment(wallet, wallet.key_env, (*path, "key_env"))
        if wallet.kms_key_id is not None:
            return KmsKey(wallet.kms_key_id, self._kms)
        return self._at_remote(wallet, (*path, "remote_signer")) if wallet.remote_signer else None

    def check_config_mode(self) -> None:
        """A settings file with keys in it is for its owner's eyes only."""
        if self._private_inline:
            self._check_mode(self._config, "it holds private keys", ())

    def _inline(self, wallet: WalletSettings, text: str, path: tuple[str, ...]) -> KeySource | None:
        if not HEX_KEY.fullmatch(text):
            self._shape.report(path, f"{wallet.id}: is no private key", "64 hexadecimal digits, with or without 0x")
            return None
        secret = Secret(bytes.fromhex(text[-64:]))
        return InlineKey(secret) if self._fits(wallet, secret, path) else None

    def _in_environment(self, wallet: WalletSettings, variable: str, path: tuple[str, ...]) -> KeySource | None:
        source = EnvironmentKey(variable)
        try:
            secret = key_in(source, self._environ)
        except ValueError as error:
            self._shape.report(path, f"{wallet.id}: {error}", "put the key there, 64 hexadecimal digits")
            return None
        return source if self._fits(wallet, secret, path) else None

    def _fits(self, wallet: WalletSettings, secret: Secret, path: tuple[str, ...]) -> bool:
        """Whether it is a key, and the wallet's."""
        try:
            key = signing_key(secret)
        except ValueError as error:
            self._shape.report(path, f"{wallet.id}: is {error}", "give another key")
            return False
        stated = parse_address(wallet.address)
        if key.address != stated:
            self._shape.report(
                (*path[:-1], "address"),
                f"{wallet.id}: {checksummed(stated)} does not belong to the {path[-1]}",
                f"that key's address is {checksummed(key.address)}",
            )
        return key.address == stated

    def _at_remote(self, wallet: WalletSettings, path: tuple[str, ...]) -> KeySource | None:
        if self._remote is not None:
            return RemoteKey(self._remote)
        if not self._remote_missing_reported:
            self._remote_missing_reported = True
            self._shape.report(
                path, f"{wallet.id} has its key at a remote signer, and there is none", "add [keys.remote]"
            )
        return None

    def _remote_place(self, settings: RemoteSignerSettings) -> RemotePlace:
        key = self.resolve(settings.client_key) if settings.client_key is not None else None
        place = RemotePlace(
            url=settings.url,
            name=bare_url(settings.url),
            timeout_secs=settings.timeout_secs,
            at_once=settings.at_once,
            ca_file=self.resolve(settings.ca_file) if settings.ca_file is not None else None,
            client_certificate=self.resolve(settings.client_certificate) if settings.client_certificate else None,
            client_key=key,
        )
        try:
            tls_of(place)
        except RemoteUnusable as problem:
            self._shape.report(("keys", "remote"), str(problem), "PEM files that the service may read")
        if key is not None:
            self._check_mode(key, "it holds a key", ("keys", "remote", "client_key"))
        return place

    def _keystore(self, wallet: WalletSettings, keyfile: str, path: tuple[str, ...]) -> KeySource | None:
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
        if password is None or password.place is PasswordPlace.UNIT:
            self._report_no_password(password)
        if password is None:
            return None
        return KeystoreFile(file, password)

    def _report_no_password(self, of_the_unit: PasswordSource | None) -> None:
        """Once: a problem for who opens keystores, and everywhere inside a unit; a warning for who only looks from outside."""
        if self._shared_missing_reported:
            return
        self._shared_missing_reported = True
        if of_the_unit is None:
            self._shape.report(
                ("keys", "password_file"),
                "there are keystores and no password for them",
                f"give a password_file, or set {PASSWORD_VARIABLE}",
            )
        elif not self._opens:
            also = f", {PASSWORD_VARIABLE} is not set" if self._by_default else ""
            self.warnings.append(
                f"the keystores' password is not here{also}: the settings leave it to a credential of systemd's, which only the"
                " service's unit has; it was not looked at, and what opens keys has to run there (docs/deploy.md)"
            )
        elif self._by_default:
            self._shape.report(
                ("keys", "password_file"),
                "there are keystores and no password for them",
                f"give a password_file, or set {PASSWORD_VARIABLE}; is it the unit's credential {DEFAULT_CREDENTIAL}? "
                + where_it_is(DEFAULT_CREDENTIAL, self._config),
            )
        else:
            self._shape.report(
                ("keys", "credential"),
                f"there is no ${CREDENTIALS_VARIABLE}: a credential is only there in a unit that loads it",
                where_it_is(of_the_unit.where, self._config),
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


def _kms_place(settings: KmsSettings) -> KmsPlace:
    return KmsPlace(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        timeout_secs=settings.timeout_secs,
        at_once=settings.at_once,
    )
