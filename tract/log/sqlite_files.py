"""Opening a SQLite file as a store, and refusing what is none.

Everything here runs on the thread of a connection. Imports `errors` and the
log's SQL.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from tract.errors import NewerSchemaError, NotAStoreError, StoreFailedError
from tract.log.editions import create_all
from tract.log.packing import add_functions
from tract.log.protocol import Projection

if TYPE_CHECKING:
    import aiosqlite

APPLICATION_ID = 0x54524354
SCHEMA = 3
"""2: scratch tables beside the log, blobs packed, ids found by a part of them. 3: projections have versions, editions
and places in the log, and contexts are kept. `migrating` brings older files to it."""
MEMORY = ":memory:"
_MODES = {"rwc": "mode=rwc", "ro": "mode=ro", "look": "mode=ro&immutable=1"}
_FOREIGN = "a SQLite database of another program"

CONTEXT_TABLES = (
    "contexts.create",
    "contexts.create_by_run",
    "contexts.create_by_origin",
    "contexts.create_leaves",
    "contexts.create_leaves_by_origin",
)
"""Where contexts are kept: no event is folded into them, and they may be missing."""
LOG_TABLES = (
    "log.create_events",
    "log.create_events_by_operation",
    "log.create_events_refuse_update",
    "log.create_events_refuse_delete",
    "log.create_events_guard",
    "log.create_blobs",
    "log.create_blobs_by_id",
    "log.create_blobs_by_fingerprint",
    "log.create_projections",
    "log.create_halts",
    "log.create_rebuilds",
    *CONTEXT_TABLES,
    "scratch.create_partials",
    "scratch.create_leases",
)


class _Result:
    """What a function returned, in the clothes of a cursor."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def fetchall(self) -> Any:
        return self.value


class ThreadConnection(sqlite3.Connection):
    """A connection whose `execute` also calls a function on its own thread.

    aiosqlite hands `execute_fetchall(fn, args)` to `execute`, so one hop to
    the thread (70 microseconds) does a whole transaction.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        add_functions(self)

    def execute(self, sql: Any, parameters: Any = (), /) -> Any:
        """Execute SQL, or call *sql* with this connection and *parameters*."""
        if isinstance(sql, str):
            return super().execute(sql, parameters)
        return _Result(sql(self, *parameters))


async def connect(path: str, *, mode: Literal["rwc", "ro", "look"]) -> "aiosqlite.Connection":
    """Return a started connection whose thread never keeps the process alive.

    Args:
        path: A file, or `:memory:`.
        mode: How to open it; `look` leaves no file beside it, and sees only
            what is in the file itself.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    import aiosqlite

    target = path if path == MEMORY else f"file:{quote(os.fsencode(path))}?{_MODES[mode]}"
    made: list[aiosqlite.Connection] = []

    def make() -> None:
        made.append(
            aiosqlite.connect(target, factory=ThreadConnection, isolation_level=None, uri=path != MEMORY, cached_statements=256)
        )

    # A thread is a daemon if the one that makes it is. aiosqlite's would
    # otherwise hang the interpreter's exit when a store was never closed.
    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    return await made[0]


def prepare_writer(
    connection: sqlite3.Connection,
    path: str,
    durability: str,
    statements: Mapping[str, str],
    projections: Sequence[Projection],
) -> None:
    """Check that the file is ours or empty, set it up, and make its tables.

    To be called while no other process writes. Nothing is written to a file that is not ours.

    Raises:
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        sqlite3.Error: It cannot be read or written.
    """
    if sqlite3.sqlite_version_info < (3, 37):
        raise StoreFailedError(path, f"SQLite {sqlite3.sqlite_version}, which is older than 3.37")
    connection.execute("PRAGMA busy_timeout = 30000")
    is_empty = _is_empty(connection, path)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    # No checkpoint inside a COMMIT that somebody waits for: the writer does
    # it when its queue is empty (bulk p99 7.9 -> 0.4 ms).
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    if durability == "full":
        make_durable(connection)
    else:
        connection.execute("PRAGMA synchronous = NORMAL")
    if is_empty:
        _create(connection, path, statements, projections)


def schema_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the number of a store's schema; a microsecond.

    Raises:
        NewerSchemaError: A later version wrote it, or brought it up meanwhile.
    """
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        raise NewerSchemaError(path, schema, SCHEMA)
    return int(schema)


def make_durable(connection: sqlite3.Connection) -> None:
    """Have each COMMIT survive power loss."""
    connection.execute("PRAGMA synchronous = FULL")
    # Where fsync leaves the data in the drive's own memory, which is macOS;
    # SQLite ignores it elsewhere.
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Set up a connection that only reads."""
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")


def looks_foreign(file: Path) -> bool:
    """Say whether a file needs `refuse_foreign`, by its header alone.

    SQLite takes a file of one byte for an empty database, and folds what a
    crashed program left in its write-ahead log into the file, just by opening
    it to write.

    Raises:
        NotAStoreError: It is no SQLite database, or another program's.
    """
    with file.open("rb") as opened:
        header = opened.read(100)
    if not header:
        return False
    # https://sqlite.org/fileformat.html#the_database_header
    if len(header) < 100 or not header.startswith(b"SQLite format 3\x00"):
        raise NotAStoreError(str(file), "not a SQLite database")
    application = int.from_bytes(header[68:72], "big")
    if application not in (0, APPLICATION_ID):
        raise NotAStoreError(str(file), _FOREIGN)
    return application == 0


def refuse_foreign(connection: sqlite3.Connection, path: str) -> None:
    """Refuse a file of another program, through a connection that cannot write.

    Raises:
        NotAStoreError: It is one.
    """
    _is_empty(connection, path)


def _is_empty(connection: sqlite3.Connection, path: str) -> bool:
    # One snapshot: another process may be making the tables just now.
    is_inside = connection.in_transaction
    if not is_inside:
        connection.execute("BEGIN")
    try:
        return _looks_empty(connection, path)
    finally:
        if not is_inside:
            connection.execute("ROLLBACK")


def _looks_empty(connection: sqlite3.Connection, path: str) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID:
        if schema > SCHEMA:
            raise NewerSchemaError(path, schema, SCHEMA)
        return False
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application or schema or tables:
        raise NotAStoreError(path, _FOREIGN)
    return True


def _create(connection: sqlite3.Connection, path: str, statements: Mapping[str, str], projections: Sequence[Projection]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster since the look without a lock.
        if _is_empty(connection, path):
            for name in LOG_TABLES:
                connection.execute(statements[name])
            create_all(connection, statements, projections)
            for projection in projections:
                connection.execute(statements["log.put_projection"], (projection.name, projection.version, 0, None, None))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def on_thread(connection: "aiosqlite.Connection", function: Callable[..., Any], *args: Any) -> Any:
    """Return an awaitable that calls *function(connection, \\*args)* on the thread."""
    return connection.execute_fetchall(function, args)
