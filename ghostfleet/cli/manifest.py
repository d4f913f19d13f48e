"""`ghost-fleet manifest`: the signed list of the fleet's addresses, fetched from the service, or verified without anybody."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ghostfleet.cli.client import Way, ask_service, asking
from ghostfleet.cli.output import print_json, print_line
from ghostfleet.errors import BadInput

MAX_BYTES = 64 * 2**20
"""A hundred thousand addresses, twice, fit in a quarter of it."""


@asking
def manifest(
    context: typer.Context,
    way: Way,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Check this file (- is standard input) instead, offline.")
    ] = None,
) -> None:
    """Print the fleet's signed list of addresses as JSON; with --verify say whether such a file can be believed."""
    if verify is None:
        print_json(ask_service(context, way, "GET", "/fleet/manifest"))
        return
    from ghostfleet.operations.manifest import verified

    found = verified(_read(verify))
    print_line(
        f"{len(found.addresses)} addresses on chain {found.chain_id}, issued {found.issued}, signed by {found.signer},"
        " which is one of them"
    )


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(MAX_BYTES)
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
