"""Replaying a log into a scratch database.

Imports `log`, `projections` and the other modules of `admin`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tract.admin.snapshots import Slices, tells_nothing, text_as_stored
from tract.domain.events import Event
from tract.domain.ids import BlobId, CommitId, TractId, uuid_bytes, uuid_text
from tract.log.batch import BatchRunner
from tract.log.editions import create_all, drop_all
from tract.log.protocol import Projection, Row
from tract.projections import INLINE


class UnfoldedError(Exception):
    """An event cannot be folded.

    Attributes:
        event: The first one that cannot.
        kind: Of the finding that this is.
        finding: What is wrong with it.
    """

    def __init__(self, event: Event, cause: Exception) -> None:
        self.event = event
        if isinstance(cause, (ValueError, OverflowError)) and not isinstance(cause, UnicodeError):
            self.kind, self.finding = "event", "a value in it is out of its range"
        else:
            name = getattr(cause, "sqlite_errorname", type(cause).__name__)
            self.kind, self.finding = "replay", f"it cannot follow those before it ({name})"
        super().__init__(self.finding)


class Replay:
    """Every projection once more, in a temporary database that spills to disk and leaves nothing.

    The statements are those of the store. What a projection makes is looked
    for here first and in the store only where it is not here, as the blobs are
    not, which SQLite does by itself for a database that is attached.

    Attributes:
        connection: Of the scratch database.

    Args:
        connection: Of the scratch database, to which the store is attached.
        slices: Of the store.
    """

    def __init__(self, connection: sqlite3.Connection, slices: Slices) -> None:
        self.connection = connection
        self._statements = slices.known.statements
        self._runner = BatchRunner(slices.path, slices.known.statements, INLINE, lambda: 0)
        self._cursor = connection.cursor()
        create_all(connection, self._statements, INLINE)

    def fold(self, events: Sequence[Event]) -> None:
        """Apply events, the next ones in the order of the log, in one transaction.

        It ends here, so that it does not keep the store's write-ahead log from
        being emptied: it reads there too.

        Raises:
            UnfoldedError: One cannot have been appended after those before it.
            sqlite3.Error: It tells nothing of the event; see `tells_nothing`.
        """
        with self._transaction():
            for event in events:
                try:
                    self._runner.fold(self._cursor, event, {})
                except Exception as exc:
                    if tells_nothing(exc):
                        raise
                    raise UnfoldedError(event, exc) from exc

    def apply(self, projection: Projection, events: Sequence[Event], words: Mapping[BlobId, bytes]) -> None:
        """Apply events to one projection that follows the log, in one transaction.

        Raises:
            UnfoldedError: One of them cannot be folded; it names the last.
            sqlite3.Error: It tells nothing of the event; see `tells_nothing`.
        """
        with self._transaction():
            try:
                for each in projection.apply(events, words):
                    self._cursor.execute(self._statements[each.name], each.parameters)
            except Exception as exc:
                if tells_nothing(exc):
                    raise
                raise UnfoldedError(events[-1], exc) from exc

    def make(self, projection: Projection) -> None:
        """Make the tables of a projection that follows the log."""
        create_all(self.connection, self._statements, (projection,))

    def empty(self, projection: Projection) -> None:
        """Make them anew; where they are not, those of the store would be meant, which cannot be written."""
        drop_all(self.connection, self._statements, (projection,))
        create_all(self.connection, self._statements, (projection,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def find_family(self, id: CommitId) -> TractId | None:
        """Return the family of a commit that was recorded by what is applied so far."""
        try:
            row = self.rows("admin.family_of_commit", bytes.fromhex(id)).fetchone()
        except ValueError:
            return None
        return None if row is None else TractId(uuid_text(row[0]))

    def has_tract(self, tract: TractId, family: TractId) -> bool:
        """Say whether a tract was created in a family by what is applied so far."""
        return self.rows("admin.is_tract_of", uuid_bytes(tract), uuid_bytes(family)).fetchone() is not None

    def rows(self, name: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a named statement on the scratch database."""
        return self.connection.execute(self._statements[name], parameters)


def declarations(rows: Iterable[Row]) -> dict[tuple[str, str], str]:
    """Return what rows of `admin.things` say, but for white space, by type and name."""
    return {(kind, name): " ".join(str(sql).split()) for kind, name, _, sql in rows}


@contextmanager
def replay_beside(slices: Slices) -> Iterator[Replay]:
    """Make an empty replay, and remove it afterwards."""
    connection = sqlite3.connect("", uri=True, isolation_level=None)
    try:
        connection.set_progress_handler(slices.stop.is_set, 100_000)
        connection.text_factory = text_as_stored
        connection.execute(slices.known.statements["admin.scratch_journal"]).fetchall()
        connection.execute(slices.known.statements["admin.attach"], (slices.uri,))
        yield Replay(connection, slices)
    finally:
        connection.close()
