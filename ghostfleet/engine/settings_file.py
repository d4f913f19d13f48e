"""The settings file of a service, read again whenever it is asked to reload."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.keys.keyring import Keyring, WalletKey
from ghostfleet.keys.opening import Opening, load_keyring
from ghostfleet.plugins.api import Plugin
from ghostfleet.plugins.loading import load_plugins


class SettingsFile:
    """A file and the environment that goes with it; neither is looked at on the event loop's thread."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ

    async def read(self) -> Loaded:
        """Raises ConfigInvalid with every problem."""
        return await asyncio.to_thread(load, self._path, self._environ)

    def opening(self, wallets: Sequence[WalletKey]) -> Opening:
        """The keys of a start, which open while the fleet runs."""
        return Opening(wallets, self._environ)

    async def keys(self, wallets: Sequence[WalletKey]) -> Keyring:
        """Raises KeysUnusable with every problem."""
        return await load_keyring(wallets, self._environ)

    def plugins(self, loaded: Loaded) -> Mapping[str, Plugin[Any]]:
        """Raises PluginUnusable."""
        tables = {it.name: it.table for it in loaded.plugins}
        return load_plugins(tables, list(tables), loaded.chain.chain_id)
