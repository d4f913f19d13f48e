"""`ghost-fleet manifest`: the signed list of the fleet's addresses, fetched from the service, or verified without anybody."""

from pathlib import Path
from typing import Annotated

import typer

from ghostfleet.cli.client import Way, ask_service, asking
from ghostfleet.cli.given import given_bytes
from ghostfleet.cli.output import print_json, print_line


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

    found = verified(given_bytes(verify))
    print_line(
        f"{len(found.addresses)} addresses on chain {found.chain_id}, issued {found.issued}, signed by {found.signer},"
        " which is one of them"
    )
