"""The service on PostgreSQL, set up as docs/deploy.md says: killed, started again, paused, backed up, and alone on its log."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from ghostfleet.domain import events as ev
from tests.acceptance.agreement import assert_agreement
from tests.acceptance.service_process import Fleet

PASSWORD = "correct horse"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
SECTION = DOCUMENT.split("\n## PostgreSQL\n")[1].split("\n## ")[0]
pytestmark = [
    pytest.mark.anvil,
    pytest.mark.postgres,
    pytest.mark.parametrize("anvil", [0.5], indirect=True),
]


@pytest.fixture
async def store_url(postgres_server: str, tmp_path: Path) -> AsyncIterator[str]:
    """A role and a database made by the document's own statements, on a server that asks this role for its password; the
    settings' URL is without it."""
    (sql,) = re.findall(r"```sql\n(.*?)```", SECTION, flags=re.DOTALL)
    (line,) = re.findall(r"^([\w.*]+:[\w.*]+:\w+:\w+:)PASSWORD$", SECTION, flags=re.MULTILINE)
    server = await asyncpg.connect(postgres_server)
    asks = Path(await server.fetchval("SHOW hba_file"))
    before = asks.read_text()
    try:
        for statement in filter(None, map(str.strip, sql.replace("PASSWORD '…'", f"PASSWORD '{PASSWORD}'").split(";"))):
            await server.execute(statement)
        asks.write_text(f"local all ghost_fleet scram-sha-256\n{before}")
        await server.execute("SELECT pg_reload_conf()")
        passfile = tmp_path / "pgpass"
        passfile.write_text(re.sub(r"^[\w.*]+", "*", line) + PASSWORD + "\n")
        passfile.chmod(0o600)
        directory = postgres_server.partition("host=")[2]
        yield f"postgresql://ghost_fleet@/ghost_fleet?passfile={passfile}&host={directory}"
    finally:
        asks.write_text(before)
        await server.execute("SELECT pg_reload_conf()")
        await server.execute("DROP DATABASE IF EXISTS ghost_fleet WITH (FORCE)")
        await server.execute("DROP ROLE IF EXISTS ghost_fleet")
        await server.close()


@pytest.fixture
def on_postgresql(fleet: Fleet, store_url: str) -> Fleet:
    fleet.settings["store.url"] = store_url
    return fleet


@pytest.mark.long
async def test_killed_and_started_again_it_carries_on_and_a_pause_stays(on_postgresql: Fleet, tmp_path: Path) -> None:
    fleet = on_postgresql
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.kill()
    assert (await fleet.command("audit", "verify")).code == 0
    async with fleet.service() as service:
        await service.ready()
        await fleet.acted(1)
        await service.post("/admin/pause", reason="stays")
        await service.kill()
    decided = len(await fleet.recorded(ev.ActionDecided))
    async with fleet.service() as service:
        await service.ready()
        pause = (await service.get("/admin/status"))["pause"]
        assert pause["reason"] == "stays"
        async with fleet.service() as second:
            assert await second.ended() == 3
            assert re.search(rf"is written by backend \d+ of ghost-fleet process {service.pid} on ", second.output)
        assert len(await fleet.recorded(ev.ActionDecided)) == decided
        await service.post("/admin/resume")
        await fleet.acted(1)
        await service.settled()
        backup = tmp_path / "ghost-fleet.db.gz"
        made = await fleet.command("db", "backup", str(backup), "--json")
        assert made.code == 0, made.err
        assert PASSWORD not in service.output
        assert await service.terminate() == 0
    assert not fleet.database.exists()
    await assert_agreement(fleet)
    position = made.lines[0]["position"]
    assert position <= await fleet.head()
    restored = await fleet.command("db", "restore", str(backup), "--force", "--json")
    assert restored.code == 0, restored.err
    assert (restored.lines[0]["position"], restored.lines[0]["aside"].partition("_")[0]) == (
        position,
        "schema replaced",
    )
    await assert_agreement(fleet)
    starts = await fleet.recorded(ev.ServiceStarted)
    assert len(starts) == 3
