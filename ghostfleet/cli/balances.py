"""`ghost-fleet wallets balances`: what every wallet holds, asked of the chain itself, without the service and without keys."""

import asyncio
import csv
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_error, print_json, print_line, print_table
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.amounts import parse_decimal
from ghostfleet.errors import BadInput

if TYPE_CHECKING:
    from ghostfleet.operations.balances import Holdings


def balances(
    context: typer.Context,
    token: Annotated[
        list[str] | None,
        typer.Option("--token", help="Only this token besides the native coin: its name or address. May be repeated."),
    ] = None,
    below: Annotated[
        str | None,
        typer.Option("--below", help="Only wallets with less of the native coin than this, for example 0.005."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a heading.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Native and token balances of the whole fleet, in a few batched requests."""
    if as_csv and as_json:
        raise BadInput("--csv or --json, not both")
    limit_wei = _amount(below)
    found = asyncio.run(_ask(options_of(context).load(keys=False), token or []))
    if limit_wei is not None:
        low = tuple(it for it in found.wallets if it.native_wei is None or it.native_wei < limit_wei)
        found = msgspec.structs.replace(found, wallets=low)
    _print(found, as_csv=as_csv, as_json=as_json)
    if found.problem:
        print_error(f"some balances could not be read: {found.problem}")
        raise typer.Exit(1)


def _amount(text: str | None) -> int | None:
    try:
        return None if text is None else parse_decimal(text)
    except ValueError as wrong:
        raise BadInput(f"--below: {wrong}") from None


async def _ask(settings: Loaded, named: list[str]) -> "Holdings":
    from ghostfleet.operations.balances import holdings, tokens_wanted
    from ghostfleet.operations.onlooker import looking
    from ghostfleet.plugins.loading import load_plugins
    from ghostfleet.plugins.tokens import tokens_of

    tables = {it.name: it.table for it in settings.plugins}
    plugins = load_plugins(tables, list(tables), settings.chain.chain_id)
    async with looking(settings.chain) as chain:
        tokens = await tokens_wanted(chain, tokens_of(plugins.values()), named)
        return await holdings(chain, settings.wallets, tokens)


def _print(found: "Holdings", *, as_csv: bool, as_json: bool) -> None:
    from ghostfleet.operations.balances import NATIVE, holding_row, labels, totals

    rows = [holding_row(holding, found.tokens) for holding in found.wallets]
    if as_json:
        tokens = [msgspec.structs.asdict(token) for token in found.tokens]
        print_json({"block": found.block, "tokens": tokens, "wallets": rows, "total": totals(found)})
        return
    columns = ("wallet", "address", "enabled", NATIVE, *labels(found.tokens))
    unread = "" if as_csv else "?"
    cells = [
        [row["wallet"], row["address"], "yes" if row["enabled"] else "no"]
        + [unread if amount is None else amount for amount in (row[NATIVE], *row["tokens"].values())]
        for row in rows
    ]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([columns, *cells])
        return
    print_table(columns, cells)
    total = totals(found)
    sums = ", ".join(f"{amount} {label}" for label, amount in {NATIVE: total[NATIVE], **total["tokens"]}.items())
    print_line(f"{len(rows)} wallets at block {found.block}: {sums}")
