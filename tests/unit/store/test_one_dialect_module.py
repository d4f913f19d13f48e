"""No SQL outside one module that only one database understands: what SQLite or PostgreSQL would refuse stands in dialect.py."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DIALECT = ROOT / "ghostfleet/store/dialect.py"
OTHERS = sorted({*ROOT.glob("ghostfleet/**/*.py"), *ROOT.glob("migrations/**/*.py")} - {DIALECT})

SQLITE_ONLY = (
    *(
        "PRAGMA ",
        "sqlite_master",
        "sqlite_schema",
        "INSERT OR ",
        "UPDATE OR ",
        "REPLACE INTO",
        "AUTOINCREMENT",
        "ROWID",
    ),
    *("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "ATTACH DATABASE", "VACUUM INTO", "INDEXED BY", "EXPLAIN QUERY PLAN"),
    *("RAISE(ABORT", "json_extract(", "json_each(", "last_insert_rowid(", "unixepoch("),
)
POSTGRES_ONLY = (
    *(
        "pg_",
        "::text",
        "::bigint",
        "::jsonb",
        "jsonb_",
        "plpgsql",
        "DISTINCT ON",
        "FOR UPDATE",
        "SKIP LOCKED",
        "ILIKE ",
    ),
    *("BEFORE TRUNCATE", "TRUNCATE TABLE", "SET SCHEMA", "CREATE SCHEMA", "DISABLE TRIGGER", "ENABLE TRIGGER"),
    *("generate_series(", "current_database(", "ANY($"),
)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Line and content of every string that is no docstring; of an f-string, its pieces."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def found(source: str, words: Sequence[str]) -> list[str]:
    """Where one of them stands, in upper or lower case, at the beginning of a word."""
    any_of = re.compile("|".join(rf"(?:\b|(?=:)){re.escape(word)}" for word in words), re.IGNORECASE)
    return [f"line {line}: {text}" for line, text in texts(source) if any_of.search(text)]


@pytest.mark.parametrize("module", OTHERS, ids=lambda it: str(it.relative_to(ROOT)))
def test_no_other_module_has_sql_of_one_database(module: Path) -> None:
    assert found(module.read_text(), SQLITE_ONLY + POSTGRES_ONLY) == []


@pytest.mark.parametrize("words", [SQLITE_ONLY, POSTGRES_ONLY])
def test_that_module_has_it_for_both(words: Sequence[str]) -> None:
    assert found(DIALECT.read_text(), words)


@pytest.mark.parametrize("word", SQLITE_ONLY + POSTGRES_ONLY)
def test_each_word_is_seen_in_either_case_and_in_an_f_string(word: str) -> None:
    for sql in (f"go('x {word}y')", f"go('{word.lower()}y')", f"go(f'x {word}y {{kib}}')"):
        assert found(sql, SQLITE_ONLY + POSTGRES_ONLY), sql


@pytest.mark.parametrize("harmless", ['"""PRAGMA x in prose."""', "x = 1  # PRAGMA x", "go('INSERT INTO events')"])
def test_prose_and_sql_of_both_are_left_alone(harmless: str) -> None:
    assert found(harmless, SQLITE_ONLY + POSTGRES_ONLY) == []
