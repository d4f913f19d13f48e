"""`ghost-fleet run`, which is also what `ghost-fleet` does without a command: the service, until it is told to stop."""

import asyncio

import typer

from ghostfleet.cli.options import options_of


def run(context: typer.Context) -> None:
    """Run the fleet until SIGTERM or Ctrl-C."""
    from ghostfleet.assembly import run_service  # loads web servers and databases: only for a command that needs them
    from ghostfleet.telemetry import configure_logging

    options = options_of(context)
    settings = options.load()
    configure_logging(settings.run.log_level, settings.run.json_logs)
    asyncio.run(run_service(settings, environ=options.environ(), signals=True))
