"""Comparing what a full-text index finds with what a replay of it finds.

The rows of a full-text table are its texts, not its index: that is read
through FTS5 (https://sqlite.org/fts5.html, section 7), a word at a time.
Imports nothing of ours.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

WORDS, PARTS = "admin.index_words", ("admin.index_sizes", "admin.index_totals", "admin.index_settings")
"""Each word with where it stands; and how long the texts are, all texts together, and how FTS5 reads it."""


@contextmanager
def reading(connection: sqlite3.Connection, statements: Mapping[str, str], name: str) -> Iterator[None]:
    """Make the temporary table that shows the words of an index.

    Raises:
        sqlite3.Error: The index cannot be opened.
    """
    with _writing_beside(connection):
        connection.execute(about(statements["admin.show_index"], name))
    try:
        yield
    finally:
        with _writing_beside(connection):
            connection.execute(statements["admin.hide_index"])


@contextmanager
def _writing_beside(connection: sqlite3.Connection) -> Iterator[None]:
    """Allow temporary tables, which a connection that only asks may not make either."""
    (is_asking,) = connection.execute("PRAGMA query_only").fetchone()
    connection.execute("PRAGMA query_only = OFF")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA query_only = {is_asking}")


def about(statement: str, name: str) -> str:
    """Return a statement on an index as one on that of a name."""
    return statement.replace("an_index", name)
