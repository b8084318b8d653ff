"""Replaying a log into a scratch database, and comparing that with what the store has.

Imports `log`, `projections` and the other modules of `admin`.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from tract.admin.findings import Findings
from tract.admin.snapshots import Snapshot, text_as_stored
from tract.domain.events import Event
from tract.domain.ids import CommitId
from tract.log.batch import BatchRunner
from tract.log.protocol import Row
from tract.projections import INLINE


class Replay:
    """Every projection once more, in a temporary database that spills to disk and leaves nothing.

    The statements are those of the store. What a projection makes is looked
    for here first and in the store only where it is not here, as the blobs are
    not, which SQLite does by itself for a database that is attached.

    Args:
        connection: Of the scratch database, to which the store is attached.
        snapshot: Of the store.
    """

    def __init__(self, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
        self._connection = connection
        self._statements = snapshot.statements
        self._runner = BatchRunner(snapshot.path, snapshot.statements, INLINE, lambda: 0)
        self._cursor = connection.cursor()
        for projection in INLINE:
            for name in projection.create:
                connection.execute(self._statements[name])

    def fold(self, event: Event) -> None:
        """Apply an event, the next one in the order of the log.

        Raises:
            sqlite3.Error: It cannot have been appended after those before it.
        """
        self._runner.fold(self._cursor, event, {})

    def has_commit(self, id: CommitId) -> bool:
        """Say whether a commit was recorded by what is applied so far."""
        return bool(self.rows("commits.by_id", bytes.fromhex(id)).fetchall())

    def things(self) -> dict[tuple[str, str], str]:
        """Return how every table and index that projections have is declared, by type and name."""
        return declarations(self.rows("admin.things"))

    def rows(self, name: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a named statement on the scratch database."""
        return self._connection.execute(self._statements[name], parameters)


def declarations(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Return what rows of `admin.things` say, but for white space, by type and name."""
    return {(kind, name): " ".join(str(sql).split()) for kind, name, sql in rows}


@contextmanager
def replay_beside(snapshot: Snapshot) -> Iterator[Replay]:
    """Make an empty replay, and remove it afterwards."""
    connection = sqlite3.connect("", uri=True, isolation_level=None)
    try:
        connection.set_progress_handler(snapshot.stop.is_set, 100_000)
        connection.text_factory = text_as_stored
        connection.execute(snapshot.statements["admin.scratch_journal"]).fetchall()
        connection.execute(snapshot.statements["admin.attach"], (snapshot.uri,))
        connection.execute("BEGIN")
        yield Replay(connection, snapshot)
    finally:
        connection.close()


def compare(snapshot: Snapshot, replay: Replay, tables: set[str], findings: Findings) -> int:
    """Add the first row of each table that differs from the replay; return how many rows were compared.

    Args:
        snapshot: The store.
        replay: Of its whole log.
        tables: Those that the store has; others cannot be compared.
        findings: Is added to.
    """
    compared = 0
    for projection in INLINE:
        for table, statement in projection.tables:
            if table in tables:
                compared += _compare_table(snapshot(statement), replay.rows(statement), table, findings)
    return compared


def _compare_table(ours: sqlite3.Cursor, theirs: sqlite3.Cursor, table: str, findings: Findings) -> int:
    difference, counts = "", [0, 0]
    where = ""
    names = [column[0] for column in theirs.description]
    for place, (mine, right) in enumerate(zip_longest(ours, theirs), 1):
        counts[0] += mine is not None
        counts[1] += right is not None
        if mine != right and not difference:
            where, difference = f"table {table}, row {place}", _difference(names, mine, right)
    if difference:
        there, made = counts
        total = "" if there == made else f"; the table has {there:,} rows, a replay makes {made:,}"
        findings.add("projection", where, difference + total)
    return counts[0]


def _difference(names: list[str], mine: tuple[Any, ...] | None, right: tuple[Any, ...] | None) -> str:
    if mine is None or right is None:
        return "it is missing" if mine is None else "no event makes it"
    differing = [name for name, one, other in zip(names, mine, right, strict=False) if one != other]
    return f"a replay makes another {', '.join(differing)}" if differing else "it has other columns"
