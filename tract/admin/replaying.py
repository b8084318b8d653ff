"""Replaying a log into a scratch database, and comparing that with what the store has.

Imports `log`, `projections` and the other modules of `admin`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from tract.admin.findings import Findings
from tract.admin.snapshots import Slices, Snapshot, text_as_stored, was_interrupted
from tract.domain.events import Event
from tract.domain.ids import CommitId, TractId, uuid_text
from tract.log.batch import BatchRunner
from tract.log.protocol import Row
from tract.log.sqlite_errors import DATABASE_ERRORS
from tract.projections import INLINE

_ROWS = 500
"""Of a table that are compared at once."""


class UnfoldedError(Exception):
    """An event cannot be folded; those before it were.

    Attributes:
        event: The first one that cannot.
        kind: Of the finding that this is.
        finding: What is wrong with it.
    """

    def __init__(self, event: Event, cause: Exception) -> None:
        self.event = event
        if isinstance(cause, DATABASE_ERRORS):
            name = getattr(cause, "sqlite_errorname", type(cause).__name__)
            self.kind, self.finding = "replay", f"it cannot follow those before it ({name})"
        else:
            self.kind, self.finding = "event", "a value in it is out of its range"
        super().__init__(self.finding)


class Replay:
    """Every projection once more, in a temporary database that spills to disk and leaves nothing.

    The statements are those of the store. What a projection makes is looked
    for here first and in the store only where it is not here, as the blobs are
    not, which SQLite does by itself for a database that is attached.

    Args:
        connection: Of the scratch database, to which the store is attached.
        slices: Of the store.
    """

    def __init__(self, connection: sqlite3.Connection, slices: Slices) -> None:
        self._connection = connection
        self._statements = slices.statements
        self._runner = BatchRunner(slices.path, slices.statements, INLINE, lambda: 0)
        self._cursor = connection.cursor()
        for projection in INLINE:
            for name in projection.create:
                connection.execute(self._statements[name])

    def fold(self, events: Sequence[Event]) -> None:
        """Apply events, the next ones in the order of the log, in one transaction.

        It ends here, so that it does not keep the store's write-ahead log from
        being emptied: it reads there too.

        Raises:
            UnfoldedError: One cannot have been appended after those before it.
            sqlite3.Error: Nobody waits any more.
        """
        self._connection.execute("BEGIN")
        try:
            for event in events:
                try:
                    self._runner.fold(self._cursor, event, {})
                except (*DATABASE_ERRORS, ValueError, OverflowError) as exc:
                    if was_interrupted(exc):
                        raise
                    raise UnfoldedError(event, exc) from exc
        finally:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def find_family(self, id: CommitId) -> TractId | None:
        """Return the family of a commit that was recorded by what is applied so far."""
        try:
            row = self.rows("admin.family_of_commit", bytes.fromhex(id)).fetchone()
        except ValueError:
            return None
        return None if row is None else TractId(uuid_text(row[0]))

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
def replay_beside(slices: Slices) -> Iterator[Replay]:
    """Make an empty replay, and remove it afterwards."""
    connection = sqlite3.connect("", uri=True, isolation_level=None)
    try:
        connection.set_progress_handler(slices.stop.is_set, 100_000)
        connection.text_factory = text_as_stored
        connection.execute(slices.statements["admin.scratch_journal"]).fetchall()
        connection.execute(slices.statements["admin.attach"], (slices.uri,))
        yield Replay(connection, slices)
    finally:
        connection.close()


def compare_table(snapshot: Snapshot, replay: Replay, table: str, statement: str, findings: Findings) -> int:
    """Add the first row of a table that differs from the replay; return how many rows the table has.

    Args:
        snapshot: The store.
        replay: Of its log, up to where the snapshot ends.
        table: Its name.
        statement: Returns its rows in order.
        findings: Is added to.
    """
    ours, theirs = snapshot(statement), replay.rows(statement)
    names = [column[0] for column in theirs.description]
    where, difference, counts = "", "", [0, 0]
    while True:
        # Whole lists are compared in C.
        mine, right = ours.fetchmany(_ROWS), theirs.fetchmany(_ROWS)
        if mine != right and not difference:
            place, difference = _first_difference(names, mine, right)
            where = f"table {table}, row {counts[1] + place:,}"
        counts[0] += len(mine)
        counts[1] += len(right)
        if not mine and not right:
            break
    if difference:
        there, made = counts
        total = "" if there == made else f"; the table has {there:,} rows, a replay makes {made:,}"
        findings.add("projection", where, difference + total)
    return counts[0]


def _first_difference(names: list[str], mine: list[Row], right: list[Row]) -> tuple[int, str]:
    for place, (one, other) in enumerate(zip_longest(mine, right), 1):
        if one != other:
            return place, _difference(names, one, other)
    raise AssertionError(names)


def _difference(names: list[str], mine: tuple[Any, ...] | None, right: tuple[Any, ...] | None) -> str:
    if mine is None or right is None:
        return "it is missing" if mine is None else "no event makes it"
    differing = [name for name, one, other in zip(names, mine, right, strict=False) if one != other]
    return f"a replay makes another {', '.join(differing)}" if differing else "it has other columns"
