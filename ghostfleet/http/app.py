"""The application: every path of the contract behind the same rules, every refusal a problem document."""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ghostfleet.config.loaded import Admin
from ghostfleet.engine.commands import KeyReused
from ghostfleet.engine.ports import AdminCommand, Clock, Service, Signer
from ghostfleet.errors import BadInput, GhostFleetError, TryAgain
from ghostfleet.http import (
    admin,
    audit,
    backups,
    dashboard,
    endpoints,
    explain,
    health,
    manifest,
    openapi,
    operations,
    settings,
    status,
    throttle,
    tokens,
)
from ghostfleet.http.access import ANONYMOUS, Access, Caller, Refusal, Role
from ghostfleet.http.contract import Ask, Doors, Operation, read_parameters
from ghostfleet.http.edge import Edge, read_body, request_id_of
from ghostfleet.http.problems import Problem, problem_response
from ghostfleet.http.refusals import Refusals
from ghostfleet.operations.desk import OperationDesk
from ghostfleet.operations.manifest import ManifestDesk
from ghostfleet.store.log import EventLog
from ghostfleet.telemetry import Metrics

MAX_HEAVY_READS = 4
"""Exports and folds of the past at one time: they must not starve the fleet, nor each other."""

logger = logging.getLogger("ghostfleet.http")

OPERATIONS: tuple[Operation, ...] = (
    *health.OPERATIONS,
    *status.OPERATIONS,
    *admin.OPERATIONS,
    *throttle.OPERATIONS,
    *endpoints.OPERATIONS,
    *settings.OPERATIONS,
    *operations.OPERATIONS,
    *explain.OPERATIONS,
    *tokens.OPERATIONS,
    *backups.OPERATIONS,
    *audit.OPERATIONS,
    *manifest.OPERATIONS,
    *dashboard.OPERATIONS,
)
"""The route table, but for the document that describes it."""


def random_request_id() -> str:
    """16 hex digits: enough to be told apart in a log."""
    return secrets.token_hex(8)


def create_app(
    service: Service,
    log: EventLog,
    admin_settings: Admin,
    clock: Clock,
    metrics: Metrics,
    request_ids: Callable[[], str] = random_request_id,
    desk: OperationDesk | None = None,
    signer: Signer | None = None,
) -> Starlette:
    """The HTTP interface over a running service. Owns no task and no state but the bounds of what is under way."""
    routes = (*OPERATIONS, openapi.operation(OPERATIONS))
    rules = Rules(
        Doors(
            service=service,
            log=log,
            clock=clock,
            metrics=metrics,
            admin=admin_settings,
            desk=desk,
            manifest=ManifestDesk(lambda: service.state, signer, clock) if signer is not None else None,
        ),
        Access(admin_settings, lambda: service.state.fleet.operators.tokens, clock),
        Refusals(service, clock),
        asyncio.Semaphore(MAX_HEAVY_READS),
    )
    by_path: dict[str, list[Operation]] = defaultdict(list)
    for operation in routes:
        by_path[operation.path].append(operation)
    app = Starlette(
        routes=[Route(path, PathEndpoint(rules, of_path)) for path, of_path in by_path.items()],
        exception_handlers={HTTPException: rules.no_such_path},
    )
    app.router.redirect_slashes = False  # it would redirect to whatever the Host header says
    app.add_middleware(Edge, request_ids=request_ids)
    return app


class Rules:
    """What every request goes through, in order: access, body, parameters, then the answer."""

    def __init__(self, doors: Doors, access: Access, refusals: Refusals, heavy: asyncio.Semaphore) -> None:
        self._doors = doors
        self._access = access
        self._refusals = refusals
        self._heavy = heavy

    async def no_such_path(self, request: Request, problem: Exception) -> Response:
        """404, told only to those who may ask at all."""
        try:
            self._checked(request, "public")
        except Refusal as refusal:
            await self._told_lockout(refusal, request)
            return problem_response(refusal, request_id_of(request))
        return problem_response(
            Problem(404, "there is nothing here; GET /openapi.json lists what there is"), request_id_of(request)
        )

    async def answer(self, request: Request, operations: Iterable[Operation]) -> Response:
        """The answer to a request for a known path; problems become documents here, and nowhere else."""
        operation = _of_method(operations, request.method)
        actor = ANONYMOUS
        try:
            needs = operation.needs if operation else "public"
            caller = self._checked(request, needs)
            actor = caller.actor
            if operation is None:
                allowed = ", ".join(_methods(operations))
                raise Problem(405, f"{request.method} is not possible here; {allowed} is", headers={"Allow": allowed})
            body = b""
            if operation.body is not None:
                body = await read_body(request, operation.max_body_bytes)
                caller = self._checked(request, needs)  # a body may take its time
            ask = Ask(
                request=request,
                request_id=request_id_of(request),
                caller=caller,
                remote=remote_of(request),
                params=read_parameters(request, operation.parameters),
                body=body,
                doors=self._doors,
            )
            if operation.heavy:
                return await self._heavily(operation, ask)
            return await operation.respond(ask)
        except Exception as raised:
            problem = as_problem(raised, request)
            await self._told_lockout(problem, request)
            if operation is not None and operation.needs == "operator" and problem.status < 500:
                refused_actor = raised.actor if isinstance(raised, Refusal) else actor
                await self._refusals.record(_refused(request, operation, refused_actor), problem.detail)
            return problem_response(problem, request_id_of(request))

    def _checked(self, request: Request, needs: Role) -> Caller:
        """Who asks. Raises Refusal."""
        return self._access.check(request.headers, remote_of(request), needs, request.scope["http_version"])

    async def _told_lockout(self, problem: Problem, request: Request) -> None:
        """One wrong credential too many is an event."""
        if isinstance(problem, Refusal) and problem.lockout is not None:
            await self._refusals.locked_out(problem.lockout, request_id_of(request))

    async def _heavily(self, operation: Operation, ask: Ask) -> Response:
        """One of a few at a time, until the last byte is out."""
        if self._heavy.locked():
            raise Problem(503, f"{MAX_HEAVY_READS} large reads of the log are under way", headers={"Retry-After": "2"})
        await self._heavy.acquire()
        try:
            response = await operation.respond(ask)
        except BaseException:
            self._heavy.release()
            raise
        return Released(response, self._heavy)


class Released(Response):
    """A response that gives its place among the heavy ones back when it is out, or when its client is gone."""

    def __init__(self, response: Response, places: asyncio.Semaphore) -> None:
        self._response = response
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        finally:
            self._places.release()


class PathEndpoint:
    """One path with all its methods; an ASGI application, so that Starlette leaves the choice of method to us."""

    def __init__(self, rules: Rules, operations: list[Operation]) -> None:
        self._rules = rules
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._rules.answer(Request(scope, receive), self._operations)
        await response(scope, receive, send)


def as_problem(raised: Exception, request: Request) -> Problem:
    """What to tell of an exception. One that nobody foresaw is logged, and told without its words."""
    match raised:
        case Problem():
            return raised
        case KeyReused():
            return Problem(422, str(raised))
        case BadInput():
            return Problem(409, str(raised))
        case TryAgain():
            return Problem(503, str(raised), headers={"Retry-After": "5"})
        case GhostFleetError():
            return Problem(503, str(raised))
        case ClientDisconnect():
            return Problem(400, "the client went away before its request was complete")
    logger.error("request %s %s %s failed", request_id_of(request), request.method, request.url.path, exc_info=raised)
    return Problem(500, "this is a defect of ghost-fleet; the service's log has it under this request_id")


def remote_of(request: Request) -> str:
    """The address the connection comes from; what headers claim about it is not looked at."""
    return request.client.host if request.client is not None else ""


def _of_method(operations: Iterable[Operation], method: str) -> Operation | None:
    wanted = "GET" if method == "HEAD" else method
    return next((operation for operation in operations if operation.method == wanted), None)


def _methods(operations: Iterable[Operation]) -> list[str]:
    methods: list[str] = sorted(operation.method for operation in operations)
    return ["GET", "HEAD", *methods[1:]] if methods[0] == "GET" else methods


def _refused(request: Request, operation: Operation, actor: str) -> AdminCommand:
    return AdminCommand(
        command=operation.name,
        actor=actor,
        remote=remote_of(request),
        request_id=request_id_of(request),
        target=next(map(str, request.path_params.values()), "")[:64],
    )
