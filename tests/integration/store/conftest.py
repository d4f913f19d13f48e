"""A database of each kind for the tests of the store, and a log that has lived."""

from pathlib import Path

import pytest

from tests.integration.store.lived_log import lived
from tests.simulation.memory_recorder import Commit


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/log.db"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """Where there is room for a log, on each database in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(scope="module")
def commits() -> tuple[Commit, ...]:
    """What a simulated fleet has lived through."""
    return lived()
