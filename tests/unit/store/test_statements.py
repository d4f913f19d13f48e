"""The statements that change the read models, as SQLite plans them."""

import sqlite3

import pytest
from sqlalchemy.schema import CreateIndex, CreateTable

from ghostfleet.store.dialect import raw_dialect, wide
from ghostfleet.store.projections import Change, Final, Mined, Reopened, Superseded
from ghostfleet.store.sqlite import ROWS_A_STATEMENT
from ghostfleet.store.statements import Statements
from ghostfleet.store.tables import transactions


@pytest.mark.parametrize("rows", ROWS_A_STATEMENT)
@pytest.mark.parametrize("kind", [Mined, Final, Reopened, Superseded])
def test_an_update_of_many_rows_finds_each_by_an_index(kind: type[Change], rows: int) -> None:
    """One that looked through all transactions would do so in every commit."""
    connection, sqlite = sqlite3.connect(":memory:"), raw_dialect("sqlite")
    connection.execute(str(CreateTable(transactions).compile(dialect=sqlite)))
    for index in transactions.indexes:
        connection.execute(str(CreateIndex(index).compile(dialect=sqlite)))
    statement, _ = Statements("sqlite").change(kind, [])
    plan = connection.execute(f"EXPLAIN QUERY PLAN {wide(statement.sql, rows)}", statement.values * rows).fetchall()
    steps = [step[3] for step in plan]
    connection.close()
    assert any(step.startswith("SEARCH transactions USING") for step in steps), steps
    assert not any(step.startswith("SCAN transactions") for step in steps), steps
