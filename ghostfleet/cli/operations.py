"""`ghost-fleet extract-all|fund|operations`: what moves money shows what it will do, asks, does it, and checks that it is so."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ghostfleet.cli import operation_tables as tables
from ghostfleet.cli.client import JsonOption, ReasonOption, Way, asking
from ghostfleet.cli.operation_shown import lines_of, table_of
from ghostfleet.cli.operations_door import AloneDoor, OperationsDoor, Password, door
from ghostfleet.cli.operations_view import looker
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_document, print_json, print_line, print_notice
from ghostfleet.cli.progress import progress
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.amounts import parse_decimal
from ghostfleet.errors import BadInput, GhostFleetError
from ghostfleet.plugins.api import Token

LOOK_SECS = 0.5
FUNDER_PASSWORD_VARIABLE = "GHOST_FLEET_FUNDER_PASSWORD"  # noqa: S105 - a name

SAME_AGAIN = "run the same command again"
PAY_THESE = "the same command pays nobody any more: pay what is missing, to these wallets only, with --again NAME"
"""After a funding that is done: all of it under another name would pay the others twice."""

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before money moves.")]
PlanOption = Annotated[
    bool, typer.Option("--plan", help="Show what would be done, with amounts and costs; do nothing.")
]
WalletsOption = Annotated[str | None, typer.Option("--wallets", help="Only these wallets: ids with commas between.")]

app = typer.Typer(help="Operations that are open: what they do, and an end to them.")


class NotDone(GhostFleetError):
    """The operation ended, and something is not as it was asked for: the table says what, and the message what to do."""


class Suspended(GhostFleetError):
    """The operation is suspended, by a pause or by what the message says. The same command once more goes on with it."""

    exit_code = 6


@asking
def extract_all(
    context: typer.Context,
    way: Way,
    to: Annotated[str, typer.Option("--to", help="The safe address that everything goes to.")],
    wallets: WalletsOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until locked positions open.")] = True,
    retire: Annotated[bool, typer.Option("--retire", help="The wallets take no turns any more afterwards.")] = False,
    plan: PlanOption = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Claim, extract, withdraw, then sweep all tokens and the last of the native coin to one address. The fleet has to be paused,
    unless wallets are named. Killed or interrupted, the same command goes on."""
    tokens = tokens_known(options_of(context).load(keys=False))
    extract = {"to": to, "wallets": names_of(wallets), "wait": wait, "retire": retire}
    body = {"kind": "extract", "extract": extract, "reason": reason or ""}
    planned = looker(context, way).plan(body)
    _show_plan(tables.extraction_plan(planned, tokens), planned, as_json=as_json and plan)
    if plan:
        return
    confirm(f"Move all of this to {to}?", yes)
    with door(context, way) as service:
        if isinstance(service, AloneDoor) and not wallets and not service.status()["paused"]:
            service.pause("extract-all without a running service")
            print_notice("the fleet is paused, and stays so until it is resumed")
        ended = carried_out(service, body, quiet=as_json)
        now = service.plan(body)["plans"]
    problems = tables.not_empty(ended, now)
    _show_end(tables.extraction_end(ended, tokens), ended, problems, as_json=as_json)


@asking
def fund(
    context: typer.Context,
    way: Way,
    source: Annotated[str, typer.Option("--from", help="`treasury`, or a keystore file on the service's machine.")],
    native: Annotated[str, typer.Option("--native", help="Native coin for each wallet, e.g. 0.05ether or 0.05.")] = "0",
    token: Annotated[
        list[str] | None, typer.Option("--token", help="Tokens that arrive at each wallet: DATA=100. May be repeated.")
    ] = None,
    wallets: WalletsOption = None,
    to_csv: Annotated[
        Path | None,
        typer.Option("--to-csv", help="Fund the addresses of this wallets.csv instead of the settings' wallets."),
    ] = None,
    again: Annotated[
        str,
        typer.Option("--again", help="A name for this funding, to pay the same amounts to the same wallets once more."),
    ] = "",
    plan: PlanOption = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pay wallets from one other, many at a time, each exactly once. What is named arrives: a transfer tax is paid on top."""
    loaded = options_of(context).load(keys=False)
    tokens = tokens_known(loaded)
    funder, key = _funder(source, loaded)
    wanted = {
        "funder": funder,
        "targets": tables.targets(loaded, names_of(wallets), to_csv),
        "native_wei": str(ether(native)),
        "tokens": dict(token_amount(text, tokens) for text in token or []),
        "again": again,
    }
    body = {"kind": "fund", "fund": wanted, "reason": reason or ""}
    _show_plan(tables.funding_plan(wanted, tokens), {"plan": wanted}, as_json=as_json and plan)
    if plan:
        return
    confirm(f"Pay {len(wanted['targets'])} wallets from {funder}?", yes)
    with door(context, way) as service:
        ended = carried_out(service, body, key, quiet=as_json)
    problems = tables.not_funded(ended, wanted)
    _show_end(tables.funding_end(ended, tokens), ended, problems, as_json=as_json, remedy=PAY_THESE)


@app.command("list")
@asking
def listed(
    context: typer.Context,
    way: Way,
    as_json: JsonOption = False,
) -> None:
    """The open operations."""
    found = looker(context, way).open()
    if as_json:
        print_json({"operations": found})
        return
    for each in found:
        print_line(tables.progress_line(each))
    if not found:
        print_line("no operation is open")


@app.command("show")
@asking
def show(
    context: typer.Context,
    way: Way,
    operation: Annotated[str, typer.Argument(help="Its id, such as extract-1.")],
    as_json: JsonOption = False,
) -> None:
    """One operation, open or ended, with its table."""
    found = looker(context, way).one(operation)
    if as_json:
        print_json(found)
        return
    shown = table_of(found, _tokens_as_far_as_known(context))
    if shown is None:
        print_document(found)
        return
    for line in lines_of(found):
        print_line(line)
    if shown.rows:
        tables.print_shown(shown, to_stderr=False)


@app.command("abandon")
@asking
def abandon(
    context: typer.Context,
    way: Way,
    operation: Annotated[str, typer.Argument(help="Its id, such as extract-1.")],
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an open operation up. What it has sent is followed to its end."""
    with door(context, way) as service:
        answer = service.abandon(operation, reason or "")
    (print_json if as_json else print_document)(answer)


def carried_out(
    service: OperationsDoor, body: Mapping[str, Any], key: Password | None = None, *, quiet: bool
) -> dict[str, Any]:
    """Start it (or go on with it) and watch until it ends. Raises Suspended; Ctrl-C leaves it to the service."""
    begun = service.start(body, key)
    operation = begun["operation"]
    if begun["status"] == "done before":
        print_notice(f"{operation} has paid this before; to pay the same once more, give it a name with --again")
    return watch(service, operation, quiet=quiet)


def watch(service: OperationsDoor, operation: str, *, quiet: bool) -> dict[str, Any]:
    """Until it ends, with progress on stderr. Raises Suspended."""
    with progress(quiet) as show:
        while True:
            standing = next((it for it in service.open() if it["id"] == operation), None)
            if standing is None:
                return service.one(operation)
            if standing["state"] == "suspended":
                raise Suspended(
                    f"{operation} is suspended: {standing['why']}; the same command once more goes on with it,"
                    f" `ghost-fleet operations abandon {operation}` gives it up"
                )
            show(standing)
            time.sleep(LOOK_SECS)


def confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput(f"{question} Nobody can be asked here: --yes says so")
    typer.confirm(question, abort=True, err=True)


def _show_plan(shown: tables.Shown, document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    tables.print_shown(shown, to_stderr=False)


def _show_end(
    shown: tables.Shown, ended: Mapping[str, Any], problems: list[str], *, as_json: bool, remedy: str = SAME_AGAIN
) -> None:
    if as_json:
        print_json({**ended, "problems": problems})
    else:
        tables.print_shown(shown, to_stderr=False)
        print_line("checked against the chain: " + ("it is so" if not problems else "; ".join(problems)))
    if problems:
        raise NotDone(f"{len(problems)} wallets are not as they should be: the table says which; {remedy}")


def _tokens_as_far_as_known(context: typer.Context) -> dict[str, Token]:
    """Asked elsewhere with --url there may be no settings here; amounts are then told with 18 decimals."""
    try:
        return tokens_known(options_of(context).load(keys=False))
    except GhostFleetError:
        return {}


def tokens_known(loaded: Loaded) -> dict[str, Token]:
    from ghostfleet.operations.holdings import tokens_of
    from ghostfleet.plugins.loading import load_plugins

    found = {it.name: it.table for it in loaded.plugins}
    return tokens_of(load_plugins(found, list(found), loaded.chain.chain_id))


def _funder(source: str, loaded: Loaded) -> tuple[str, Password | None]:
    """The address that pays, and its keystore where the settings do not hold its key."""
    from ghostfleet.keys.addresses import checksummed
    from ghostfleet.keys.keystore import read_keystore

    if source == "treasury":
        if loaded.treasury is None:
            raise BadInput("the settings name no treasury: add [treasury], or give a keystore file")
        return checksummed(loaded.treasury.address), None
    keystore = read_keystore(Path(source))
    if keystore.address is None:
        raise BadInput(f"{source} does not say whose key it holds: give a keystore with its address in it")
    secret = os.environ.get(FUNDER_PASSWORD_VARIABLE)
    if secret is None:
        if not sys.stdin.isatty():
            raise BadInput(f"the password of {source} is missing: put it into ${FUNDER_PASSWORD_VARIABLE}")
        secret = typer.prompt(f"Password of {source}", hide_input=True, err=True)
    return checksummed(keystore.address), Password(str(Path(source).absolute()), str(secret).encode())


def names_of(wallets: str | None) -> list[str]:
    return [name.strip() for name in wallets.split(",") if name.strip()] if wallets is not None else []


def ether(text: str) -> int:
    try:
        return parse_decimal(text.removesuffix("ether").strip() or "0")
    except ValueError as wrong:
        raise BadInput(f"--native: {wrong}") from None


def token_amount(text: str, tokens: Mapping[str, Token]) -> tuple[str, str]:
    symbol, separator, amount = text.partition("=")
    token = tokens.get(symbol)
    if not separator or token is None:
        raise BadInput(
            f"--token {text}: expected NAME=AMOUNT with one of {', '.join(tokens) or 'no token in the settings'}"
        )
    try:
        return symbol, str(parse_decimal(amount, token.decimals))
    except ValueError as wrong:
        raise BadInput(f"--token {text}: {wrong}") from None
