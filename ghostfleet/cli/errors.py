"""`ghost-fleet errors`: what goes wrong, by class, wallet and endpoint, from the log itself (RUNBOOK.md, IR-002)."""

import time
from typing import Annotated

import typer

from ghostfleet.cli.moments import check_order
from ghostfleet.cli.output import print_json, print_line, print_table
from ghostfleet.cli.reading import asked
from ghostfleet.domain.breakdown import WAYS
from ghostfleet.errors import BadInput
from ghostfleet.telemetry.logs import one_line
from ghostfleet.telemetry.moments import parse_since, span

LINES_SHOWN = 20
"""Of each of the three tables; `--json` has them all."""


def errors(
    context: typer.Context,
    since: Annotated[
        str, typer.Option("--since", help="How long back (30s, 10m, 2h, 1d), or a time: ISO 8601 or microseconds.")
    ] = "1h",
    until: Annotated[str | None, typer.Option("--until", help="Before this time, written the same way.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """How many errors of which class, of which wallet, at which endpoint; works while the service is up or down."""
    from ghostfleet.operations.errors import errors_between, errors_document

    now_us = time.time_ns() // 1000
    since_us = _moment("--since", since, now_us)
    until_us = now_us if until is None else _moment("--until", until, now_us)
    check_order(since_us, until_us)
    groups = asked(context, lambda log: errors_between(log, since_us, until_us))
    document = errors_document(groups, since_us, until_us)
    if as_json:
        print_json(document)
        return
    told = f"{document['total']} errors from {document['since']} to {document['until']} ({span(until_us - since_us)})"
    print_line(told if groups else f"{told}; --since 1d looks further back")
    for way in WAYS:
        lines = document[f"by_{way}"]
        if lines:
            print_line("")
            columns = (way, "count", "first", "last", "newest says")
            keys = (way, "count", "first", "last", "example")
            print_table(columns, [[one_line(str(line[key])) for key in keys] for line in lines[:LINES_SHOWN]])
            if len(lines) > LINES_SHOWN:
                print_line(f"and {len(lines) - LINES_SHOWN} more: --json lists them")


def _moment(option: str, text: str, now_us: int) -> int:
    try:
        return parse_since(text, now_us)
    except ValueError:
        raise BadInput(
            f"{option} {text[:40]}: expected how long ago, such as 10m, 2h or 1d, or a time such as 2026-11-01T00:00:00Z"
        ) from None
