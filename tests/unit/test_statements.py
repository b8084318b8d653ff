"""SQL as named package data."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tract.log.statements import load
from tract.projections import INLINE, SQL

STATEMENTS = load(*SQL)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for name in ("log.create_events", "log.create_blobs", "scratch.create_partials", "scratch.create_leases"):
            connection.execute(STATEMENTS[name])
        for projection in INLINE:
            for name in projection.create:
                connection.execute(STATEMENTS[name])
        yield connection


def test_every_statement_has_a_name_with_its_topic() -> None:
    assert {name.partition(".")[0] for name in STATEMENTS} == {"log", "scratch", *(projection.name for projection in INLINE)}


def test_no_statement_holds_more_than_one() -> None:
    for name, sql in STATEMENTS.items():
        if "TRIGGER" not in sql:
            code = re.sub(r"--.*", "", sql).strip().removesuffix(";")
            assert sqlite3.complete_statement(code + ";"), name
            assert ";" not in code, name


def test_every_statement_is_valid_against_the_schema(database: sqlite3.Connection) -> None:
    for sql in STATEMENTS.values():
        if not sql.startswith(("CREATE", "DROP")) and " CREATE " not in sql:
            count = max((number for number in range(1, 12) if f"?{number}" in sql), default=sql.count("?"))
            database.execute(f"EXPLAIN {sql}", [None] * count)


@pytest.mark.parametrize("projection", INLINE, ids=lambda projection: projection.name)
def test_a_projection_drops_every_table_that_it_makes(database: sqlite3.Connection, projection: object) -> None:
    before = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (found,) = [each for each in INLINE if each is projection]
    for name in found.drop:
        database.execute(STATEMENTS[name])
    for name in found.create:
        database.execute(STATEMENTS[name])
    assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == before


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two SQL statements are called log\."):
        load(SQL[0], SQL[0])


def test_every_statement_is_used() -> None:
    package = Path(__file__).parents[2] / "tract"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert [name for name in STATEMENTS if f'"{name}"' not in text] == []
