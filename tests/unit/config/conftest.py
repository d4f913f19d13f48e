"""Fixtures over the operator's file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from operator_file import OperatorFile

from ghostfleet.config.problems import Problem


@pytest.fixture
def operator(tmp_path: Path) -> OperatorFile:
    return OperatorFile(tmp_path)


@pytest.fixture
def only_problem(operator: OperatorFile) -> Callable[..., Problem]:
    """The one problem that the file has after these replacements."""

    def find(*replacements: tuple[str, str]) -> Problem:
        problems = operator.problems(*replacements)
        assert len(problems) == 1, [str(found) for found in problems]
        return problems[0]

    return find
