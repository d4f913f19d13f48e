"""`ghost-fleet admin token create|list|revoke`: of the running service; of the log itself where no service runs."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ghostfleet.cli.admin import show
from ghostfleet.cli.alone import command_alone
from ghostfleet.cli.client import (
    JsonOption,
    NoInterface,
    ServiceUnreachable,
    Way,
    ask_service,
    asking,
    commanding,
)
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_warning
from ghostfleet.config.loaded import Loaded
from ghostfleet.engine.clock import SystemClock

app = typer.Typer(help="Who may ask and command.")
token_app = typer.Typer(help="Tokens for the HTTP interface, beside those of the settings.")
app.add_typer(token_app, name="token")

NameArgument = Annotated[str, typer.Argument(help="Name of the token: the log has it as actor.")]


@token_app.command("create")
@commanding
def create(
    context: typer.Context,
    name: NameArgument,
    way: Way,
    role: Annotated[str, typer.Option("--role", help="viewer may look, operator may command too.")] = "viewer",
    expires: Annotated[
        str | None, typer.Option("--expires", help="Not valid from then on: 30d, 12h, 2027-01-31T00:00:00Z.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, this once: nothing keeps it but its hash."""
    path, wanted = "/admin/tokens", {"name": name, "role": role, "expires": expires}

    def alone(loaded: Loaded) -> Any:
        from ghostfleet.operations.tokens import create_alone

        command = command_alone(way, "create_token", name, path, wanted)
        return asyncio.run(create_alone(loaded, SystemClock(), command, role, expires))

    show(_asked(context, way, "POST", path, alone, wanted), as_json)


@token_app.command("list")
@asking
def list_tokens(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """All tokens: name, role, source, end. Not what they are."""

    def alone(loaded: Loaded) -> Any:
        from ghostfleet.operations.tokens import list_alone

        return asyncio.run(list_alone(loaded, SystemClock()))

    show(_asked(context, way, "GET", "/admin/tokens", alone, {}), as_json)


@token_app.command("revoke")
@commanding
def revoke(context: typer.Context, name: NameArgument, way: Way, as_json: JsonOption = False) -> None:
    """End a token, at once."""
    path = f"/admin/tokens/{quote(name, safe='')}/revoke"

    def alone(loaded: Loaded) -> Any:
        from ghostfleet.operations.tokens import revoke_alone

        return asyncio.run(revoke_alone(loaded, SystemClock(), command_alone(way, "revoke_token", name, path, {})))

    show(_asked(context, way, "POST", path, alone, {}), as_json)


def _asked(
    context: typer.Context,
    way: Way,
    method: str,
    path: str,
    alone: Callable[[Loaded], Any],
    members: Mapping[str, object],
) -> Any:
    """The running service's answer; where none runs, that of the log. A service that runs holds the log's lock."""
    try:
        return ask_service(context, way, method, path, body=members)
    except (ServiceUnreachable, NoInterface) as nobody:
        if way.url is not None:
            raise
        loaded = options_of(context).load(keys=False)
        print_warning(f"{nobody}; the log itself is asked")
    return alone(loaded)
