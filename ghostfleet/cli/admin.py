"""`ghost-fleet status|pause|resume|reset|checkin|stop`: questions and commands to the running service, over HTTP."""

import os
import socket
import time
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from ghostfleet.cli.client import (
    JsonOption,
    ServiceRefused,
    ServiceUnreachable,
    Way,
    ask_service,
    asking,
    commanding,
)
from ghostfleet.cli.output import print_document, print_json
from ghostfleet.cli.status_view import show_pause, show_status
from ghostfleet.errors import BadInput, GhostFleetError

GONE_SECS = 10.0
"""A graceful stop waits for sends in flight and for commits, and takes no longer."""
POLL_SECS = 0.1


class StillRunning(GhostFleetError):
    """The service was asked to stop and is still there. Look at its log; `kill -9` loses nothing that it has told of."""


@asking
def status(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """Pause, wallets, breakers, open slots, endpoints and head of the log."""
    show(ask_service(context, way, "GET", "/admin/status"), as_json, show_status)


@commanding
def pause(
    context: typer.Context,
    way: Way,
    cancel_open: Annotated[
        bool,
        typer.Option("--cancel-open", help="Replace open transactions by empty ones, and wait until that is done."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the fleet: once this has answered, no transaction leaves the process."""
    answer = ask_service(context, way, "POST", "/admin/pause", body={"cancel_open": True} if cancel_open else None)
    if answer.get("operation"):
        from ghostfleet.cli.operations import watch  # loads what moves money: only where that is asked for
        from ghostfleet.cli.operations_door import ServiceDoor

        question = msgspec.structs.replace(way, reason=None, key=None)
        answer["cancelled"] = watch(ServiceDoor(context, question), answer["operation"], quiet=as_json)["rows"]
    show(answer, as_json, show_pause)


@commanding
def resume(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """Let a paused fleet act again."""
    show(ask_service(context, way, "POST", "/admin/resume"), as_json)


@commanding
def reset(
    context: typer.Context,
    way: Way,
    wallet: Annotated[str | None, typer.Argument(help="Id of the wallet.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every wallet that is tripped, probing or parked.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Close a wallet's tripped breaker and end its parking, after the cause is fixed; with --all those of all that need it."""
    if (wallet is None) is not every:
        raise BadInput("reset WALLET, or reset --all")
    path = "/admin/reset" if wallet is None else f"/admin/reset/{quote(wallet, safe='')}"
    show(ask_service(context, way, "POST", path), as_json)


@commanding
def checkin(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """Say that an operator is there: the deadman's time starts anew."""
    show(ask_service(context, way, "POST", "/admin/checkin"), as_json)


@commanding
def stop(context: typer.Context, way: Way, as_json: JsonOption = False) -> None:
    """End the service gracefully, and wait until it is gone."""
    answer = ask_service(context, way, "POST", "/admin/stop")
    deadline = time.monotonic() + GONE_SECS
    while not _is_gone(context, way, answer):
        if time.monotonic() > deadline:
            raise StillRunning(
                f"the service still runs {GONE_SECS:.0f} s after it was stopped: kill process {answer['pid']}"
            )
        time.sleep(POLL_SECS)
    show(answer, as_json)


def _is_gone(context: typer.Context, way: Way, answer: Any) -> bool:
    """Whether its process has ended, where it is one of this machine; elsewhere, whether it answers no more."""
    if answer["status"] != "stopping":
        return True
    if answer["host"] == socket.gethostname():
        try:
            os.kill(answer["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False  # somebody else's, and there
        return False
    try:
        ask_service(context, msgspec.structs.replace(way, reason=None, key=None), "GET", "/health")
    except ServiceUnreachable:
        return True
    except ServiceRefused:
        return False
    return False


def show(answer: Any, as_json: bool, for_people: Callable[[Any], None] = print_document) -> None:
    """An answer of the service, for people or machines."""
    (print_json if as_json else for_people)(answer)
