"""What more than one folder of tests needs: real development chains, one a test; one PostgreSQL server a session, one database a
test; a second chance for tests in real time."""

import os
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ghostfleet.cli import client
from ghostfleet.devnet.client import DevnetClient, connected
from ghostfleet.devnet.launch import find_anvil, running_anvil
from ghostfleet.devnet.process import Devnet
from tests.findings import Finding

DEFAULT_PORT = 8080
DETERMINISTIC = ("unit", "simulation", "docs", "deploy")
"""Folders whose tests know no real time, unless they ask for anvil: what fails once there has failed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of real processes may be unlucky on a busy machine: a second chance, which the summary names (RERUN).

    Nobody is unlucky with a promise: what shows one broken raises Finding, and is not run again.
    """
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder not in DETERMINISTIC or item.get_closest_marker("anvil"):
            item.add_marker(pytest.mark.flaky(reruns=1, rerun_except=Finding))


def block_time_of(request: pytest.FixtureRequest) -> float:
    """Seconds between blocks: 0 mines at once. `@pytest.mark.parametrize("anvil", [1.0], indirect=True)` sets another."""
    return float(getattr(request, "param", 0.0))


@pytest.fixture(autouse=True)
def nobody_elses_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command in this process reaches a service that happens to run on this machine, where the settings of a test name no
    port: one has stopped a demo that ran beside it."""
    ask = client.ask

    async def asked(method: str, url: str, *args: Any, **options: Any) -> Any:
        if urlsplit(url).port == DEFAULT_PORT:
            pytest.fail(f"{method} {url} is whatever runs on this machine: name another health_port")
        return await ask(method, url, *args, **options)

    monkeypatch.setattr(client, "ask", asked)


@pytest.fixture(autouse=True)
def anvil_at_hand(request: pytest.FixtureRequest) -> None:
    """Without one, a test that asks for it (by the fixture or by the mark) is skipped at a developer's and fails in CI."""
    asked_for = "anvil" in request.fixturenames or request.node.get_closest_marker("anvil") is not None
    if not asked_for or find_anvil() is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("anvil is not installed: run `npm install` (a test that needs it never skips in CI)")
    pytest.skip("anvil is not installed")


@pytest.fixture
async def anvil(request: pytest.FixtureRequest) -> AsyncIterator[Devnet]:
    """A fresh anvil, in 40 ms."""
    async with running_anvil(block_time_secs=block_time_of(request)) as devnet:
        yield devnet


@pytest.fixture
async def chain(anvil: Devnet) -> AsyncIterator[DevnetClient]:
    """The test's own anvil, spoken to directly."""
    async with connected(anvil.url) as client:
        yield client


@pytest.fixture
async def embedded(request: pytest.FixtureRequest) -> AsyncIterator[Devnet]:
    """A fresh embedded chain, served from the test's own process: no import of py-evm a test."""
    from ghostfleet.devnet.embedded import serving  # py-evm takes a second to import: only who needs it pays

    async with serving(block_time_secs=block_time_of(request)) as url:
        yield Devnet(url, "embedded", None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URI of a fresh server's database `postgres`. In a directory of its own: pytest's is made private by every other pytest that
    starts, and a server that root has started under another user's name loses its files by that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pgserver's own: no XDG_RUNTIME_DIR in CI
        try:
            import pgserver
        except ImportError:
            if os.environ.get("CI") == "true":
                pytest.fail("pgserver is not installed: `make setup` (a test that needs it never skips in CI)")
            pytest.skip("pgserver is not installed: make setup")
        with tempfile.TemporaryDirectory(prefix="ghost-fleet-pg-") as directory:
            server = pgserver.get_server(directory, cleanup_mode="stop")
            yield server.get_uri()
            server.cleanup()


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
