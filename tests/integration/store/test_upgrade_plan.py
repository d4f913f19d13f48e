"""`db upgrade --plan` tells what a start would do, and does nothing; migrations keep the rules that a rollback needs."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from log_stage import T0_US, a_day
from sqlalchemy import create_engine

from ghostfleet.store.dialect import APPEND_ONLY
from ghostfleet.store.log import open_log
from ghostfleet.store.plan import ADDS, _statements, least_level, plan_of
from ghostfleet.store.schema import REVISION, alembic_config

SCRIPTS = [*ScriptDirectory.from_config(alembic_config()).walk_revisions()]


async def log_of_release_0_1_0(path: Path) -> None:
    """A log as that release has left it: its one migration, its level, its events."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    newer = path.with_name("newer.db")
    log = await open_log(f"sqlite:///{newer}")
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("ATTACH ? AS newer", [str(newer)])
        for table in ("events", "log_head", "wallets", "transactions"):
            if table == "log_head":
                database.execute("DELETE FROM log_head")
            database.execute(f"INSERT INTO {table} SELECT * FROM newer.{table}")
        database.execute("INSERT INTO log_meta VALUES ('release', '0.1.0')")
        database.commit()


async def test_a_log_of_release_0_1_0_gets_its_new_tables_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await log_of_release_0_1_0(path)
    url = f"sqlite:///{path}"
    reader = await open_log(url, read_only=True)  # not upgraded yet
    assert (await reader.verify()).ok
    assert reader.anchor.position == 0
    await reader.close()
    before = path.read_bytes(), sorted(it.name for it in tmp_path.iterdir())

    plan = await plan_of(url)
    assert (plan.current, plan.target, [step.revision for step in plan.steps]) == ("0001", REVISION, ["0002"])
    assert all(step.only_adds and step.least_level == 1 for step in plan.steps)
    assert re.match(r"CREATE TABLE archives \(", plan.steps[0].statements[0])
    assert (path.read_bytes(), sorted(it.name for it in tmp_path.iterdir())) == before, "a plan changes nothing"

    log = await open_log(url)
    assert (await log.verify()).ok
    assert (await log.schema())["min_level"] == "1"
    await log.close()
    assert (await plan_of(url)).steps == ()


async def test_the_plan_beside_a_running_service_and_of_a_newer_release(sqlite_url: str) -> None:
    log = await open_log(sqlite_url)
    assert (await plan_of(sqlite_url)).steps == ()
    await log.close()
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE alembic_version SET version_num = '0099'")
        database.commit()
    plan = await plan_of(sqlite_url)
    assert (plan.current, plan.target, plan.steps) == ("0099", "0099", ())


async def test_the_plan_of_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    plan = await plan_of(f"sqlite:///{tmp_path}/none.db")
    assert (plan.current, [step.revision for step in plan.steps]) == ("", ["0001", REVISION])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgres
async def test_the_plan_is_what_postgresql_carries_out(postgres_url: str) -> None:
    before = await plan_of(postgres_url)
    assert before.current == ""
    assert any("CREATE FUNCTION events_keep()" in it for it in before.steps[0].statements)
    log = await open_log(postgres_url)
    await log.close()
    assert (await plan_of(postgres_url)).steps == ()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda it: it.revision)
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_migrations_only_add_and_none_ends_the_way_back(script: object, dialect: str) -> None:
    """Promise P7: what `db archive` raises, no migration does."""
    statements = _statements(script.module.upgrade, dialect)  # type: ignore[attr-defined]
    assert statements
    assert [it for it in statements if not ADDS.match(it)] == []
    assert least_level(script.module) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE events",
        "ALTER TABLE events DROP COLUMN hash",
        "UPDATE log_meta SET value = '2'",
        "DELETE FROM events",
    ],
)
def test_a_statement_that_changes_what_is_there_is_no_addition(sql: str) -> None:
    assert not ADDS.match(sql)
    assert all(ADDS.match(it) for it in APPEND_ONLY["sqlite"])
