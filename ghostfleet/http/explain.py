"""Why does this wallet act or not act now? Said by the service that runs, which knows its log, its endpoints and its settings."""

from starlette.responses import Response

from ghostfleet.engine.ports import Service
from ghostfleet.http.contract import Answer, Ask, Operation, wallet_parameter
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import Problem
from ghostfleet.operations.asking import recent_events, wallet_named
from ghostfleet.operations.explain import Circumstances, EndpointStanding, Explanation, UnknownSubject, explain
from ghostfleet.telemetry.moments import iso

TOLD_OTHERWISE = frozenset({"endpoints", "keys"})
"""Conditions of readiness that an explanation has its own words for."""


async def explained(ask: Ask) -> Response:
    """Every reason that holds, the most decisive first."""
    service = ask.doors.service
    name = wallet_named(service.state, ask.params["wallet"])
    try:
        found = explain(
            service.state,
            name,
            circumstances_of(service, name, ask.doors.clock.now_us()),
            rules=service.rules,
            profiles=service.profiles,
            recent=await recent_events(ask.doors.log, name),
        )
    except UnknownSubject as unknown:
        raise Problem(404, str(unknown)) from None
    return json_response(explanation_json(found))


def circumstances_of(service: Service, wallet: str, now_us: int) -> Circumstances:
    """How the running service is, for this wallet."""
    checks = [check for check in service.checks() if not check.ok and check.name not in TOLD_OTHERWISE]
    return Circumstances(
        now_us=now_us,
        dry_run=service.dry_run,
        withheld=service.withheld(wallet),
        troubles=tuple(f"{check.name}: {check.reason}" for check in checks),
        endpoints=tuple(
            EndpointStanding(name=it.name, healthy=it.healthy, reason=it.reason) for it in service.endpoints()
        ),
    )


def explanation_json(found: Explanation) -> dict[str, object]:
    """As tools read it."""
    return {
        "wallet": found.wallet,
        "acts": found.acts,
        "reasons": [
            {
                "code": reason.code,
                "keeps": reason.keeps,
                "sentence": reason.sentence,
                "remedy": reason.remedy,
                "until": None if reason.until_us is None else iso(reason.until_us),
            }
            for reason in found.reasons
        ],
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/admin/explain/{wallet}",
        name="explain",
        summary="Why a wallet acts or does not act now, in sentences, with what to do",
        needs="viewer",
        respond=explained,
        answers={
            200: Answer(
                text="Every reason that holds, the most decisive first.",
                schema={
                    "type": "object",
                    "required": ["wallet", "acts", "reasons"],
                    "properties": {
                        "wallet": {"type": "string"},
                        "acts": {"type": "boolean"},
                        "reasons": {
                            "type": "array",
                            "items": {"type": "object", "required": ["code", "keeps", "sentence", "remedy", "until"]},
                        },
                    },
                },
            )
        },
        problems=(404, 503),
        parameters=(wallet_parameter("path"),),
    ),
)
