"""`ghost-fleet db`: the database behind the log. Needs the service to be down, except `status`."""

import asyncio
from typing import Annotated

import typer

from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line

app = typer.Typer(help="The database behind the log.")

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]


@app.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the schema up to this release, as every start does. Migrations only add."""
    from ghostfleet.store.log import open_log

    async def run() -> int:
        log = await open_log(options_of(context).load().store.url)
        await log.close()
        return log.head.position

    print_line(f"the schema is up to date; the log has {asyncio.run(run())} events")


@app.command("status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Where the log ends, its schema and the release that wrote to it last."""
    from ghostfleet.store.log import open_log

    async def run() -> dict[str, object]:
        log = await open_log(options_of(context).load().store.url, read_only=True)
        try:
            end = {"events": log.head.position, "head": str(log.head.hash), "wal_bytes": log.wal_bytes}
            return {**end, **dict(sorted((await log.schema()).items()))}
        finally:
            await log.close()

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        print_line(f"{key}: {value}")


@app.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Derive the read models from the log again. They are only a cache of it."""
    from ghostfleet.store.log import open_log

    async def run() -> int:
        log = await open_log(options_of(context).load().store.url)
        try:
            await log.rebuild_projections()
            return log.head.position
        finally:
            await log.close()

    print_line(f"the read models are derived again from {asyncio.run(run())} events")
