"""A small real service over a real event log, behind the real server: what HTTP tests ask."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import msgspec

from ghostfleet.config.loaded import Admin, AdminToken
from ghostfleet.domain import decisions
from ghostfleet.domain import events as ev
from ghostfleet.domain.state import Candidate, State
from ghostfleet.domain.values import Address
from ghostfleet.engine.ports import AdminCommand, Check, EndpointStatus, Log
from ghostfleet.errors import TryAgain
from ghostfleet.http.app import create_app
from ghostfleet.http.server import HttpServer, serving
from ghostfleet.telemetry import Metrics, Telemetry

START_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z"""
OPERATOR, VIEWER = "operator-token-1234", "viewer-token-1234"


class SteppedClock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        self.us += 1_000_000
        return self.us


class LogUnavailable(TryAgain):
    """As a full disk would have it."""


class SmallService:
    """Commands by events, appended to the log and folded, as the engine does it, without a chain."""

    def __init__(self, log: Log, clock: SteppedClock, telemetry: Telemetry) -> None:
        self._log, self._clock, self._telemetry = log, clock, telemetry
        self.state = State()
        self.dry_run = False
        self.failing = False
        self.readiness = [Check("log", True), Check("chain", True)]

    @property
    def uptime_secs(self) -> float:
        return 12345.6

    def checks(self) -> Sequence[Check]:
        return self.readiness

    def endpoints(self) -> Sequence[EndpointStatus]:
        return [EndpointStatus(name="node-a", healthy=True), EndpointStatus(name="node-b", healthy=False, reason="429")]

    async def append(self, *events: ev.NewEvent) -> tuple[ev.Recorded, ...]:
        if self.failing:
            raise LogUnavailable("the log cannot be written: disk full")
        stored = await self._log.append(events, time_us=self._clock.now_us())
        for recorded in stored:
            self.state.apply(recorded)
            self._telemetry.on_event(recorded)
        return stored

    async def pause(self, command: AdminCommand) -> ev.Recorded:
        extra = decisions.pause(Candidate(self.state), command.actor, command.reason, command.request_id)
        return (await self.append(received(command), *extra))[-1]

    async def resume(self, command: AdminCommand) -> ev.Recorded:
        extra = decisions.resume(Candidate(self.state), command.actor, command.reason, command.request_id)
        return (await self.append(received(command), *extra))[-1]

    async def reset(self, command: AdminCommand) -> ev.Recorded:
        reset = ev.BreakerReset(actor=command.actor)
        stream = ev.wallet_stream(command.target)
        return (await self.append(received(command), ev.NewEvent(stream, reset, command.request_id)))[-1]

    async def refused(self, command: AdminCommand, why: str) -> None:
        refused = ev.AdminCommandRefused(
            command=command.command,
            actor=command.actor,
            remote=command.remote,
            request_id=command.request_id,
            why=why,
        )
        await self.append(ev.NewEvent(ev.FLEET_STREAM, refused, command.request_id))


def received(command: AdminCommand) -> ev.NewEvent:
    event = ev.AdminCommandReceived(
        **{name: getattr(command, name) for name in ev.AdminCommandReceived.__struct_fields__}
    )
    return ev.NewEvent(ev.FLEET_STREAM, event, command.request_id)


def admin_settings(**changes: Any) -> Admin:
    settings = Admin(
        host="127.0.0.1",
        port=0,
        loopback=True,
        tokens=(),
        require_token_on_loopback=False,
        allowed_hosts=("fleet.example",),
    )
    return msgspec.structs.replace(settings, **changes)


TOKENS = (
    AdminToken(name="ada", role="operator", sha256=hashlib.sha256(OPERATOR.encode()).digest()),
    AdminToken(name="vic", role="viewer", sha256=hashlib.sha256(VIEWER.encode()).digest()),
)


class Running(msgspec.Struct, kw_only=True):
    """What a test has in hand."""

    service: SmallService
    log: Any
    server: HttpServer
    session: aiohttp.ClientSession
    telemetry: Telemetry

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, decoded or plain answer, headers."""
        async with self.session.request(method, self.server.url + path, allow_redirects=False, **options) as answer:
            content = await answer.read()
            kind = answer.headers.get("content-type", "")
            return (
                answer.status,
                msgspec.json.decode(content) if kind.endswith("json") and "ndjson" not in kind and content else content,
                answer.headers,
            )

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        return await self.ask("POST", path, **options)

    async def raw(self, request: bytes, *, wait_secs: float = 5.0) -> bytes:
        """All that comes back for these bytes until the server closes."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        answered = bytearray()
        try:
            async with asyncio.timeout(wait_secs):
                with contextlib.suppress(ConnectionError):
                    writer.write(request)
                    while piece := await reader.read(65536):
                        answered += piece
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return bytes(answered)


@contextlib.asynccontextmanager
async def running(log: Any, settings: Admin | None = None) -> AsyncIterator[Running]:
    """The service behind its server, on a port of its own."""
    clock = SteppedClock()
    telemetry = Telemetry(Metrics("0.1.0"))
    service = SmallService(log, clock, telemetry)
    app = create_app(service, log, settings or admin_settings(), clock, telemetry.metrics)
    async with serving(app, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        yield Running(service=service, log=log, server=server, session=session, telemetry=telemetry)


def registered(wallet: str, number: int = 1) -> ev.NewEvent:
    event = ev.WalletRegistered(
        address=Address(number.to_bytes(20, "big")), profile="degen", plugin="ghostnet", first_turn_us=START_US
    )
    return ev.NewEvent(ev.wallet_stream(wallet), event)
