"""Is it alive, can it work, and what does it measure?"""

from starlette.responses import Response

from ghostfleet.domain.values import encode_json
from ghostfleet.http.contract import Answer, Ask, Operation
from ghostfleet.telemetry.metrics import CONTENT_TYPE


def json_response(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encode_json(value), status_code=status, media_type="application/json")


async def health(ask: Ask) -> Response:
    """Alive: the loop turns and answers. Says nothing about the chain or the disk; that is readiness."""
    return json_response({"status": "healthy", "uptime_secs": int(ask.doors.service.uptime_secs)})


async def ready(ask: Ask) -> Response:
    """Every condition with its reason; 503 while one does not hold."""
    checks = [{"name": check.name, "ok": check.ok, "reason": check.reason} for check in ask.doors.service.checks()]
    holds = all(check["ok"] for check in checks)
    return json_response({"status": "ready" if holds else "unready", "checks": checks}, 200 if holds else 503)


async def metrics(ask: Ask) -> Response:
    """Prometheus text."""
    service = ask.doors.service
    return Response(
        ask.doors.metrics.render(service.state, service.endpoints(), service.checks()),
        headers={"content-type": CONTENT_TYPE},
    )


_READINESS = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"enum": ["ready", "unready"]},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "ok", "reason"],
                "properties": {"name": {"type": "string"}, "ok": {"type": "boolean"}, "reason": {"type": "string"}},
            },
        },
    },
}

OPERATIONS = (
    Operation(
        method="GET",
        path="/health",
        name="health",
        summary="Whether the process is alive",
        needs="public",
        respond=health,
        answers={
            200: Answer(
                text="Alive.",
                schema={
                    "type": "object",
                    "required": ["status", "uptime_secs"],
                    "properties": {
                        "status": {"const": "healthy"},
                        "uptime_secs": {"type": "integer", "minimum": 0},
                    },
                },
            )
        },
    ),
    Operation(
        method="GET",
        path="/health/ready",
        name="ready",
        summary="Whether the service can work, with each check and its reason",
        needs="public",
        respond=ready,
        answers={
            200: Answer(text="All checks hold.", schema=_READINESS),
            503: Answer(text="At least one check does not hold.", schema=_READINESS),
        },
    ),
    Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Metrics for Prometheus",
        needs="viewer",
        respond=metrics,
        answers={200: Answer(text="Prometheus text format.", media_type="text/plain", schema={"type": "string"})},
    ),
)
