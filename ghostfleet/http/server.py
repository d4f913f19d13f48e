"""How is the application reached? By uvicorn inside the service's own event loop, with bounds on everything a client can hold.

No signal handler, no process exit: the service's task group starts it and stops it.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ghostfleet.config.loaded import Tls
from ghostfleet.http.access import OVER_SOCKET
from ghostfleet.http.edge import MAX_HEAD_BYTES
from ghostfleet.http.handshake import Handshake
from ghostfleet.http.listening import BACKLOG, CannotListen, bind, bound_socket
from ghostfleet.http.untaken import untaken_bytes

MAX_CONNECTIONS = 512
"""Beyond them the connection that has been idle longest makes room, else one whose client does not take its answer: holding
connections open locks nobody out."""
REQUEST_SECS = 10.0
"""From the connection, or the first byte of a further request, to its last byte."""
SEND_SECS = 30.0
LEAST_TAKEN_BYTES = 32 * 1024
"""A client that takes less of its answer than this in so long is cut off. One that takes more is slow, and gets all of it."""
KEEP_ALIVE_SECS = 5
STOP_SECS = 1
"""What is being answered at a stop may take so long; then it is cut off."""

logger = logging.getLogger("ghostfleet.http.server")


class NotOfStrangers(logging.Filter):
    """uvicorn warns of each request that is none, and reports as an error each answer that a stop cuts off. Anybody who reaches
    the port can have that said as often as he likes, so it is said at level debug only."""

    def filter(self, record: logging.LogRecord) -> bool:
        cut_off = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
        return (record.levelno >= logging.ERROR and not cut_off) or logger.isEnabledFor(logging.DEBUG)


logger.addFilter(NotOfStrangers())


class BoundedConnection(H11Protocol):
    """A connection with a deadline for each request, and a place that it can lose."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = logger
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.handshake: Handshake | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def stalled(self) -> bool:
        """Whether its answer waits for its client to take what is there."""
        return self._stalled is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.handshake is not None:
            self.handshake.ended()
        self.client = self.client or peer_on_socket(transport)
        order: dict[BoundedConnection, None] = self.app_state.setdefault("connections", {})
        order[self] = None
        if len(order) > MAX_CONNECTIONS:
            others = [connection for connection in order if connection is not self]
            stalled = next((connection for connection in others if connection.stalled), self)
            leaving = next((connection for connection in others if connection.idle), stalled)
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
        self._stalled = self.loop.call_later(SEND_SECS, self._look_at_client, self._untaken_bytes())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._moving()

    def _moving(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _look_at_client(self, before_bytes: int) -> None:
        """Nothing can be written still: has the client taken any of what was?"""
        left_bytes = self._untaken_bytes()
        if left_bytes > before_bytes - LEAST_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._stalled = self.loop.call_later(SEND_SECS, self._look_at_client, left_bytes)

    def _untaken_bytes(self) -> int:
        return self.handshake.untaken_bytes() if self.handshake is not None else untaken_bytes(self.transport)

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


def peer_on_socket(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """Who is at the other end of a Unix socket, as the kernel says: the user's number, in the place of an address."""
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family != socket.AF_UNIX:
        return None
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return OVER_SOCKET, 0
    _pid, uid, _gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return f"{OVER_SOCKET}:{uid}", 0


class QuietServer(uvicorn.Server):
    """uvicorn without its hands on the process's signals; `up` is set once it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self.config.ssl is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            await self._listen_for_tls(sockets or [], self.config.ssl)
        self.up.set()

    async def _listen_for_tls(self, sockets: list[socket.socket], context: ssl.SSLContext) -> None:
        """As uvicorn does, but with bounds on handshakes too."""
        loop = asyncio.get_running_loop()
        under_way: dict[Handshake, None] = {}

        def connection() -> Handshake:
            spoken = BoundedConnection(self.config, self.server_state, self.lifespan.state, loop)
            spoken.handshake = Handshake(loop, spoken, context, under_way)
            return spoken.handshake

        for each in sockets:
            self.servers.append(await loop.create_server(connection, sock=each, backlog=BACKLOG))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """The server while it runs; `port` is the bound one, also when 0 was asked for. Without an address it has only a socket."""

    def __init__(self, sockets: list[socket.socket], tls: bool, socket_path: Path | None) -> None:
        self._scheme = "https" if tls else "http"
        self.socket_path = socket_path
        self.host: str = sockets[0].getsockname()[0] if sockets else ""
        self.port: int = sockets[0].getsockname()[1] if sockets else 0

    @property
    def url(self) -> str:
        """Where it answers."""
        if not self.port:
            return f"unix:{self.socket_path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str | None,
    port: int,
    *,
    tls: Tls | None = None,
    socket_path: Path | None = None,
    socket_mode: int = 0o600,
) -> AsyncIterator[HttpServer]:
    """Serve `app` at an address (TLS or not), on a Unix socket (never TLS), or at both, while the block runs.

    Raises CannotListen before anything is served.
    """
    servers: list[QuietServer] = []
    async with contextlib.AsyncExitStack() as stack:
        sockets = bind(host, port) if host is not None else []
        for each in sockets:
            stack.callback(each.close)
        if socket_path is not None:
            local = stack.enter_context(bound_socket(socket_path, socket_mode))
            servers.append(await stack.enter_async_context(_served(_config(app), [local], str(socket_path))))
        if sockets:
            servers.append(await stack.enter_async_context(_served(_config(app, tls), sockets, f"{host}:{port}")))
        stack.callback(_stop_all, servers)
        yield HttpServer(sockets, tls is not None, socket_path)


def _stop_all(servers: Sequence["QuietServer"]) -> None:
    """At once, so that the wait for one is the wait for all."""
    for each in servers:
        each.should_exit = True


@contextlib.asynccontextmanager
async def _served(config: uvicorn.Config, sockets: list[socket.socket], where: str) -> AsyncIterator["QuietServer"]:
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=sockets), name="http")
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait((task, up), return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            raise CannotListen(f"the HTTP server on {where} ended before it began")
        yield server
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


def _config(app: ASGIApp, tls: Tls | None = None) -> uvicorn.Config:
    secure: dict[str, Any] = {}
    if tls is not None:
        secure = {"ssl_certfile": tls.cert, "ssl_keyfile": tls.key}
        if tls.client_ca is not None:
            secure |= {"ssl_ca_certs": str(tls.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
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
        **secure,
    )
