"""What takes more than one key to judge: wallets against each other and their keys, the chain, the HTTP interface."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ghostfleet.config.chains import LIVE_CHAINS, MEGAETH_CHAINS
from ghostfleet.config.development_keys import PUBLIC_ADDRESSES
from ghostfleet.config.environment import DATA_DIRECTORY_VARIABLE
from ghostfleet.config.problems import nearest, shown
from ghostfleet.config.settings import (
    DEFAULT_LOG_FILE,
    KEY_SOURCES,
    AdminSettings,
    ChainSettings,
    ProfileSettings,
    StoreSettings,
    TreasurySettings,
    WalletSettings,
)
from ghostfleet.config.shape import Shape
from ghostfleet.domain.operating import funder_id
from ghostfleet.domain.profile import BUILT_IN_PROFILES, CASUAL, Profile
from ghostfleet.keys.addresses import parse_address

POSTGRES_PARAMETERS = {"host", "port", "ssl", "passfile", "target_session_attrs", "krbsrvname", "gsslib"}
"""What may stand behind the `?` of a URL: what the driver takes, of what belongs there."""
SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def check_chain(shape: Shape, chain: ChainSettings) -> None:
    if chain.rpc_url is None and not chain.rpc_urls:
        shape.report(("chain", "rpc_url"), "is missing", "give the JSON-RPC endpoint, or several as rpc_urls")
    if chain.chain_id in LIVE_CHAINS and not chain.allow_live:
        live = f"chain {chain.chain_id} is live ({LIVE_CHAINS[chain.chain_id]})"
        shape.report(("chain", "chain_id"), live, "set allow_live = true in [chain] if real money is meant")
    if chain.finality_blocks < chain.confirmations:
        shape.report(
            ("chain", "finality_blocks"),
            f"is {chain.finality_blocks}, less than the {chain.confirmations} confirmations",
            "a transaction is final after it is confirmed",
        )


def chain_warnings(chain: ChainSettings) -> list[str]:
    """What loads, because operators have such files, and does not do what it looks like."""
    if chain.chain_type == "megaeth":
        return []
    warnings = []
    if chain.use_realtime:
        told = 'chain.use_realtime has no effect without chain_type = "megaeth": sends are eth_sendRawTransaction'
        warnings.append(f"{told}; set chain_type, or use_realtime = false")
    if chain.chain_id in MEGAETH_CHAINS:
        told = (
            f"chain {chain.chain_id} is {MEGAETH_CHAINS[chain.chain_id]} and chain.chain_type is {chain.chain_type!r}"
        )
        warnings.append(
            f'{told}: what gives a nonce away may be refused for too little gas; set chain_type = "megaeth"'
        )
    return warnings


def check_public_keys(shape: Shape, chain: ChainSettings) -> None:
    """Wallets of the development mnemonic are emptied by others within seconds on a chain where that pays."""
    if chain.chain_id not in LIVE_CHAINS:
        return
    for index, raw, _ in shape.wallets:
        if _address_of(raw) in PUBLIC_ADDRESSES:
            path = ("wallets", f"[{index}]", "address")
            shape.report(path, f"everybody knows the key of {raw['address']}", "generate wallets of your own")


def check_admin(shape: Shape, admin: AdminSettings, port: int) -> None:
    if port and not is_loopback(admin.host) and not admin.tokens:
        shape.report(
            ("admin", "host"),
            f"{admin.host} can be reached from elsewhere and no token is configured",
            "add one to admin.tokens, or listen on 127.0.0.1",
        )
    if port and admin.require_token_on_loopback and not admin.tokens:
        shape.report(
            ("admin", "require_token_on_loopback"),
            "a token is required and none is configured: nobody could ask",
            "add one to admin.tokens, or leave this false",
        )
    seen: set[str] = set()
    for index, token in enumerate(admin.tokens):
        path = ("admin", "tokens", f"[{index}]")
        if token.name in seen:
            shape.report((*path, "name"), f"{token.name} is there twice", "give each token a name of its own")
        if token.sha256.lower() == SHA256_OF_NOTHING:
            shape.report((*path, "sha256"), "is the hash of an empty token", "printf %s TOKEN | sha256sum")
        seen.add(token.name)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def resolve_profiles(shape: Shape) -> dict[str, Profile]:
    """The built-in profiles with the file's changes, and its own ones."""
    profiles = dict(BUILT_IN_PROFILES)
    for name, settings in shape.profiles.items():
        profiles[name] = profile_of(name, settings)
        if profiles[name].afk_min_hours > profiles[name].afk_max_hours:
            shape.report(
                ("profiles", name, "afk_max_hours"),
                f"is {profiles[name].afk_max_hours:g}, less than afk_min_hours ({profiles[name].afk_min_hours:g})",
                "the longest time away is at least the shortest",
            )
    return profiles


def profile_of(name: str, settings: ProfileSettings) -> Profile:
    base = BUILT_IN_PROFILES.get(name, CASUAL)
    return msgspec.structs.replace(base, name=name, **settings.model_dump(exclude_none=True))


def check_wallets(shape: Shape, enabled_plugins: list[str] | None) -> None:
    """Names and addresses are unique, profiles and plugins exist, and there is one key for each enabled wallet.

    Works on the raw tables, so that one wrong key of a wallet does not hide another."""
    ids: dict[object, int] = {}
    addresses: dict[bytes, str] = {}
    known_profiles = {*BUILT_IN_PROFILES, *shape.profile_names}
    for index, raw, read in shape.wallets:
        path = ("wallets", f"[{index}]")
        name = raw.get("id") if isinstance(raw.get("id"), str) else f"wallet {index}"
        if isinstance(raw.get("id"), str) and ids.setdefault(name, index) != index:
            shape.report((*path, "id"), f"{name} is also wallets[{ids[name]}]", "give each wallet a name of its own")
        address = _address_of(raw)
        if address is not None and addresses.setdefault(address, f"{name}") != name:
            shape.report(
                (*path, "address"),
                f"{name} has the same address as {addresses[address]}",
                "give each wallet an address of its own",
            )
        profile = raw.get("profile")
        if isinstance(profile, str) and profile not in known_profiles:
            shape.report((*path, "profile"), f"no profile {profile!r}", nearest(profile, known_profiles))
        plugin = raw.get("plugin")
        if isinstance(plugin, str) and enabled_plugins is not None and plugin not in enabled_plugins:
            shape.report((*path, "plugin"), f"plugin {plugin!r} is not enabled", nearest(plugin, enabled_plugins))
        _check_key_given(shape, path, str(name), raw, read)
    if shape.wallets and enabled_plugins == []:
        shape.report(("plugins", "enabled"), "no plugin is enabled", 'the wallets need one, for example ["ghostnet"]')


def check_treasury(shape: Shape, treasury: TreasurySettings) -> WalletSettings | None:
    """The treasury as a wallet that takes no turns of its own; None where there is none."""
    given = treasury.model_dump(exclude_none=True, exclude_defaults=True)
    if treasury.address is None:
        for key in given:
            shape.report(("treasury", key), "the treasury has no address", "add treasury.address, or remove this")
        return None
    address = parse_address(treasury.address)
    _check_key_given(shape, ("treasury",), "the treasury", given, None)
    for index, raw, _ in shape.wallets:
        if _address_of(raw) == address:
            shape.report(
                ("treasury", "address"),
                f"wallets[{index}] has the same address",
                "the treasury is a wallet of its own: it pays the others",
            )
    return WalletSettings(id=funder_id(address), profile="casual", **given)


def _check_key_given(
    shape: Shape, path: tuple[str, ...], name: str, raw: dict[str, Any], read: WalletSettings | None
) -> None:
    given = [key for key in KEY_SOURCES if raw.get(key, False) is not False]
    enabled = raw.get("enabled", True) is not False
    for key in given[1:]:
        shape.report((*path, key), f"{name} has both a {key} and a {given[0]}", f"keep the {given[0]}")
    if not given and enabled:
        right = "give a keyfile, key_env, kms_key_id or remote_signer, or set enabled = false"
        shape.report((*path, "keyfile"), f"{name} has no key", right)
    if "password_file" in raw and "keyfile" not in raw:
        shape.report((*path, "password_file"), f"{name} has no keyfile to open with it", "remove it")


def _address_of(raw: dict[str, Any]) -> bytes | None:
    try:
        return parse_address(raw["address"])
    except (ValueError, KeyError, TypeError):
        return None


def directory_of_log(store: StoreSettings, beside: Path, environ: Mapping[str, str]) -> Path:
    """Where the FILE of a log is looked for: `beside` the settings file. One that the settings do not name is in the directory of
    GHOST_FLEET_DATA_DIRECTORY, which the image sets, unless there is one beside the settings file already."""
    data = environ.get(DATA_DIRECTORY_VARIABLE)
    if not data or "url" in store.model_fields_set or (beside / DEFAULT_LOG_FILE).exists():
        return beside
    return Path(data)


def check_store(shape: Shape, url: str, directory: Path) -> str:
    """The store's URL with an absolute path and without a driver's name."""
    scheme, colon, rest = url.partition("://")
    dialect = scheme.partition("+")[0].lower()
    if colon and dialect in ("postgresql", "postgres") and rest.strip("/"):
        for name in parse_qs(rest.partition("?")[2], keep_blank_values=True):
            if name not in POSTGRES_PARAMETERS:
                told = (
                    "write ssl=require, for example" if name.startswith("ssl") else nearest(name, POSTGRES_PARAMETERS)
                )
                shape.report(("store", "url"), f"PostgreSQL is not asked with a parameter {shown(name)}", told)
        return f"postgresql://{rest}"
    if colon and dialect == "sqlite" and rest.startswith("/") and rest.strip("/") and rest != "/:memory:":
        return f"sqlite:///{(directory / rest[1:]).absolute()}"
    shape.report(
        ("store", "url"),
        "is not a place for the log",
        "sqlite:///FILE for a file beside this one, sqlite:////DIR/FILE, or postgresql://USER@HOST/DATABASE",
    )
    return ""
