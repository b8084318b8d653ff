"""Reading a store that others may be writing: one snapshot, and no trace of the visit.

Runs on a thread of its own. Imports `errors`, `log` and `projections`; read
`read_snapshot` first.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import frozen

from tract.errors import NotAStoreError, TractError
from tract.log import statements
from tract.log.places import Hold, needs_look, refusal
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import APPLICATION_ID, prepare_reader, refuse_foreign
from tract.projections import SQL

T = TypeVar("T")

_STEPS = 100_000
"""Of SQLite's machine between two looks at whether to stop: about 2 ms."""


@frozen(eq=False, repr=False)
class Snapshot:
    """A store as it was at one moment.

    Attributes:
        path: The store.
        uri: By which SQLite opens it as it was opened here.
        connection: Inside the one transaction.
        statements: SQL by name.
        stop: Set when nobody waits any more.
    """

    path: str
    uri: str
    connection: sqlite3.Connection
    statements: MappingProxyType[str, str]
    stop: Event

    def __call__(self, name: str, *parameters: Any) -> sqlite3.Cursor:
        """Run a named statement; its rows are read as they are fetched."""
        return self.connection.execute(self.statements[name], parameters)


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
        StoreError: It cannot be read.
    """
    file, wal = Path(path), Path(f"{path}-wal")
    needs_look(path, create=False)
    hold = Hold(path)
    try:
        if not wal.exists():
            before = _state(file)
            try:
                found = _read(path, "mode=ro&immutable=1", stop, read)
            except (*DATABASE_ERRORS, TractError):
                if not wal.exists() and _state(file) == before:
                    raise
            else:
                if not wal.exists() and _state(file) == before:
                    return found
        return _read(path, "mode=ro", stop, read)
    except DATABASE_ERRORS as exc:
        raise translate(exc, path) from exc
    except OSError as exc:
        raise refusal(path, exc) from exc
    finally:
        hold.release()


def require_store(path: str, stop: Event) -> None:
    """Refuse what `read_snapshot` refuses."""
    read_snapshot(path, stop, lambda _: None)


def text_as_stored(data: bytes) -> str:
    """Return text whatever its bytes are, so that damaged ones can be named."""
    return data.decode("utf-8", "surrogateescape")


def _state(file: Path) -> tuple[int, int, int]:
    state = file.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def _read(path: str, mode: str, stop: Event, read: Callable[[Snapshot], T]) -> T:
    uri = f"file:{quote(os.fsencode(path))}?{mode}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.set_progress_handler(stop.is_set, _STEPS)
        connection.text_factory = text_as_stored
        prepare_reader(connection)
        snapshot = Snapshot(path, uri, connection, statements.load(*SQL, Path(__file__).with_name("sql")), stop)
        connection.execute("BEGIN")
        refuse_foreign(connection, path)
        if snapshot("admin.application").fetchone() != (APPLICATION_ID,):
            raise NotAStoreError(path, "an empty database")
        return read(snapshot)
