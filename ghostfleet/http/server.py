"""How is the application reached? By uvicorn inside the service's own event loop, with bounds on everything a client can hold.

No signal handler, no process exit: the service's task group starts it and stops it.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ghostfleet.errors import StopService
from ghostfleet.http.edge import MAX_HEAD_BYTES

MAX_CONNECTIONS = 512
"""Beyond them the connection that has been idle longest makes room: holding connections open locks nobody out."""
REQUEST_SECS = 10.0
"""From the connection, or the first byte of a further request, to its last byte."""
SEND_SECS = 30.0
"""A client that takes nothing of its answer for so long is cut off."""
KEEP_ALIVE_SECS = 5
STOP_SECS = 5
"""What is under way at a stop may take so long; then it is cut off."""
BACKLOG = 128

logger = logging.getLogger("ghostfleet.http.server")


class CannotListen(StopService):
    """The address is taken, or not this machine's. Choose another port ([service] health_port), or stop who has it."""


class BoundedConnection(H11Protocol):
    """A connection with a deadline for each request, and a place that it can lose."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = logger
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        order: dict[BoundedConnection, None] = self.app_state.setdefault("connections", {})
        order[self] = None
        if len(order) > MAX_CONNECTIONS:
            leaving = next((connection for connection in order if connection.idle), self)
            order.pop(leaving)
            leaving.transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.app_state.get("connections", {}).pop(self, None)
        self._unwatch()
        self._moving()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        order = self.app_state.get("connections", {})
        if self in order:
            order[self] = order.pop(self)
        if not self.transport.is_closing():
            self._watch(fresh=False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._moving()
        self._stalled = self.loop.call_later(SEND_SECS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._moving()

    def _moving(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self, *, fresh: bool = True) -> None:
        """Have a deadline while a request is expected or incomplete, and none while it is being answered."""
        incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not incomplete:
            self._unwatch()
        elif self._deadline is None and (fresh or self.conn.their_state is h11.SEND_BODY):
            self._deadline = self.loop.call_later(REQUEST_SECS, self._too_late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()


class QuietServer(uvicorn.Server):
    """uvicorn without its hands on the process's signals; `up` is set once it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """The server while it runs; `port` is the bound one, also when 0 was asked for."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self.host, self.port = sockets[0].getsockname()[:2]

    @property
    def url(self) -> str:
        """Where it answers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[HttpServer]:
    """Serve `app` while the block runs. Raises CannotListen before anything is served."""
    sockets = bind(host, port)
    server = QuietServer(_config(app))
    running = HttpServer(sockets)
    task = asyncio.create_task(server.serve(sockets=sockets), name="http")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait((task, up), return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            raise CannotListen(f"the HTTP server on {host}:{port} ended before it began")
        yield running
    finally:
        up.cancel()
        server.should_exit = True
        await _ended(task)


async def _ended(task: "asyncio.Task[None]") -> None:
    """Wait for the server's end, also when the waiting is cancelled: no task outlives the block that started it."""
    try:
        await asyncio.wait_for(asyncio.shield(task), STOP_SECS * 2)
    except TimeoutError:
        task.cancel()
        await asyncio.wait([task])


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`. Raises CannotListen."""
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as unknown:
        raise CannotListen(f"[admin] host {host!r} is no address of this machine: {unknown}") from None
    sockets: list[socket.socket] = []
    why = "the name has no address"
    for family, address in sorted({(family, str(address[0])) for family, _, _, _, address in found}):
        try:
            sockets.append(_listening(family, address, sockets[0].getsockname()[1] if sockets else port))
        except OSError as taken:
            why = taken.strerror or str(taken)
            if taken.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break  # `localhost` may have no IPv6 here; an address that is taken is taken
    else:
        if sockets:
            return sockets
    for bound in sockets:
        bound.close()
    raise CannotListen(
        f"cannot listen on {host}:{port}: {why}; set [service] health_port or [admin] host, or stop who has it"
    )


def _listening(family: int, address: str, port: int) -> socket.socket:
    # asyncio turns Nagle off only where the protocol is named; without it each answer takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECS,
        timeout_graceful_shutdown=STOP_SECS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
