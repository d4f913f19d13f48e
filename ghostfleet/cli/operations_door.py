"""How does a command reach the operations? Through the running service; or, where none runs, alone with the database."""

import asyncio
import base64
import getpass
import secrets
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import typer

from ghostfleet.cli.client import NoInterface, ServiceRefused, ServiceUnreachable, Way, ask_service
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_notice
from ghostfleet.config.loaded import Loaded
from ghostfleet.errors import GhostFleetError, TryAgain

if TYPE_CHECKING:
    from ghostfleet.assembly import Running
    from ghostfleet.engine.ports import AdminCommand

T = TypeVar("T")
ANSWER_SECS = 300.0
"""A plan for ten thousand wallets reads some hundred thousand things from the chain."""
CHAIN_SECS = 60.0
"""Until an endpoint has to have answered."""
NOTICE_SECS = 10.0
"""Between two words about a start that takes its time."""


class Password(msgspec.Struct, frozen=True):
    """A keystore that is lent for an operation."""

    keyfile: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Password({self.keyfile!r})"


class OperationsDoor(Protocol):
    """What commands ask. Bodies and answers are those of the HTTP interface (docs/http.md)."""

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]: ...
    def start(self, body: Mapping[str, Any], key: Password | None = None) -> dict[str, Any]: ...
    def open(self) -> list[dict[str, Any]]: ...
    def one(self, operation: str) -> dict[str, Any]: ...
    def abandon(self, operation: str, reason: str) -> dict[str, Any]: ...
    def pause(self, reason: str) -> dict[str, Any]: ...
    def status(self) -> dict[str, Any]: ...
    def reload(self) -> None: ...


class ServiceDoor:
    """Through the running service."""

    def __init__(self, context: typer.Context, way: Way) -> None:
        self._context = context
        self._way = way

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", "/admin/operations/plan", body)

    def start(self, body: Mapping[str, Any], key: Password | None = None) -> dict[str, Any]:
        if key is None:
            return self._ask("POST", "/admin/operations", body)
        header = {"Keystore-Password": base64.b64encode(key.secret).decode()}
        return self._ask("POST", "/admin/operations", {**body, "keyfile": key.keyfile}, header)

    def open(self) -> list[dict[str, Any]]:
        return list(self._ask("GET", "/admin/operations")["operations"])

    def one(self, operation: str) -> dict[str, Any]:
        return self._ask("GET", f"/admin/operations/{operation}")

    def abandon(self, operation: str, reason: str) -> dict[str, Any]:
        return self._ask("POST", f"/admin/operations/{operation}/abandon", {"reason": reason})

    def pause(self, reason: str) -> dict[str, Any]:
        return self._ask("POST", "/admin/pause", {"reason": reason})

    def status(self, answer_secs: float = ANSWER_SECS) -> dict[str, Any]:
        return self._ask("GET", "/admin/status", answer_secs=answer_secs)

    def reload(self) -> None:
        self._ask("POST", "/admin/reload")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        answer_secs: float = ANSWER_SECS,
    ) -> dict[str, Any]:
        answer = ask_service(
            self._context, self._way, method, path, body=body, more_headers=headers, answer_secs=answer_secs
        )
        assert isinstance(answer, dict)
        return answer


class AloneDoor:
    """A service of this command's own over the same database: it runs operations and nothing else, and answers no HTTP."""

    def __init__(self, running: "Running", loop: asyncio.AbstractEventLoop) -> None:
        self._running = running
        self._loop = loop
        self._actor = f"command:{getpass.getuser()}"

    def wait_for_the_chain(self, thread: threading.Thread) -> None:
        """Until the chain was checked against the log; an operation may not be asked for before."""
        deadline = time.monotonic() + CHAIN_SECS
        while not self._running.service.begun and thread.is_alive():
            if time.monotonic() > deadline:
                raise TryAgain("no endpoint of the settings answers: nothing can be done without the chain")
            time.sleep(0.05)

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        async def plan() -> dict[str, Any]:
            desk = self._running.desk
            wish = desk.wish(self._wanted(body), planned=True)
            return {"kind": wish.kind, "wallets": list(wish.wallets), "plans": await desk.plan(wish)}

        return self._do(plan())

    def start(self, body: Mapping[str, Any], key: Password | None = None) -> dict[str, Any]:
        async def start() -> dict[str, Any]:
            from pathlib import Path

            from ghostfleet.keys.secret import Secret
            from ghostfleet.operations.desk import Keyfile

            desk = self._running.desk
            wish = desk.wish(self._wanted(body))
            keyfile = None if key is None else Keyfile(Path(key.keyfile), Secret(key.secret))
            command = self._command(f"operation {wish.kind}", reason=body.get("reason", ""))
            begun = await desk.start(command, wish, keyfile)
            return {"status": "done before" if begun.before else "started", "operation": begun.operation}

        return self._do(start())

    def open(self) -> list[dict[str, Any]]:
        return self._running.desk.open()

    def one(self, operation: str) -> dict[str, Any]:
        return self._do(self._running.desk.one(operation))

    def abandon(self, operation: str, reason: str) -> dict[str, Any]:
        self._do(self._running.desk.abandon(self._command("abandon", target=operation, reason=reason)))
        return {"status": "abandoned", "operation": operation}

    def pause(self, reason: str) -> dict[str, Any]:
        self._do(self._running.service.pause(self._command("pause", reason=reason)))
        return {"status": "paused", "paused": True}

    def status(self) -> dict[str, Any]:
        state = self._running.service.state
        wallets = [{"id": it.id, "address": str(it.address)} for it in state.wallets.values()]
        return {"paused": state.fleet.paused is not None, "wallets": wallets}

    def reload(self) -> None:
        """Nothing to do: who runs alone decides nothing, and the next start reads the settings."""

    def _command(self, name: str, target: str = "", reason: str = "") -> "AdminCommand":
        from ghostfleet.engine.ports import AdminCommand

        return AdminCommand(
            command=name,
            actor=self._actor,
            remote="command line",
            request_id=secrets.token_hex(8),
            target=target,
            reason=reason,
        )

    def _wanted(self, body: Mapping[str, Any]) -> Any:
        from ghostfleet.http.operations import Asked

        return msgspec.convert(dict(body), Asked).wanted()

    def _do(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


@contextmanager
def door(context: typer.Context, way: Way) -> Iterator[OperationsDoor]:
    """The running service where one answers, else alone. Raises StoreLocked where a service holds the log and does not answer."""
    service = ServiceDoor(context, way)
    try:
        service.status()
    except (ServiceUnreachable, NoInterface) as nobody:
        if way.url is not None:
            raise
        print_notice(f"{nobody}: going on alone with the database")
    except ServiceRefused:
        raise
    else:
        yield service
        return
    with _alone(options_of(context).load(serves=False)) as own:  # it listens nowhere
        yield own


@contextmanager
def _alone(loaded: Loaded) -> Iterator[AloneDoor]:
    """Run the operations' part of the service in a thread, for as long as the block."""
    from ghostfleet.lifetime import run_service

    quiet = msgspec.structs.replace(loaded, admin=msgspec.structs.replace(loaded.admin, port=0, socket=None))
    ready = threading.Event()
    found: list[Running] = []
    loops: list[asyncio.AbstractEventLoop] = []
    failed: list[BaseException] = []

    def on_running(running: "Running") -> None:
        found.append(running)
        loops.append(asyncio.get_running_loop())
        ready.set()

    def run() -> None:
        try:
            asyncio.run(run_service(quiet, on_running=on_running, operations_only=True))
        except BaseException as problem:  # handed to the command, which waits for it
            failed.append(problem)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="operations", daemon=True)
    thread.start()
    started = time.monotonic()
    while not ready.wait(NOTICE_SECS):
        print_notice(f"opening the first keys and the log, for {time.monotonic() - started:.0f} s so far")
    if failed:
        raise failed[0]
    try:
        own = AloneDoor(found[0], loops[0])
        own.wait_for_the_chain(thread)
        if failed:
            raise failed[0]
        yield own
    finally:
        if thread.is_alive():
            loops[0].call_soon_threadsafe(found[0].stop.set)
        thread.join()
    if failed and isinstance(failed[0], GhostFleetError):
        raise failed[0]
