"""`ghost-fleet audit checkpoints`: the signed heads of the log, to be noted where nobody who can write to it can write."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghostfleet.cli.output import print_json, print_line
from ghostfleet.cli.reading import asked

if TYPE_CHECKING:
    from ghostfleet.domain.events import Recorded
    from ghostfleet.store.log import EventLog


def checkpoints(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The signed heads of the log, newest last, as `audit verify --checkpoint` takes them back."""
    from ghostfleet.operations.noted_checkpoints import as_block, noted

    for recorded in asked(context, lambda log: _newest(log, limit)):
        it = noted(recorded)
        if as_json:
            print_json(it)
        else:
            print_line(as_block(it))


async def _newest(log: "EventLog", limit: int) -> "list[Recorded]":
    from ghostfleet.domain.events import HeadSigned
    from ghostfleet.store.queries import MAX_PAGE_ROWS, EventQuery, every

    query = EventQuery(types=(HeadSigned.__name__,), descending=True, limit=min(limit, MAX_PAGE_ROWS))
    found: list[Recorded] = []
    async for row in every(log.rows, query):
        found.append(log.decode(row))
        if len(found) >= limit:
            break
    return found[::-1]
