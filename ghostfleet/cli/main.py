"""The command `ghost-fleet`.

Exit codes:

    0    done
    1    found wrong, or different: invalid settings, a log that does not verify, a demo with mismatches, no health, a red doctor
    2    bad usage or bad input: an unknown option, settings that cannot be used, keys that do not open
    3    refused to start, or had to stop: another process holds the log, the chain is not the one in the log
    4    the running service cannot be reached
    5    the running service refused: no or wrong token, no such wallet
    6    an operation is suspended; the same command once more goes on with it
    70   a fault of ours; --log-level debug shows where
    130  interrupted

Errors are one line on stderr, `ghost-fleet: error: ...`; data goes to stdout.
"""

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ghostfleet import __version__
from ghostfleet.cli import (
    admin,
    audit,
    balances,
    db,
    demo,
    devnet,
    doctor,
    errors,
    explain,
    manifest,
    operations,
    probe,
    rotate,
    run,
    steering,
    tokens,
    validate,
    wallets,
)
from ghostfleet.cli import config as config_commands
from ghostfleet.cli.options import Options
from ghostfleet.cli.output import print_error, print_line
from ghostfleet.config.environment import LOG_LEVELS
from ghostfleet.errors import BadInput, GhostFleetError

EXIT_FAULT = 70
EXIT_INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """Ends every command with a documented exit code and at most one line about why."""

    def main(self, *args: Any, **extra: Any) -> Any:
        exits = extra.pop("standalone_mode", True)
        code = self._run(*args, **extra)
        if exits:
            sys.exit(code)
        return code

    def _run(self, *args: Any, **extra: Any) -> int:
        extra["standalone_mode"] = False
        try:
            result = super().main(*args, **extra)
        except GhostFleetError as error:
            print_error(str(error))
            return error.exit_code
        except (KeyboardInterrupt, typer.Abort):
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            return 0
        except Exception as error:  # the boundary of the process
            return _report(error)
        return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    """A usage error in the words of the command-line library, or a fault of ours."""
    words = getattr(error, "format_message", None)
    if callable(words):
        print_error(str(words()))
        return BadInput.exit_code
    if "debug" in sys.argv:
        traceback.print_exception(error)
    print_error(f"fault in ghost-fleet {__version__}: {type(error).__name__}: {error}; --log-level debug shows where")
    return EXIT_FAULT


app = typer.Typer(
    name="ghost-fleet",
    cls=OneLineErrors,
    help="Runs a fleet of an operator's own EVM wallets, with every step in an event log.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"ghost-fleet {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file. Default: $GHOST_FLEET_CONFIG, config.toml.")
    ] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")] = None,
    json_logs: Annotated[bool | None, typer.Option("--json-logs", help="Log lines as JSON.")] = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run", help="Decide and record; sign and send nothing.")] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if log_level is not None and log_level not in LOG_LEVELS:
        raise BadInput(f"--log-level {log_level}: there is {', '.join(LOG_LEVELS)}")
    context.obj = Options(config=config, log_level=log_level, json_logs=json_logs, dry_run=dry_run)
    if context.invoked_subcommand is None:
        run.run(context)


app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("validate")(validate.validate)
app.command("status")(admin.status)
app.command("pause")(admin.pause)
app.command("resume")(admin.resume)
app.command("extract-all")(operations.extract_all)
app.command("fund")(operations.fund)
app.command("rotate")(rotate.rotate)
app.add_typer(operations.app, name="operations")
app.command("reset")(admin.reset)
app.command("health")(probe.health)
app.command("doctor")(doctor.doctor)
app.command("errors")(errors.errors)
app.command("explain")(explain.explain)
app.command("manifest")(manifest.manifest)
wallets.app.command("balances")(balances.balances)
app.command("throttle")(steering.throttle)
app.command("reload")(steering.reload)
app.command("checkin")(admin.checkin)
app.command("stop")(admin.stop)
app.add_typer(tokens.app, name="admin")
app.add_typer(steering.app, name="endpoints")
app.add_typer(config_commands.app, name="config")
app.add_typer(wallets.app, name="wallets")
app.add_typer(devnet.app, name="devnet")
app.add_typer(audit.app, name="audit")
app.add_typer(db.app, name="db")


def entry() -> None:
    app()
