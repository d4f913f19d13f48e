"""From a settings file and an environment to settings in force, or to everything that is wrong with them at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from ghostfleet.config import loaded, settings
from ghostfleet.config.checks import (
    check_admin,
    check_chain,
    check_public_keys,
    check_store,
    check_wallets,
    is_loopback,
    resolve_profiles,
)
from ghostfleet.config.environment import apply_overrides, run_options, suspicious_variables
from ghostfleet.config.key_files import KeyFiles
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.plugin_tables import InstalledPlugins, installed_plugins, read_plugin_tables
from ghostfleet.config.problems import ConfigInvalid, problem
from ghostfleet.config.redaction import HIDDEN, bare_url, digest_of, redact
from ghostfleet.config.shape import Shape, read_shape
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.values import JsonObject, WalletId
from ghostfleet.keys.addresses import parse_address
from ghostfleet.keys.keyring import KeySource

MAX_FILE_BYTES = 64 * 1024 * 1024
"""A hundred thousand wallets fit in half of it."""

SectionT = TypeVar("SectionT", bound=settings.Section)


def load(path: Path, environ: Mapping[str, str], plugin_models: Mapping[str, type[BaseModel]] | None = None) -> Loaded:
    """Read, override, check and resolve. `plugin_models` replaces the installed plugins (tests).

    Raises ConfigInvalid with every problem; nothing else, whatever the file's bytes are."""
    table = read_table(path)
    installed = InstalledPlugins(plugin_models, {}) if plugin_models is not None else installed_plugins()
    origin, override_problems = apply_overrides(table, environ, installed.models)
    options, option_problems = run_options(environ)
    shape = read_shape(table, str(path), origin)
    shape.problems += override_problems + option_problems

    profiles = resolve_profiles(shape)
    plugins = _section(shape, "plugins", settings.PluginsSettings)
    tables = read_plugin_tables(shape, plugins.enabled, installed) if plugins is not None else ()
    check_wallets(shape, plugins.enabled if plugins is not None else None)
    key_files = KeyFiles(shape, path, environ)
    keys_section = _section(shape, "keys", settings.KeysSettings)
    if keys_section is not None:
        key_files.use_keys_section(keys_section)
    keys = {index: key_files.key_of(index, wallet) for index, _, wallet in shape.wallets if wallet is not None}
    key_files.check_config_mode()
    _check_sections(shape)
    store = _section(shape, "store", settings.StoreSettings)
    store_url = check_store(shape, store.url, path.absolute().parent) if store is not None else ""
    if shape.problems:
        raise ConfigInvalid(list(dict.fromkeys(shape.problems)))

    assert plugins is not None
    wallets = tuple(
        _wallet(wallet, keys[index], plugins.enabled) for index, _, wallet in shape.wallets if wallet is not None
    )
    redacted = redacted_settings(shape, profiles)
    return Loaded(
        path=path,
        wallets=wallets,
        plugins=tables,
        profiles=profiles,
        store=loaded.Store(url=store_url),
        run=options,
        redacted=redacted,
        digest=digest_of(redacted),
        warnings=tuple(_warnings(key_files, wallets, environ)),
        **_resolved_sections(shape),
    )


def admin_url(path: Path | None, environ: Mapping[str, str]) -> str:
    """Where the running service's HTTP interface is, read from as little of the file as possible: a fleet has to be
    stoppable while its settings are half edited. Raises ConfigInvalid when these two sections cannot be read."""
    table = read_table(path) if path is not None else {}
    apply_overrides(table, environ, {})
    shape = Shape(str(path), {})
    service = shape.read(settings.ServiceSettings, table.get("service", {}), ("service",))
    admin = shape.read(settings.AdminSettings, table.get("admin", {}), ("admin",))
    if service is None or admin is None:
        raise ConfigInvalid(shape.problems)
    port = admin.port if admin.port is not None else service.health_port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def read_table(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises ConfigInvalid with the place of a syntax error."""
    name = str(path)

    def invalid(wrong: str, right: str, key: str = "") -> ConfigInvalid:
        return ConfigInvalid([problem(name, key, wrong, right)])

    try:
        if path.is_dir():
            raise invalid("is a directory", "give the settings file itself")
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise invalid(f"cannot be read: {reason}", "give the path of a settings file the service may read") from None
    if len(octets) > MAX_FILE_BYTES:
        raise invalid(f"is larger than {MAX_FILE_BYTES} bytes", "give a settings file")
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise invalid("is not UTF-8", "settings files are TOML, saved as UTF-8", f"line {line}") from None
    except (ValueError, RecursionError) as error:
        wrong = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value no reader takes"
        raise invalid(f"is not TOML: {wrong}", "put the syntax right at that place") from None


def _section(shape: Shape, name: str, model: type[SectionT]) -> SectionT | None:
    section = shape.sections.get(name)
    assert section is None or isinstance(section, model)
    return section


def _check_sections(shape: Shape) -> None:
    chain = _section(shape, "chain", settings.ChainSettings)
    if chain is not None:
        check_chain(shape, chain)
        check_public_keys(shape, chain)
    admin = _section(shape, "admin", settings.AdminSettings)
    if admin is not None:
        check_admin(shape, admin, _port(shape, admin))


def _port(shape: Shape, admin: settings.AdminSettings) -> int:
    service = _section(shape, "service", settings.ServiceSettings)
    if admin.port is not None:
        return admin.port
    return service.health_port if service is not None else settings.DEFAULT_PORT


def _wallet(wallet: settings.WalletSettings, key: KeySource | None, enabled_plugins: list[str]) -> loaded.Wallet:
    return loaded.Wallet(
        id=WalletId(wallet.id),
        address=parse_address(wallet.address),
        profile=wallet.profile,
        plugin=wallet.plugin or enabled_plugins[0],
        enabled=wallet.enabled,
        key=key,
    )


def _resolved_sections(shape: Shape) -> dict[str, Any]:
    """Sections of a shape without problems, as the service uses them."""
    service = cast(settings.ServiceSettings, shape.sections["service"])
    chain = cast(settings.ChainSettings, shape.sections["chain"])
    safety = cast(settings.SafetySettings, shape.sections["safety"])
    admin = cast(settings.AdminSettings, shape.sections["admin"])
    fees = cast(settings.FeesSettings, shape.sections["fees"])
    limits = cast(settings.LimitsSettings, shape.sections["limits"])
    return {
        "service_name": service.name,
        "tick_secs": service.tick_interval_ms / 1000,
        "chain": _chain(chain),
        "safety": loaded.Safety(**safety.model_dump()),
        "admin": loaded.Admin(
            host=admin.host,
            port=_port(shape, admin),
            loopback=is_loopback(admin.host),
            tokens=tuple(
                loaded.AdminToken(name=token.name, role=token.role, sha256=bytes.fromhex(token.sha256))
                for token in admin.tokens
            ),
            require_token_on_loopback=admin.require_token_on_loopback,
            allowed_hosts=tuple(admin.allowed_hosts),
        ),
        "fees": loaded.Fees(
            max_fee_wei=fees.max_fee_gwei,
            bump_percent=fees.bump_percent,
            stuck_after_secs=fees.stuck_after_secs,
            max_attempts=fees.max_attempts,
            min_priority_fee_wei=fees.min_priority_fee_wei,
        ),
        "limits": loaded.Limits(**{key: value or None for key, value in limits.model_dump().items()}),
    }


def _chain(chain: settings.ChainSettings) -> loaded.Chain:
    urls = dict.fromkeys(([chain.rpc_url] if chain.rpc_url else []) + chain.rpc_urls)
    endpoints: list[loaded.Endpoint] = []
    for url in urls:
        name = bare_url(url)
        twins = sum(1 for endpoint in endpoints if bare_url(endpoint.url) == name)
        endpoints.append(loaded.Endpoint(name=f"{name}#{twins + 1}" if twins else name, url=url))
    return loaded.Chain(
        chain_id=chain.chain_id,
        endpoints=tuple(endpoints),
        megaeth=chain.chain_type == "megaeth",
        use_realtime=chain.use_realtime,
        gas_limit_override=chain.gas_limit_override or None,
        confirmations=chain.confirmations,
        finality_blocks=chain.finality_blocks,
        block_time_secs=chain.block_time_secs,
        request_timeout_secs=chain.request_timeout_secs,
        max_requests_per_second=chain.max_requests_per_second or None,
    )


def redacted_settings(shape: Shape, profiles: Mapping[str, Profile]) -> JsonObject:
    """Every setting in force, defaults included, without a secret."""
    plain: dict[str, Any] = {name: section.model_dump() for name, section in shape.sections.items()}
    plain["plugins"] |= shape.plugin_tables
    plain["wallets"] = [wallet.model_dump(exclude_none=True) for _, _, wallet in shape.wallets if wallet is not None]
    plain["profiles"] = {
        name: {field: getattr(profile, field) for field in profile.__struct_fields__ if field != "name"}
        for name, profile in profiles.items()
    }
    fees = plain["fees"]
    fees["max_fee_wei"] = fees.pop("max_fee_gwei")
    result = redact(plain)
    assert isinstance(result, dict)
    result["admin"]["tokens"] = [{"name": token["name"], "role": token["role"]} for token in plain["admin"]["tokens"]]
    result["keys"] = {key: HIDDEN for key, value in plain["keys"].items() if value is not None}
    return result


def _warnings(key_files: KeyFiles, wallets: tuple[loaded.Wallet, ...], environ: Mapping[str, str]) -> list[str]:
    warnings = suspicious_variables(environ)
    if key_files.inline:
        count = "1 wallet has its" if key_files.inline == 1 else f"{key_files.inline} wallets have their"
        warnings.append(f"{count} private key in the settings file: for development only, use keystores (keyfile)")
    if not any(wallet.enabled for wallet in wallets):
        warnings.append("no wallet is enabled: the service will do nothing")
    return warnings
