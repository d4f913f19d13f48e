"""Databases for the tests: one PostgreSQL server a session, one database a test; and a log that has lived."""

import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.store.lived_log import lived
from tests.simulation.memory_recorder import Commit


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a fresh server's database `postgres`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pgserver's own: no XDG_RUNTIME_DIR in CI
        try:
            import pgserver
        except ImportError:
            if os.environ.get("CI") == "true":
                pytest.fail("pgserver is not installed: `make setup` (a test that needs it never skips in CI)")
            pytest.skip("pgserver is not installed: make setup")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/log.db"


@pytest.fixture
async def postgres_url(postgres_server: str) -> str:
    import asyncpg

    name = f"log_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_server)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """Where there is room for a log, on each database in turn."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture(scope="module")
def commits() -> tuple[Commit, ...]:
    """What a simulated fleet has lived through."""
    return lived()
