"""`ghost-fleet validate`: can the service start with these settings, and if not, everything that is in the way."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Annotated

import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_error, print_json, print_line, print_warning
from ghostfleet.config.environment import config_path
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid, Problem, problem
from ghostfleet.keys.keyring import KeysUnusable
from ghostfleet.keys.opening import load_keyring


def validate(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Open every keystore, ask for every key elsewhere (slow).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the settings file: exit 0, or 1 with every problem at once."""
    options = options_of(context)
    environ = options.environ()
    path = config_path(options.config, environ)
    settings: Loaded | None = None
    problems: tuple[Problem, ...] = ()
    try:
        settings = load(path, environ, opens=deep)
        if deep:
            asyncio.run(_open_keys(settings, environ))
    except ConfigInvalid as error:
        problems = error.problems
    except KeysUnusable as error:
        problems = tuple(problem(str(path), "wallets", found, "see keyfile and address") for found in error.problems)
    warnings = settings.warnings if settings is not None else ()
    if as_json:
        print_json(
            {
                "valid": not problems,
                "file": str(path),
                "digest": settings.digest if settings is not None else None,
                "wallets": len(settings.wallets) if settings is not None else None,
                "warnings": warnings,
                "problems": problems,
            }
        )
    else:
        _print(settings, problems, warnings)
    if problems:
        raise typer.Exit(1)


async def _open_keys(settings: Loaded, environ: Mapping[str, str]) -> None:
    """Decrypt what is here, ask for what is elsewhere. Raises KeysUnusable."""
    keyring = await load_keyring(settings.wallet_keys(), environ)
    async with contextlib.aclosing(keyring):
        problems = await keyring.problems()
    if problems:
        raise KeysUnusable(problems)


def _print(settings: Loaded | None, problems: tuple[Problem, ...], warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        print_warning(warning)
    for found in problems:
        print_error(str(found))
    if settings is not None and not problems:
        enabled = sum(1 for wallet in settings.wallets if wallet.enabled)
        print_line(
            f"{settings.path}: valid: chain {settings.chain.chain_id}, {enabled} of {len(settings.wallets)} wallets enabled,"
            f" plugins {', '.join(table.name for table in settings.plugins) or 'none'}, digest {settings.digest[:16]}"
        )
