"""The options before the command, and the settings they lead to."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import typer

from ghostfleet.cli.output import print_warning
from ghostfleet.config.environment import config_path
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """None: not given on the command line, the environment or the default decides."""

    config: Path | None = None
    log_level: str | None = None
    json_logs: bool | None = None
    dry_run: bool | None = None
    log: str | None = None
    """A log that is asked in the place of the settings': a file, a backup or a URL."""

    def environ(self) -> Mapping[str, str]:
        """The process's environment with the command line's word on top of it."""
        environ = dict(os.environ)
        if self.log_level is not None:
            environ["GHOST_FLEET_LOG_LEVEL"] = self.log_level
        if self.json_logs is not None:
            environ["GHOST_FLEET_JSON_LOGS"] = "true" if self.json_logs else "false"
        if self.dry_run is not None:
            environ["GHOST_FLEET_DRY_RUN"] = "true" if self.dry_run else "false"
        return environ

    def load(self, *, keys: bool = True, opens: bool = True, serves: bool = True) -> Loaded:
        """The settings in force; warnings go to stderr. `keys` is whether the wallets' keys have to be there, `opens` whether the
        password that opens them has to be here too, `serves` whether HTTP is spoken with them.

        Raises ConfigInvalid or NoConfig."""
        environ = self.environ()
        settings = load(config_path(self.config, environ), environ, keys=keys, opens=opens, serves=serves)
        for warning in settings.warnings:
            print_warning(warning)
        return settings


def options_of(context: typer.Context) -> Options:
    options = context.find_root().obj
    assert isinstance(options, Options)
    return options
