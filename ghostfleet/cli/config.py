"""`ghost-fleet config diff`: what would other settings change, and would a running service take it?"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ghostfleet.cli.client import JsonOption, NoInterface, ServiceUnreachable, Way, ask_service, asking
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_error, print_json, print_line, print_notice, print_table
from ghostfleet.config.changes import Applies, Change, Difference, between, difference
from ghostfleet.config.environment import config_path
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.loading import load
from ghostfleet.config.problems import ConfigInvalid
from ghostfleet.domain.naming import some_of
from ghostfleet.domain.values import encode_json
from ghostfleet.errors import BadInput

EXIT_DIFFERENT = 1
EXIT_INVALID = 2
MAX_VALUE_CHARS = 60
MAX_WALLETS_SHOWN = 20
SERVICE, FILE = "service", "file"

app = typer.Typer(no_args_is_help=True, help="The settings.")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from what. The service shows no secret, so a secret that changed is found only against a file."""

    against: str
    where: str
    before_digest: str
    after_digest: str
    difference: Difference


@app.callback()
def config() -> None:
    """The settings."""


@asking
def diff(
    context: typer.Context,
    way: Way,
    new: Annotated[
        Path | None, typer.Argument(help="The settings to compare. Default: the file of --config, with the service.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="`service` or `file`. Default: the service, where one answers.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Key by key, what NEW would change: exit 0 for nothing, 1 for something, 2 where NEW cannot be used."""
    if against not in (None, SERVICE, FILE):
        raise BadInput(f"--against {against}: there is {SERVICE} and {FILE}")
    options = options_of(context)
    current = config_path(options.config, options.environ())
    if new is None and against == FILE:
        raise BadInput("name the new settings file: the one of --config does not differ from itself")
    try:
        after = load(new or current, options.environ(), opens=False, in_place_of=current)
    except ConfigInvalid as invalid:
        _refuse(invalid, as_json)
    compared = _compared(context, way, current, after, against, itself=new is None)
    (_print_json if as_json else _print)(compared)
    raise typer.Exit(EXIT_DIFFERENT if compared.difference.changes else 0)


def _refuse(invalid: ConfigInvalid, as_json: bool) -> None:
    """Every problem, and the exit code for them."""
    if as_json:
        print_json({"valid": False, "problems": invalid.problems})
    else:
        for found in invalid.problems:
            print_error(str(found))
    raise typer.Exit(EXIT_INVALID)


def _compared(
    context: typer.Context, way: Way, current: Path, after: Loaded, against: str | None, *, itself: bool
) -> Compared:
    if against != FILE:
        try:
            answer = ask_service(context, way, "GET", "/admin/settings")
        except (ServiceUnreachable, NoInterface):
            if against == SERVICE or itself:
                raise
            print_notice(f"no service answers: compared with {current}")
        else:
            return Compared(
                against=SERVICE,
                where="the settings in force",
                before_digest=answer["config_digest"],
                after_digest=after.digest,
                difference=between(answer["settings"], after.redacted),
            )
    before = load(current, options_of(context).environ(), opens=False)
    return Compared(
        against=FILE,
        where=str(current),
        before_digest=before.digest,
        after_digest=after.digest,
        difference=difference(before, after),
    )


def _print_json(compared: Compared) -> None:
    found = compared.difference
    print_json(
        {
            "valid": True,
            "against": compared.against,
            "before_digest": compared.before_digest,
            "after_digest": compared.after_digest,
            "changes": [{**it.shown(), "applies": it.applies, "why": it.why} for it in found.changes],
            "wallets": found.wallets(),
            "needs_restart": any(it.applies is Applies.RESTART for it in found.changes),
            "secrets_compared": compared.against == FILE,
        }
    )


def _print(compared: Compared) -> None:
    found = compared.difference
    print_line(f"{compared.where}: {compared.before_digest[:16]}, new: {compared.after_digest[:16]}")
    if compared.against == SERVICE:
        print_line("secrets (keys, credentials in addresses) are not compared: the service shows none")
    if not found.changes:
        print_line("nothing differs")
        return
    print_table(
        ("key", "before", "after", "takes effect"),
        [(it.key, _value(it.before), _value(it.after), _effect(it)) for it in found.changes if not found.is_wallet(it)],
    )
    for what, names in found.wallets().items():
        if names and what != "changed":
            print_line(f"wallets {what}: {len(names)}: {some_of(names, MAX_WALLETS_SHOWN)}")
    refused = found.refused()
    if refused:
        print_line(f"{len(found.changes)} changes; `ghost-fleet reload` refuses: {', '.join(it.key for it in refused)}")
    else:
        print_line(f"{len(found.changes)} changes; `ghost-fleet reload` applies all of them")


def _effect(change: Change) -> str:
    return change.applies.value + (f": {change.why}" if change.why else "")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else encode_json(value).decode()
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"


app.command("diff")(diff)
