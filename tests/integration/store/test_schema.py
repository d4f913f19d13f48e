"""Old data, newer data, data of nobody: what a release starts on and what it refuses."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from log_stage import T0_US, a_day, note
from sqlalchemy import create_engine

import ghostfleet
from ghostfleet.store.errors import LogCorrupt, SchemaTooNew
from ghostfleet.store.log import open_log
from ghostfleet.store.schema import LEVEL, REVISION, alembic_config, migrations_folder
from ghostfleet.store.tables import metadata


def change(path: Path, *sqls: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for sql in sqls:
            database.execute(sql)
        database.commit()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    log = await open_log(f"sqlite:///{path}")
    await log.append(a_day(), time_us=T0_US)
    await log.close()
    return path


def test_the_release_knows_its_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [REVISION]
    assert (migrations_folder() / "env.py").is_file()


def test_migrations_make_the_tables_that_the_code_uses(path: Path) -> None:
    from alembic.autogenerate import compare_metadata

    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert [it for it in differences if it[0] != "remove_table"] == []


async def test_the_log_says_its_schema_and_who_wrote_it(path: Path) -> None:
    log = await open_log(f"sqlite:///{path}", read_only=True)
    said = await log.schema()
    await log.close()
    assert said == {"revision": REVISION, "level": str(LEVEL), "min_level": "1", "release": ghostfleet.__version__}


async def test_a_newer_schema_is_used_while_it_needs_no_newer_release(path: Path) -> None:
    change(
        path,
        "UPDATE alembic_version SET version_num = '0099'",
        "ALTER TABLE events ADD COLUMN colour TEXT",
        "ALTER TABLE transactions ADD COLUMN colour TEXT DEFAULT 'red'",
        "CREATE TABLE shoes (size INTEGER)",
        "UPDATE log_meta SET value = '7' WHERE key = 'level'",
        "UPDATE log_meta SET value = '0.7.0' WHERE key = 'release'",
    )
    for read_only in (True, False):
        log = await open_log(f"sqlite:///{path}", read_only=read_only)
        assert (await log.verify()).ok
        if not read_only:
            await log.append([note("by the old release")], time_us=T0_US)
            assert (await log.verify()).ok
        await log.close()
    with closing(sqlite3.connect(path)) as database:
        assert dict(database.execute("SELECT key, value FROM log_meta").fetchall())["release"] == "0.7.0"


async def test_data_that_needs_a_newer_release_is_refused_with_its_name(path: Path) -> None:
    change(
        path,
        f"UPDATE log_meta SET value = '{LEVEL + 1}' WHERE key IN ('min_level', 'level')",
        "UPDATE log_meta SET value = '0.4.0' WHERE key = 'release'",
        "UPDATE alembic_version SET version_num = '0099'",
    )
    for read_only in (True, False):
        with pytest.raises(SchemaTooNew, match=rf"level {LEVEL + 1}.*start release 0\.4\.0 or newer"):
            await open_log(f"sqlite:///{path}", read_only=read_only)


async def test_a_migration_that_is_cut_off_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ghostfleet.store import schema

    fresh = path.with_name("fresh.db")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "check_level", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await open_log(f"sqlite:///{fresh}")
    with closing(sqlite3.connect(fresh)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    log = await open_log(f"sqlite:///{fresh}")
    await log.close()


async def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("these are not the pages you are looking for, " * 100)
    with pytest.raises(LogCorrupt):
        await open_log(f"sqlite:///{tmp_path}/text.db")
    change(tmp_path / "other.db", "CREATE TABLE shoes (size INTEGER)")
    with pytest.raises(LogCorrupt, match="holds no event log"):
        await open_log(f"sqlite:///{tmp_path}/other.db", read_only=True)
