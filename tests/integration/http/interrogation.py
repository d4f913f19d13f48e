"""Every operation of /openapi.json asked by schemathesis, every answer checked: the same questions every time."""

import gc
from collections.abc import Collection
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from ghostfleet.http.commands import KEY_HEADER

EXAMPLES = 25


def interrogate(
    url: str, token: str | None, mode: GenerationMode, examples: int = EXAMPLES, *, but: Collection[str] = ()
) -> int:
    """Ask every operation (`but` these paths) in this mode, check every answer; the number of answers."""
    gc.collect()  # garbage that logs a traceback in the middle of schemathesis' late imports breaks CPython 3.11.7's parser
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    answers = 0
    for result in schema.get_all_operations():
        described = result.ok()
        if described.path in but:
            continue

        @settings(
            max_examples=examples, derandomize=True, database=None, deadline=None,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=described.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            nonlocal answers
            if mode is GenerationMode.POSITIVE and KEY_HEADER in (case.headers or {}):
                case.headers[KEY_HEADER] = f"case-{answers}"  # a key with two commands is refused, rightly
            response = case.call(headers=headers, base_url=url)
            assert response.status_code < 500
            case.validate_response(response, headers=headers)
            answers += 1

        try:
            check()
        except Exception as problem:
            if type(problem).__name__ != "Unsatisfiable":  # an operation that takes nothing cannot be asked wrongly
                raise
    return answers
