"""SQLite's errors, each brought about in a database of its own: which of them are a statement's."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tract.errors import CorruptLogError, StoreFullError, StoreLockedError, StoreReadOnlyError, TractError
from tract.log.sqlite_errors import DATABASE_ERRORS, is_of_the_statement, translate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        connection.execute("CREATE TABLE words (word TEXT NOT NULL UNIQUE, size INTEGER CHECK (size > 0)) STRICT")
        connection.execute("INSERT INTO words VALUES ('there', 1)")
        yield connection


def raised(fail: Callable[[], object]) -> Exception:
    try:
        fail()
    except Exception as exc:  # noqa: BLE001 - which one it is, is what is asked
        return exc
    pytest.fail("nothing was raised")


INSERT = "INSERT INTO words VALUES (?, ?)"
OF_THE_STATEMENT: dict[str, tuple[str, tuple[object, ...]]] = {
    "not unique": (INSERT, ("there", 1)),
    "null": (INSERT, (None, 1)),
    "a check": (INSERT, ("x", 0)),
    "another type": (INSERT, ("x", "many")),
    "no such table": ("INSERT INTO nowhere VALUES (1)", ()),
    "no such column": ("SELECT nothing FROM words", ()),
    "no SQL": ("SELECT FROM", ()),
    "a parameter too few": (INSERT, ("x",)),
    "a parameter that is none": (INSERT, ("x", object())),
    "a number beyond 64 bits": (INSERT, ("x", 2**63)),
    "half a character": (INSERT, ("\ud800", 1)),
    "two statements": ("SELECT 1; SELECT 2", ()),
}


@pytest.mark.parametrize("what", OF_THE_STATEMENT)
def test_what_is_wrong_with_sql_parameters_or_tables_is_the_statements(db: sqlite3.Connection, what: str) -> None:
    assert is_of_the_statement(raised(lambda: db.execute(*OF_THE_STATEMENT[what])))


def test_a_statement_that_has_no_name_is_the_statements() -> None:
    assert is_of_the_statement(KeyError("x"))


def locked(db: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        db.execute(INSERT, ("x", 1))


def full(db: sqlite3.Connection, _: Path) -> None:
    db.execute("PRAGMA max_page_count = 1")
    db.execute(INSERT, ("x" * 100_000, 1))


def read_only(db: sqlite3.Connection, _: Path) -> None:
    db.execute("PRAGMA query_only = ON")
    db.execute(INSERT, ("x", 1))


def damaged(db: sqlite3.Connection, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)
    with closing(sqlite3.connect(path)) as again:
        again.execute("SELECT * FROM words").fetchall()


def no_text(db: sqlite3.Connection, _: Path) -> None:
    db.execute("SELECT CAST(x'ff' AS TEXT)").fetchall()


OF_THE_STORE: dict[str, tuple[Callable[[sqlite3.Connection, Path], None], type[TractError]]] = {
    "locked": (locked, StoreLockedError),
    "full": (full, StoreFullError),
    "read-only": (read_only, StoreReadOnlyError),
    "damaged": (damaged, CorruptLogError),
    "a text that is none": (no_text, CorruptLogError),
}


@pytest.mark.parametrize("what", OF_THE_STORE)
def test_the_lock_the_disk_and_the_file_are_not(db: sqlite3.Connection, path: Path, what: str) -> None:
    fail, kind = OF_THE_STORE[what]
    error = raised(lambda: fail(db, path))
    assert isinstance(error, DATABASE_ERRORS)
    assert not is_of_the_statement(error)
    assert type(translate(error, "/x.db")) is kind


def test_memory_that_ran_out_is_not() -> None:
    assert not is_of_the_statement(MemoryError())
