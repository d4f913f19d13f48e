"""`ghost-fleet run`, which is also what `ghost-fleet` does without a command: the service, until it is told to stop."""

import typer

from ghostfleet.cli.options import options_of


def run(context: typer.Context) -> None:
    """Run the fleet until SIGTERM or Ctrl-C."""
    # What loads web servers and databases is loaded by the commands that need them.
    from ghostfleet import event_loop
    from ghostfleet.keys.memory import no_core_files
    from ghostfleet.lifetime import run_service
    from ghostfleet.telemetry import configure_logging

    options = options_of(context)
    settings = options.load()
    configure_logging(settings.run.log_level, settings.run.json_logs)
    no_core_files()
    event_loop.run(run_service(settings, environ=options.environ(), signals=True))
