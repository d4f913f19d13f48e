"""A small real service over a real event log, behind the real server: what HTTP tests ask."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import msgspec

from ghostfleet.chain.fees import FeeRules
from ghostfleet.config.loaded import Admin, AdminToken
from ghostfleet.domain import events as ev
from ghostfleet.domain.allow_list import AllowList
from ghostfleet.domain.decisions import Rules
from ghostfleet.domain.profile import BUILT_IN_PROFILES
from ghostfleet.domain.state import State
from ghostfleet.domain.values import Address, WalletId
from ghostfleet.engine.gate import Gate
from ghostfleet.engine.in_force import ChainRules, InForce, Pace, Tuning
from ghostfleet.engine.ports import Check, EndpointStatus
from ghostfleet.engine.service import FleetService
from ghostfleet.engine.signing import KeyringSigner
from ghostfleet.engine.state import LiveState
from ghostfleet.errors import TryAgain
from ghostfleet.http.app import create_app
from ghostfleet.http.server import HttpServer, serving
from ghostfleet.keys.keyring import Keyring
from ghostfleet.store.codec import Encoded
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


IN_FORCE = InForce(
    Tuning(
        config_digest="", rules=Rules(), chain_rules=ChainRules(chain_id=31337), pace=Pace(), fee_rules=FeeRules(cap_wei=1),
        profiles=BUILT_IN_PROFILES, plugins={}, allowed=AllowList(),
    )
)  # fmt: skip


SIGNER = KeyringSigner(Keyring.of({WalletId(f"wallet-00{n}"): bytes([n]) * 32 for n in (1, 2)}))
"""Keys for what the fleet signs of itself."""


class LogUnavailable(TryAgain):
    """As a full disk would have it."""


class WritableOrNot:
    """The log, which takes nothing while `failing`."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.failing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append_encoded(self, events: Sequence[Encoded], **how: Any) -> tuple[ev.Recorded, ...]:
        if self.failing:
            raise LogUnavailable("the log cannot be written: disk full")
        stored: tuple[ev.Recorded, ...] = await self._log.append_encoded(events, **how)
        return stored


class SmallService(FleetService):
    """The real commands over the real commit loop and log, without a chain."""

    def __init__(self, log: Any, clock: SteppedClock, telemetry: Telemetry) -> None:
        self._clock = clock
        self._writable = WritableOrNot(log)
        live = LiveState(State(), self._writable, clock, telemetry.on_event)
        super().__init__(
            live=live,
            gate=Gate(),
            heads=None,  # type: ignore[arg-type]
            nudge=lambda _wallet: None,
            endpoints=lambda: [
                EndpointStatus(name="node-a", handle="node-a", healthy=True),
                EndpointStatus(name="node-b", handle="node-b", healthy=False, reason="429"),
            ],
            in_force=IN_FORCE,
            dry_run=False,
        )
        self.readiness = [Check("log", True), Check("chain", True)]

    @property
    def failing(self) -> bool:
        return self._writable.failing

    @failing.setter
    def failing(self, failing: bool) -> None:
        self._writable.failing = failing

    @property
    def uptime_secs(self) -> float:
        return 12345.6

    def checks(self) -> Sequence[Check]:
        return self.readiness

    async def append(self, *events: ev.NewEvent) -> tuple[ev.Recorded, ...]:
        return await self._live.write(events)

    @contextlib.asynccontextmanager
    async def committing(self) -> AsyncIterator[None]:
        """Fold what the log has, and serve commits while the block runs."""
        async for recorded in self._writable.read():
            self._live.state.apply(recorded)
        commits = asyncio.create_task(self._live.run())
        try:
            yield
        finally:
            commits.cancel()
            await asyncio.wait([commits])


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
async def running(
    log: Any,
    settings: Admin | None = None,
    clock: SteppedClock | None = None,
    desk_of: Callable[[SmallService], Any] = lambda _service: None,
    **listening: Any,
) -> AsyncIterator[Running]:
    """The service behind its server, on a port of its own, and where `listening` says; `desk_of` makes the operations' desk."""
    clock = clock or SteppedClock()
    telemetry = Telemetry(Metrics("0.1.0"))
    service = SmallService(log, clock, telemetry)
    app = create_app(
        service, log, settings or admin_settings(), clock, telemetry.metrics, signer=SIGNER, desk=desk_of(service)
    )
    async with (
        service.committing(),
        serving(app, "127.0.0.1", 0, **listening) as server,
        aiohttp.ClientSession() as session,
    ):
        yield Running(service=service, log=log, server=server, session=session, telemetry=telemetry)


def registered(wallet: str, number: int = 1) -> ev.NewEvent:
    event = ev.WalletRegistered(
        address=Address(number.to_bytes(20, "big")), profile="degen", plugin="ghostnet", first_turn_us=START_US
    )
    return ev.NewEvent(ev.wallet_stream(wallet), event)
