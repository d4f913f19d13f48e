"""What /openapi.json says is what the service does: asked by schemathesis, all checks, the same questions every time."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

import pytest
from fleet_over_http import OPERATOR, TOKENS, Running, admin_settings, registered, running
from interrogation import interrogate
from openapi_spec_validator import validate
from schemathesis import GenerationMode

from ghostfleet.http.app import OPERATIONS
from ghostfleet.http.openapi import document, operation

DOCS = Path(__file__).parents[3] / "docs" / "http.md"


def test_the_document_is_valid() -> None:
    validate(document((*OPERATIONS, operation(OPERATIONS))))


def test_every_route_is_in_the_documentation_and_nothing_else() -> None:
    routes = {f"{it.method} {it.path}" for it in (*OPERATIONS, operation(OPERATIONS))}
    documented = {
        line.split("`")[1] for line in DOCS.read_text().splitlines() if line.startswith(("### `GET", "### `POST"))
    }
    assert documented == routes


def test_every_parameter_is_documented_at_its_route() -> None:
    sections = {part.split("`")[0]: part for part in DOCS.read_text().split("### `")[1:]}
    for each in OPERATIONS:
        section = sections[f"{each.method} {each.path}"]
        for parameter in each.parameters:
            assert f"`{parameter.name}`" in section or f"{{{parameter.name}}}" in section, (each.path, parameter.name)


def test_every_route_says_who_may_ask() -> None:
    sections = {part.split("`")[0]: part for part in DOCS.read_text().split("### `")[1:]}
    for each in (*OPERATIONS, operation(OPERATIONS)):
        assert f"Needs: {each.needs}. " in sections[f"{each.method} {each.path}"], each.path


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("token", [None, OPERATOR])
async def test_no_question_gets_an_answer_that_is_not_described(
    log: Any, mode: GenerationMode, token: str | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with running(log, admin_settings(tokens=TOKENS if token else ())) as fleet:
            await fleet.service.append(registered("wallet-001", 1), registered("a", 2))
            answers = await asyncio.to_thread(interrogate, fleet.server.url, token, mode)
            assert answers > 60
            assert (await fleet.get("/health"))[0] == 200


async def test_the_document_is_what_is_served(fleet: Running) -> None:
    served = (await fleet.get("/openapi.json"))[1]
    assert served["openapi"] == "3.1.0"
    assert set(served["paths"]) == {it.path for it in OPERATIONS} | {"/openapi.json"}
