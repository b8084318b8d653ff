"""Reading a store that others may be writing: in snapshots, and without a trace of the visit.

Runs on a thread of its own. Imports `errors`, `log` and `projections`; read
`read_snapshot` first, then `Slices`.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from attrs import Factory, frozen

from tract.admin.giving_way import WayGiver
from tract.errors import NotAStoreError, StoreReadOnlyError, TractError
from tract.log.editions import Book, Editions
from tract.log.packing import add_functions
from tract.log.places import Hold, may, needs_look, refusal_to_read, unreadable
from tract.log.protocol import FollowingProjection, Row
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import APPLICATION_ID, prepare_reader, refuse_foreign
from tract.log.statements import load
from tract.projections import FOLLOWING, INLINE, SQL

T = TypeVar("T")

ADMIN_SQL = Path(__file__).with_name("sql")
"""The statements of looking after a store."""
_STEPS = 100_000
"""Of SQLite's machine between two looks at whether to stop: about 2 ms."""
_NO_DAMAGE = ("SQLITE_INTERRUPT", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_CANTOPEN", "SQLITE_BUSY", "SQLITE_LOCKED")
_WEIGHT = 8_000_000
"""Bytes of rows that are in memory at once, if no single one is longer."""


class _DisturbedError(Exception):
    """What was read may be of two states of the store; everything must be read again."""


@frozen(eq=False, repr=False)
class Snapshot:
    """A store as it was at one moment.

    Attributes:
        path: The store.
        uri: By which SQLite opens it as it was opened here.
        connection: Inside the one transaction.
        statements: SQL by name, on the tables that are in use at this moment.
        stop: Set when nobody waits any more.
    """

    path: str
    uri: str
    connection: sqlite3.Connection
    statements: Mapping[str, str]
    stop: Event

    def __call__(self, name: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a named statement; its rows are read as they are fetched."""
        return self.connection.execute(self.statements[name], parameters)

    def after(self, number: int, name: str, *parameters: Any, weighs: int) -> list[Row]:
        """Return the next rows of a table, as many as are not too heavy together.

        Args:
            number: Of the row to begin behind.
            name: Of a statement that takes it first and returns rows in the
                order of their numbers, which are their first column.
            parameters: What it takes besides.
            weighs: The column whose length counts.

        Raises:
            sqlite3.Error: Not even the first row can be read, or not where it
                belongs. Those before one that cannot are returned.
        """
        rows: list[Row] = []
        weight = 0
        try:
            for row in self(name, number, *parameters):
                if row[0] <= number:
                    # A damaged tree leads back; nobody shall walk in circles.
                    raise sqlite3.DatabaseError
                number, heavy = row[0], row[weighs]
                rows.append(row)
                if type(heavy) is bytes or type(heavy) is str:
                    weight += len(heavy)
                    if weight > _WEIGHT:
                        break
        except DATABASE_ERRORS as exc:
            if not rows or tells_nothing(exc):
                raise
        return rows


@frozen(eq=False, repr=False)
class Known:
    """What this version knows to be in a store beside the log.

    Attributes:
        following: The projections that follow it.
        statements: SQL by name, those of `admin` among them.
    """

    following: tuple[FollowingProjection, ...] = FOLLOWING
    statements: Mapping[str, str] = Factory(lambda: load(*SQL, ADMIN_SQL))


KNOWN = Known()
_ALONE, _SHARED = "mode=ro&immutable=1", "mode=ro"


@frozen(eq=False, repr=False)
class _Way:
    """How a store is opened."""

    path: str
    mode: str
    stop: Event
    is_disturbed: Callable[[], bool]
    known: Known = KNOWN

    @property
    def uri(self) -> str:
        # Who may not write makes no file that the processes of a store share: it would keep its owner out.
        read_only = "" if may(self.path, os.W_OK) else "&readonly_shm=1"
        return f"file:{quote(os.fsencode(self.path))}?{self.mode}{read_only}"

    @contextmanager
    def slices(self) -> "Iterator[Slices]":
        with closing(sqlite3.connect(self.uri, uri=True, isolation_level=None)) as connection:
            connection.set_progress_handler(self.stop.is_set, _STEPS)
            connection.text_factory = text_as_stored
            prepare_reader(connection)
            add_functions(connection)
            yield Slices(self, connection)


class Slices:
    """A store in short snapshots, one after another, so that its write-ahead log can be emptied between them.

    Sound for what is only ever added to: an event that was read is the same
    in every later snapshot. Used by `read_in_slices`.

    Attributes:
        path: The store.
        uri: By which SQLite opens it as it was opened here.
        known: What may be in it beside the log.
        stop: Set when nobody waits any more.
        is_alone: Whether nobody had the store open when it began; who comes
            meanwhile makes it begin again.
        schema: Of the tables; it never changes meanwhile.

    Args:
        way: How the store is opened.
        connection: To it, outside of a transaction.
    """

    def __init__(self, way: "_Way", connection: sqlite3.Connection) -> None:
        self.path, self.uri, self.known, self.stop = way.path, way.uri, way.known, way.stop
        self.is_alone = way.mode == _ALONE
        self._connection, self._is_disturbed = connection, way.is_disturbed
        self._book = Book(Editions(self.known.statements, (*INLINE, *self.known.following)))
        self._giving = WayGiver(self.path, self.stop)
        self._snapshot: Snapshot | None = None
        with self._begun() as snapshot:
            refuse_foreign(connection, self.path)
            if snapshot("admin.application").fetchone() != (APPLICATION_ID,):
                raise NotAStoreError(self.path, "an empty database")
            self.schema: int = _schema_of(snapshot)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Yield the store as it is now; within another snapshot, as it is there."""
        if self._snapshot is not None:
            yield self._snapshot
        else:
            with self._begun() as snapshot:
                if _schema_of(snapshot) != self.schema:
                    # A later version brought it up, and packs blobs otherwise.
                    raise _DisturbedError
                yield snapshot

    @contextmanager
    def _begun(self) -> Iterator[Snapshot]:
        self._giving.give_way()
        self._connection.execute("BEGIN")
        try:
            self._snapshot = Snapshot(self.path, self.uri, self._connection, self._look(), self.stop)
            yield self._snapshot
        finally:
            self._snapshot = None
            self._connection.rollback()
            if self._is_disturbed():
                raise _DisturbedError

    def _look(self) -> Mapping[str, str]:
        try:
            return self._book.look(self._connection)
        except DATABASE_ERRORS as exc:
            if tells_nothing(exc):
                raise
            # The table that says which tables are in use is damaged; the log may be whole.
            return self._book.now


def _schema_of(snapshot: Snapshot) -> int:
    (schema,) = snapshot("admin.schema").fetchone()
    return int(schema)


_Read: TypeAlias = Callable[[str, Callable[[], bool]], T]
"""Reads a store that is opened in a mode; the function says whether somebody came."""


def read_snapshot(path: str, stop: Event, read: Callable[[Snapshot], T]) -> T:
    """Return what *read* makes of one snapshot of the store.

    A store that is closed is read without leaving the two files beside it
    that SQLite shares between processes. Such a reader cannot see a writer,
    so if one came meanwhile everything is read again, with them.

    Raises:
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        CorruptLogError: SQLite finds it damaged.
        StoreUnreadableError: It may not be read.
        StoreError: It cannot be read.
    """

    def read_once(mode: str, is_disturbed: Callable[[], bool]) -> T:
        with _Way(path, mode, stop, is_disturbed).slices() as slices, slices.snapshot() as snapshot:
            return read(snapshot)

    return _read_undisturbed(path, read_once)


def read_in_slices(path: str, stop: Event, read: Callable[[Slices], T], known: Known = KNOWN) -> T:
    """Return what *read* makes of the store, looked at as often as it likes.

    It is called again, for a result of its own, where somebody came to a
    store that was closed, or a later version brought it up meanwhile.

    Args:
        path: The store.
        stop: Set when nobody waits any more.
        read: Looks at it.
        known: What may be in it beside the log.

    Raises:
        TractError: As `read_snapshot` does.
    """

    def read_once(mode: str, is_disturbed: Callable[[], bool]) -> T:
        with _Way(path, mode, stop, is_disturbed, known).slices() as slices:
            return read(slices)

    return _read_undisturbed(path, read_once)


def require_store(path: str, stop: Event) -> None:
    """Refuse what `read_snapshot` refuses."""
    read_snapshot(path, stop, lambda _: None)


def text_as_stored(data: bytes) -> str:
    """Return text whatever its bytes are, so that damaged ones can be named."""
    return data.decode("utf-8", "surrogateescape")


def tells_nothing(error: BaseException) -> bool:
    """Say whether an error tells nothing of the store: nobody waits any more, or there was no room or no turn."""
    return getattr(error, "sqlite_errorname", "").startswith(_NO_DAMAGE)


def _read_undisturbed(path: str, read: "_Read[T]") -> T:
    file, wal = Path(path), Path(f"{path}-wal")
    needs_look(path, create=False)
    hold = Hold(path)
    try:
        if not wal.exists():
            before = _state(file)

            def is_disturbed() -> bool:
                return wal.exists() or _state(file) != before

            try:
                found = read(_ALONE, is_disturbed)
            except _DisturbedError:
                pass
            except (*DATABASE_ERRORS, TractError):
                if not is_disturbed():
                    raise
            else:
                if not is_disturbed():
                    return found
        while True:
            try:
                return read(_SHARED, lambda: False)
            except _DisturbedError:
                # As often as a later version brings it up: once each.
                continue
    except DATABASE_ERRORS as exc:
        failure = translate(exc, path)
        # SQLite does not say whether it was to read or to write.
        raise (unreadable(path) if isinstance(failure, StoreReadOnlyError) else failure) from exc
    except OSError as exc:
        raise refusal_to_read(path, exc) from exc
    finally:
        hold.release()


def _state(file: Path) -> tuple[int, int, int]:
    state = file.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
