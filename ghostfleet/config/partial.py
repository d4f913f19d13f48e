"""What can be read of settings that cannot be used as a whole? For whoever has to find out what is wrong with them.

Every section is read on its own: a mistake in one leaves the others. Keys are not looked for.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ghostfleet.config import settings
from ghostfleet.config.checks import check_store
from ghostfleet.config.environment import apply_overrides
from ghostfleet.config.loaded import Chain, PluginTable, Wallet
from ghostfleet.config.loading import chain_of
from ghostfleet.config.plugin_tables import installed_plugins, read_plugin_tables
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.config.shape import read_shape
from ghostfleet.config.toml_file import read_table
from ghostfleet.domain.values import WalletId
from ghostfleet.keys.addresses import parse_address


class Partly(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that can be read; the others are None or left out."""

    chain: Chain | None = None
    store_url: str = ""
    max_fee_wei: int | None = None
    wallets: tuple[Wallet, ...] = ()
    plugins: tuple[PluginTable, ...] = ()


def read_partly(path: Path, environ: Mapping[str, str]) -> Partly:
    """As much as there is. Raises nothing, whatever the file's bytes are."""
    try:
        table = read_table(path)
    except ConfigInvalid:
        table = {}
    installed = installed_plugins()
    apply_overrides(table, environ, installed.models)
    shape = read_shape(table, str(path), {})
    chain = shape.sections.get("chain")
    store = shape.sections.get("store")
    fees = shape.sections.get("fees")
    plugins = shape.sections.get("plugins")
    enabled = plugins.enabled if isinstance(plugins, settings.PluginsSettings) else []
    tables = read_plugin_tables(shape, enabled, installed)
    readable_chain = isinstance(chain, settings.ChainSettings) and (chain.rpc_url or chain.rpc_urls)
    return Partly(
        chain=chain_of(chain) if readable_chain and isinstance(chain, settings.ChainSettings) else None,
        store_url=check_store(shape, store.url, path.absolute().parent)
        if isinstance(store, settings.StoreSettings)
        else "",
        max_fee_wei=fees.max_fee_gwei if isinstance(fees, settings.FeesSettings) else None,
        wallets=tuple(_wallet(wallet, enabled) for _, _, wallet in shape.wallets if wallet is not None),
        plugins=tuple(table for table in tables if table.settings is not None),
    )


def _wallet(wallet: settings.WalletSettings, enabled: list[str]) -> Wallet:
    return Wallet(
        id=WalletId(wallet.id),
        address=parse_address(wallet.address),
        profile=wallet.profile,
        plugin=wallet.plugin or (enabled[0] if enabled else ""),
        enabled=wallet.enabled,
        key=None,
    )
