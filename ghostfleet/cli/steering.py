"""`ghost-fleet throttle|reload|endpoints`: commands that change how a running fleet goes."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ghostfleet.chain.endpoints import handle_of
from ghostfleet.cli.admin import show
from ghostfleet.cli.client import JsonOption, ServiceRefused, Way, ask_service, asking, commanding
from ghostfleet.cli.output import print_error, print_json, print_table
from ghostfleet.cli.status_view import show_reload
from ghostfleet.domain.throttle import FULL_PACE, MIN_FACTOR

RELOAD_ANSWER_SECS = 600.0
"""Opening a thousand keystores takes minutes, and reloads wait for each other."""

app = typer.Typer(no_args_is_help=True, help="The RPC endpoints of the running service.")
NameArgument = Annotated[str, typer.Argument(help="Its name or handle, as `endpoints list` tells it.")]


@commanding
def throttle(
    context: typer.Context,
    factor: Annotated[
        float, typer.Argument(min=MIN_FACTOR, max=FULL_PACE, help="Of its pace: 0.25 is a quarter, 1 full pace.")
    ],
    way: Way,
    as_json: JsonOption = False,
) -> None:
    """Slow the fleet down without a restart; 1 lets it go again."""
    show(ask_service(context, way, "POST", "/admin/throttle", body={"factor": factor}), as_json)


@commanding
def reload(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """Have the service read its settings file again: all that differs is applied, or nothing."""
    try:
        answer = ask_service(context, way, "POST", "/admin/reload", answer_secs=RELOAD_ANSWER_SECS)
    except ServiceRefused as refused:
        for found in (*refused.told.get("problems", ()), *refused.told.get("keys", ())):
            print_error(_in_the_way(found))
        raise
    show(answer, as_json, show_reload)


def _in_the_way(found: Any) -> str:
    """A problem of the settings file, or a key that does not change while the service runs, in a line."""
    if not isinstance(found, dict):
        return str(found)
    if "wrong" in found:
        where = f"{found['file']}: {found['key']}" if found["key"] else found["file"]
        return f"{where}: {found['wrong']}; {found['right']}"
    return f"{found['key']}: {found['applies']}" + (f": {found['why']}" if found["why"] else "")


@asking
def endpoints_list(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """Each endpoint, in order of preference."""
    answer = ask_service(context, way, "GET", "/admin/endpoints")
    if as_json:
        print_json(answer)
        return
    columns = ("handle", "state", "height", "latency", "requests", "in flight", "faults", "limits seen", "reason")
    print_table(columns, [_row(it) for it in answer["endpoints"]])


def _row(endpoint: dict[str, Any]) -> tuple[object, ...]:
    state = "drained" if endpoint["drained"] else "healthy" if endpoint["healthy"] else "left alone"
    secs = endpoint["latency_secs"]
    return (
        endpoint["handle"],
        state,
        endpoint["height"],
        None if secs is None else f"{secs * 1000:.0f} ms",
        endpoint["requests"],
        endpoint["in_flight"],
        endpoint["faults"],
        endpoint["limits_seen"],
        endpoint["reason"],
    )


@commanding
def drain(
    context: typer.Context,
    name: NameArgument,
    way: Way,
    last: Annotated[bool, typer.Option("--last", help="Even where nobody is left to ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send an endpoint no new request; what is under way there is finished."""
    show(ask_service(context, way, "POST", _path(name, "drain"), body={"last": True} if last else None), as_json)


@commanding
def restore(context: typer.Context, name: NameArgument, way: Way, as_json: JsonOption = False) -> None:
    """Ask a drained endpoint again."""
    show(ask_service(context, way, "POST", _path(name, "restore")), as_json)


def _path(name: str, what: str) -> str:
    return f"/admin/endpoints/{quote(handle_of(name), safe=':~')}/{what}"


app.command("list")(endpoints_list)
app.command("drain")(drain)
app.command("restore")(restore)
