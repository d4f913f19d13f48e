"""`ghost-fleet doctor`: what is wrong, a line each, and what to do; while the service runs, and above all while it does not."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ghostfleet.cli import health
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json
from ghostfleet.config.environment import config_path
from ghostfleet.telemetry.logs import plain

if TYPE_CHECKING:
    from ghostfleet.operations.doctor.finding import Finding


def doctor(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Check settings, machine, log, endpoints, chain and fleet. Exit 0, or 1 when something is red."""
    options = options_of(context)
    environ = options.environ()
    path = config_path(options.config, environ)
    found = asyncio.run(_examine(path, environ))
    ok = not any(finding.colour == "red" for finding in found)
    if as_json:
        print_json({"ok": ok, "checks": found})
    else:
        _print(found)
    if not ok:
        raise typer.Exit(1)


async def _examine(path: Path, environ: Mapping[str, str]) -> "list[Finding]":
    from ghostfleet.operations.doctor.examination import examine
    from ghostfleet.operations.doctor.patient import admitted

    alive, ready = (partial(health.unhealthy, health.Probe(path, ready=it), environ) for it in (False, True))
    return await examine(admitted(path, environ, alive, ready))


def _print(found: "list[Finding]") -> None:
    """The colour is a word first, so that it can be read in a file and by everybody."""
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(finding.name) for finding in found)
    for finding in found:
        colour = f"[{finding.colour}]{finding.colour:<6}[/{finding.colour}]"
        console.print(f"{colour}  {escape(finding.name):<{width}}  {escape(plain(finding.told))}")
        if finding.remedy:
            console.print(f"{'':<6}  {'':<{width}}  -> {escape(finding.remedy)}")
    counts = {colour: sum(finding.colour == colour for finding in found) for colour in ("green", "yellow", "red")}
    console.print(", ".join(f"{count} {colour}" for colour, count in counts.items()))
