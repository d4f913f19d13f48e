"""`ghost-fleet db`: the database behind the log. Needs the service to be down, except `status`, `backup` and `upgrade --plan`."""

import asyncio
from typing import Annotated

import typer

from ghostfleet.cli import db_files
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_warning

app = typer.Typer(help="The database behind the log.")

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON object.")]


@app.command("upgrade")
def upgrade(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the schema up to this release, as every start does. Migrations only add."""
    from ghostfleet.store.log import open_log

    settings = options_of(context).load(keys=False)
    if plan:
        _print_plan(settings.store.url, as_json)
        return

    async def run() -> int:
        log = await open_log(settings.store.url, archives=settings.archive_dir)
        await log.close()
        return log.head.position

    events = asyncio.run(run())
    if as_json:
        print_json({"events": events})
        return
    print_line(f"the schema is up to date; the log has {events} events")


def _print_plan(url: str, as_json: bool) -> None:
    from ghostfleet.store.plan import plan_of

    plan = asyncio.run(plan_of(url))
    if as_json:
        print_json(plan)
        return
    print_line(f"the data is at {plan.current or 'nothing yet'}, this release wants {plan.target}")
    if not plan.steps:
        print_line("nothing to do")
    for step in plan.steps:
        adds = "only adds" if step.only_adds else "CHANGES WHAT IS THERE"
        print_line(f"\n{step.revision}  {step.summary}")
        print_line(f"      {adds}; afterwards a release has to know schema level {step.least_level} at least")
        for statement in step.statements:
            print_line(f"      {statement}")


@app.command("status")
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Where the log begins and ends, its schema and the release that wrote to it last."""
    from ghostfleet.store.log import open_log

    settings = options_of(context).load(keys=False)

    async def run() -> dict[str, object]:
        log = await open_log(settings.store.url, read_only=True, archives=settings.archive_dir)
        try:
            end = {"events": log.head.position, "head": str(log.head.hash), "wal_bytes": log.wal_bytes}
            past = {"archived": log.anchor.position, "missing": list(log.missing())}
            return {**end, **past, **dict(sorted((await log.schema()).items()))}
        finally:
            await log.close()

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    for missing in found.pop("missing"):  # type: ignore[attr-defined]
        print_warning(str(missing))
    for key, value in found.items():
        print_line(f"{key}: {value}")


@app.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Derive the read models from the log again. They are only a cache of it."""
    from ghostfleet.store.log import open_log

    settings = options_of(context).load(keys=False)

    async def run() -> int:
        log = await open_log(settings.store.url, archives=settings.archive_dir)
        try:
            await log.rebuild_projections()
            return log.head.position
        finally:
            await log.close()

    print_line(f"the read models are derived again from {asyncio.run(run())} events")


app.command("backup")(db_files.backup)
app.command("restore")(db_files.restore)
app.command("archive")(db_files.archive)
