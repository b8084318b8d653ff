"""SQL as named package data."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tract.log.packing import add_functions
from tract.log.sqlite_files import LOG_TABLES
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL

STATEMENTS = load(*SQL)
TABLES = [name for name in LOG_TABLES if "TRIGGER" not in STATEMENTS[name]]
"""The guards of the log would refuse what is only explained."""
SCANS = {
    "commits.any_merge",  # an index of merges alone
    "refs.gained",  # what it has found
}
WRITERS = {"log.take_blobs_back", "log.insert_blob", "log.restore_blob"}
LAZY = {"contexts.texts"}
"""What is unpacked when somebody looks at it."""


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        for name in TABLES:
            connection.execute(STATEMENTS[name])
        connection.execute("CREATE TABLE blobs_aside AS SELECT * FROM blobs")
        connection.execute("CREATE TABLE left_over (its_key INTEGER PRIMARY KEY, id INTEGER UNIQUE)")
        for projection in (*INLINE, *FOLLOWING):
            for name in projection.create:
                connection.execute(STATEMENTS[name])
        yield connection


def test_every_statement_has_a_name_with_its_topic() -> None:
    assert {name.partition(".")[0] for name in STATEMENTS} == {
        "contexts",
        "log",
        "scratch",
        *(projection.name for projection in (*INLINE, *FOLLOWING)),
    }


def test_no_statement_holds_more_than_one() -> None:
    for name, sql in STATEMENTS.items():
        if "TRIGGER" not in sql:
            code = re.sub(r"--.*", "", sql).strip().removesuffix(";")
            assert sqlite3.complete_statement(code + ";"), name
            assert ";" not in code, name


def explained(database: sqlite3.Connection, how: str) -> Iterator[tuple[str, list[tuple[int | str, ...]]]]:
    """Each statement that works on tables, with what SQLite says of it."""
    for name, sql in STATEMENTS.items():
        if not sql.startswith(("CREATE", "DROP", "ALTER")) and " CREATE " not in sql:
            count = max((number for number in range(1, 20) if f"?{number}" in sql), default=sql.count("?"))
            yield name, database.execute(f"{how} {sql}", [None] * count).fetchall()


def test_every_statement_is_valid_against_the_schema(database: sqlite3.Connection) -> None:
    assert len(list(explained(database, "EXPLAIN"))) > 30


def test_no_statement_looks_through_a_whole_table_that_grows(database: sqlite3.Connection) -> None:
    for name, plan in explained(database, "EXPLAIN QUERY PLAN"):
        scans = [detail for *_, detail in plan if re.match(r"SCAN (events|blobs|commits|[bcdefmnp])\b", str(detail))]
        # `.rows` is there to read a whole table, in the order of its key.
        assert not scans or name in SCANS or name.endswith(".rows"), (name, scans)


def test_commits_are_found_by_their_config_in_the_order_of_an_index(database: sqlite3.Connection) -> None:
    for name, plan in explained(database, "EXPLAIN QUERY PLAN"):
        if name.startswith("configs.") and not name.endswith("_rows"):
            assert [detail for *_, detail in plan if re.match(r"SCAN [csuv]\b|USE TEMP B-TREE", str(detail))] == [], name


def test_the_commits_of_a_branch_are_looked_at_without_those_beside_it(database: sqlite3.Connection) -> None:
    plans = {name: [str(detail) for *_, detail in plan] for name, plan in explained(database, "EXPLAIN QUERY PLAN")}
    for name in ("configs.newest_in_run", "configs.oldest_in_run"):
        commits, configs = plans[name]
        assert commits == "SEARCH c USING INDEX commits_by_run (run=? AND number>? AND number<?)", name
        assert re.fullmatch(r"SEARCH s USING (COVERING )?INDEX \w+ \(family=\? AND blob=\?.*\)", configs), name
    assert any(detail.endswith("(family=? AND path=? AND config=?)") for detail in plans["configs.values"])


def test_whatever_reads_the_bytes_of_a_blob_unpacks_them() -> None:
    for name, sql in STATEMENTS.items():
        if "blobs" in sql and not sql.startswith("CREATE") and name not in WRITERS | LAZY:
            assert not re.search(r"\bdata\b", re.sub(r"\be\.data\b|\bunpack(?:_sound)?\((\w\.)?data\)", "", sql)), name


@pytest.mark.parametrize("projection", [*INLINE, *FOLLOWING], ids=lambda projection: projection.name)
def test_a_projection_drops_every_table_that_it_makes(database: sqlite3.Connection, projection: object) -> None:
    before = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (found,) = [each for each in (*INLINE, *FOLLOWING) if each is projection]
    for name in found.drop:
        database.execute(STATEMENTS[name])
    for name in found.create:
        database.execute(STATEMENTS[name])
    assert database.execute("SELECT count(*) FROM sqlite_schema").fetchone() == before


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two SQL statements are called "):
        load(SQL[0], SQL[0])


def test_every_statement_is_used() -> None:
    package = Path(__file__).parents[2] / "tract"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert [name for name in STATEMENTS if f'"{name}"' not in text] == []
