"""How `ghost-fleet health` stands among the other commands; what it does is in health.py, which main() reaches without this."""

import math
from typing import Annotated

import typer

from ghostfleet.cli.health import DEFAULT_TIMEOUT_SECS, Probe, run
from ghostfleet.cli.options import options_of


def health(
    context: typer.Context,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether it can work, not only whether it lives.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=math.ulp(0.0), help="Seconds that the answer may take.")
    ] = DEFAULT_TIMEOUT_SECS,
) -> None:
    """Exit 0 when the service answers, 1 when it does not: for a container's health check."""
    options = options_of(context)
    raise typer.Exit(run(Probe(options.config, ready, timeout), options.environ()))
