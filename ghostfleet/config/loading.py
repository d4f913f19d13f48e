"""From a settings file and an environment to settings in force, or to everything that is wrong with them at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from ghostfleet.config import loaded, settings
from ghostfleet.config.admin_section import AdminSection
from ghostfleet.config.checks import (
    chain_warnings,
    check_chain,
    check_public_keys,
    check_store,
    check_treasury,
    check_wallets,
    directory_of_log,
    resolve_profiles,
)
from ghostfleet.config.environment import apply_overrides, run_options, suspicious_variables
from ghostfleet.config.key_files import KeyFiles
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.plugin_tables import InstalledPlugins, installed_plugins, read_plugin_tables
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.config.redaction import HIDDEN, bare_url, digest_of, redact
from ghostfleet.config.shape import Shape, read_shape
from ghostfleet.config.toml_file import read_table
from ghostfleet.domain.operating import OPERATIONS_PLUGIN
from ghostfleet.domain.profile import Profile
from ghostfleet.domain.values import JsonObject, WalletId
from ghostfleet.keys.addresses import parse_address
from ghostfleet.keys.keyring import KeySource

SectionT = TypeVar("SectionT", bound=settings.Section)


def load(
    path: Path,
    environ: Mapping[str, str],
    plugin_models: Mapping[str, type[BaseModel]] | None = None,
    *,
    keys: bool = True,
    opens: bool = True,
    serves: bool = True,
    in_place_of: Path | None = None,
) -> Loaded:
    """Read, override, check and resolve. `plugin_models` replaces the installed plugins (tests). Without `keys` no wallet has
    one, nothing is said about them or the files of [admin], and no plugin is made: for whoever only looks. Without `opens` keys
    are checked, and that their password is a credential which only the service's unit has is a warning: for whoever opens none.
    Without `serves` nothing is said about the files of [admin] either: for whoever acts without HTTP. Relative paths start where
    the file is, or where the one is that it is to stand `in_place_of`.

    Raises ConfigInvalid with every problem; nothing else, whatever the file's bytes are."""
    table, place = read_table(path), (in_place_of or path).absolute()
    installed = InstalledPlugins(plugin_models, {}) if plugin_models is not None else installed_plugins()
    origin, override_problems = apply_overrides(table, environ, installed.models)
    shape = read_shape(table, str(path), origin)
    service = _section(shape, "service", settings.ServiceSettings)
    options, option_problems = run_options(environ, service.log_level if service is not None else "info")
    shape.problems += override_problems + option_problems

    profiles = resolve_profiles(shape)
    plugins = _section(shape, "plugins", settings.PluginsSettings)
    tables = read_plugin_tables(shape, plugins.enabled, installed, make=keys) if plugins is not None else ()
    check_wallets(shape, plugins.enabled if plugins is not None else None)
    key_files = KeyFiles(shape, path, environ, place.parent, opens=opens)
    found_keys: dict[int, KeySource | None] = {}
    treasury_key: KeySource | None = None
    treasury_section = _section(shape, "treasury", settings.TreasurySettings)
    treasury = check_treasury(shape, treasury_section) if treasury_section is not None else None
    if keys:
        key_files.use_keys_section(_section(shape, "keys", settings.KeysSettings))
        found_keys = {
            index: key_files.key_of(("wallets", f"[{index}]"), it) for index, _, it in shape.wallets if it is not None
        }
        treasury_key = key_files.key_of(("treasury",), treasury) if treasury is not None else None
        key_files.check_config_mode()
    _check_sections(shape)
    admin_section = AdminSection(shape, place, serve=serves and keys)
    admin = _section(shape, "admin", settings.AdminSettings)
    resolved_admin = admin_section.resolved(admin, _port(shape, admin)) if admin is not None else None
    store = _section(shape, "store", settings.StoreSettings)
    home = directory_of_log(store, place.parent, environ) if store is not None else place
    store_url = check_store(shape, store.url, home) if store is not None else ""
    if shape.problems:
        raise ConfigInvalid(list(dict.fromkeys(shape.problems)))

    assert plugins is not None
    assert resolved_admin is not None
    wallets = tuple(
        _wallet(wallet, found_keys.get(index), plugins.enabled)
        for index, _, wallet in shape.wallets
        if wallet is not None
    )
    redacted = redacted_settings(shape, profiles)
    return Loaded(
        path=path,
        wallets=wallets,
        treasury=_wallet(treasury, treasury_key, [OPERATIONS_PLUGIN]) if treasury is not None else None,
        plugins=tables,
        profiles=profiles,
        store=loaded.Store(url=store_url),
        **_directories(shape, place.parent),
        checkpoint_secs=cast(settings.AuditSettings, shape.sections["audit"]).checkpoint_every_secs,
        run=options,
        redacted=redacted,
        digest=digest_of(redacted),
        warnings=tuple(_warnings(shape, key_files, wallets, environ) + admin_section.warnings),
        admin=resolved_admin,
        **_resolved_sections(shape),
    )


def _section(shape: Shape, name: str, model: type[SectionT]) -> SectionT | None:
    section = shape.sections.get(name)
    assert section is None or isinstance(section, model)
    return section


def _check_sections(shape: Shape) -> None:
    chain = _section(shape, "chain", settings.ChainSettings)
    if chain is not None:
        check_chain(shape, chain)
        check_public_keys(shape, chain)


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


def _directories(shape: Shape, beside: Path) -> dict[str, Any]:
    """Where backups and archive files go."""
    backup = cast(settings.BackupSettings, shape.sections["backup"])
    archive = cast(settings.ArchiveSettings, shape.sections["archive"])
    backups = None
    if backup.dir is not None:
        backups = loaded.Backups(directory=beside / backup.dir, every_secs=backup.every_secs, keep=backup.keep)
    return {"backups": backups, "archive_dir": None if archive.dir is None else beside / archive.dir}


def _resolved_sections(shape: Shape) -> dict[str, Any]:
    """Sections of a shape without problems, as the service uses them."""
    service = cast(settings.ServiceSettings, shape.sections["service"])
    chain = cast(settings.ChainSettings, shape.sections["chain"])
    safety = cast(settings.SafetySettings, shape.sections["safety"])
    fees = cast(settings.FeesSettings, shape.sections["fees"])
    limits = cast(settings.LimitsSettings, shape.sections["limits"])
    return {
        "service_name": service.name,
        "tick_secs": service.tick_interval_ms / 1000,
        "chain": chain_of(chain),
        "safety": loaded.Safety(
            **safety.model_dump(exclude={"allowed_contracts"}),
            allowed_contracts=tuple(parse_address(text) for text in safety.allowed_contracts),
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


def chain_of(chain: settings.ChainSettings) -> loaded.Chain:
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
    result["admin"]["tokens"] = [
        {key: value for key, value in token.items() if key != "sha256" and value is not None}
        for token in plain["admin"]["tokens"]
    ]
    far = {name: redact(plain["keys"].pop(name)) for name in ("kms", "remote")}
    result["keys"] = {key: HIDDEN for key, value in plain["keys"].items() if value is not None} | far
    return result


def _warnings(
    shape: Shape, key_files: KeyFiles, wallets: tuple[loaded.Wallet, ...], environ: Mapping[str, str]
) -> list[str]:
    warnings = suspicious_variables(environ) + key_files.warnings
    if key_files.inline:
        count = "1 wallet has its" if key_files.inline == 1 else f"{key_files.inline} wallets have their"
        warnings.append(f"{count} private key in the settings file: for development only, use keystores (keyfile)")
    if not any(wallet.enabled for wallet in wallets):
        warnings.append("no wallet is enabled: the service will do nothing")
    chain = _section(shape, "chain", settings.ChainSettings)
    if chain is not None:
        warnings += chain_warnings(chain)
    return warnings
