"""The OpenAPI 3.1 document, made of the route table: what it says is what the code does, and schemathesis tests that."""

from collections.abc import Sequence

from starlette.responses import Response

import ghostfleet
from ghostfleet.domain.values import JsonObject
from ghostfleet.engine.commands import KEY_PATTERN
from ghostfleet.http.commands import KEY_HEADER
from ghostfleet.http.contract import Answer, Ask, Operation
from ghostfleet.http.health import json_response
from ghostfleet.http.problems import PROBLEM_JSON

PROBLEMS = {
    400: "The request is malformed, or has an unknown, repeated or wrong parameter.",
    401: "A credential is needed, or the one given is not known.",
    403: "The role does not suffice, the Host is not ours, or a web page of another site asks.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It cannot be done as things are.",
    413: "The body is too large.",
    422: "The body is JSON, but not of the form described; or the Idempotency-Key came with another command before.",
    429: "Too many wrong credentials came from there: none is looked at for Retry-After seconds.",
    503: "The log cannot be written or read at present, or too many large reads are under way.",
}
EVERYWHERE = (400, 401, 403, 429)

_PROBLEM_SCHEMA: JsonObject = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}

_KEY_PARAMETER: JsonObject = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "A name for this very command: the same one again has no further effect, and gets the same answer.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}


def operation(operations: Sequence[Operation]) -> Operation:
    """The route that publishes the document for these and itself."""

    async def respond(ask: Ask) -> Response:
        return json_response(published)

    own = Operation(
        method="GET",
        path="/openapi.json",
        name="openapi",
        summary="This document",
        needs="public",
        respond=respond,
        answers={200: Answer(text="OpenAPI 3.1.", schema={"type": "object", "required": ["openapi", "paths"]})},
    )
    published = document((*operations, own))
    return own


def document(operations: Sequence[Operation]) -> JsonObject:
    """The whole document."""
    paths: dict[str, JsonObject] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ghost Fleet",
            "version": ghostfleet.__version__,
            "description": "Health, metrics, commands and audit of a fleet of wallets. See docs/http.md.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM_SCHEMA},
            "responses": {
                str(status): {
                    "description": text,
                    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }
                for status, text in PROBLEMS.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(each: Operation) -> JsonObject:
    described: JsonObject = {
        "operationId": each.name,
        "summary": each.summary,
        "description": f"Needs: {each.needs}.",
        "responses": {str(status): _answer(answer) for status, answer in each.answers.items()},
    }
    for status in (*EVERYWHERE, *each.problems, *((503,) if each.heavy else ())):
        if status not in each.answers:
            described["responses"][str(status)] = {"$ref": f"#/components/responses/{status}"}
    if each.needs != "public":
        described["security"] = [{"token": []}, {}]
    parameters = [
        {
            "name": parameter.name,
            "in": parameter.where,
            "required": parameter.where == "path",
            "description": parameter.text,
            "schema": parameter.schema,
        }
        for parameter in each.parameters
    ]
    if each.method == "POST":
        parameters.append(_KEY_PARAMETER)
    if parameters:
        described["parameters"] = parameters
    if each.body is not None:
        required = bool(each.body.get("required") or each.body.get("oneOf"))
        described["requestBody"] = {"required": required, "content": {"application/json": {"schema": each.body}}}
    return described


def _answer(answer: Answer) -> JsonObject:
    return {"description": answer.text, "content": {answer.media_type: {"schema": answer.schema}}}
