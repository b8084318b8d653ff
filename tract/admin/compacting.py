"""`compact`: giving back room that nothing stands in.

Imports `log` and the other modules of `admin`.
"""

import sqlite3
import time
from contextlib import suppress
from os import PathLike
from pathlib import Path
from threading import Event

from tract.admin.reporting import Reports, Tell, on_thread_telling
from tract.admin.results import Compacted
from tract.admin.snapshots import require_store
from tract.admin.threads import go_on
from tract.admin.writing import connected, turn_to_write
from tract.log.sqlite_files import make_durable

_TRIES = 40
"""To empty the write-ahead log; a reader that is at it keeps it for a moment."""
_PAUSE = 0.05
"""Seconds between two of them, in which others write."""
_STEPS = 100_000
"""Of SQLite's machine between two looks at whether to stop: about 2 ms."""


async def compact(path: str | PathLike[str], *, progress: Tell | None = None) -> Compacted:
    """Give back what room a store takes up beside its log and tables.

    The write-ahead log is folded into the file and emptied, beside those who
    write; while a long read goes on, such as a backup, that is not possible.
    Where nobody else has the store open, the file is also written anew without
    its unused pages and in order; whoever opens it meanwhile waits. The log
    itself is never touched. A process that is killed meanwhile loses nothing.

    Args:
        path: The store.
        progress: Is told how far it has come.

    Raises:
        ConfigError: *path* is no path.
        StoreNotFoundError: There is no file.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        CorruptLogError: SQLite finds it damaged; `verify` says more.
        StoreLockedError: Somebody else kept on writing for too long.
        StoreFullError: There is no room to write it anew; for that, twice as
            much as it takes up is needed for a moment. It is as it was.
        StoreReadOnlyError: It cannot be written.
        StoreError: It cannot be read or written.
    """
    return await on_thread_telling(_compact, path, progress)


def _compact(path: str, stop: Event, reports: Reports) -> Compacted:
    require_store(path, stop)
    started, before = time.perf_counter(), _size(path)
    reports.begin(2, "steps")
    unused = _vacuum(path, stop)
    is_vacuumed = unused is not None
    reports.reached(1)
    if unused is None:
        unused = _empty_wal(path, stop)
    reports.reached(2)
    return Compacted(path, before, _size(path), is_vacuumed, unused, time.perf_counter() - started)


def _vacuum(path: str, stop: Event) -> int | None:
    """Write the file anew if nobody else has it open; return the bytes that are unused in it, None if somebody has."""
    with turn_to_write(path):
        unused = _vacuum_alone(path, stop)
        if unused is not None:
            # With exclusive locks SQLite knows nothing of the file that
            # processes share, which a reader may have left; this one takes it away.
            with connected(path, "rw") as connection:
                connection.execute("PRAGMA schema_version").fetchone()
    return unused


def _vacuum_alone(path: str, stop: Event) -> int | None:
    with connected(path, "rw") as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        # Every open connection has a lock on the file that this one excludes.
        # In the write-ahead log, so that nothing has to be put back, by those
        # who look at the file alone, where this is killed.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return None
        connection.execute("COMMIT")
        make_durable(connection)
        connection.set_progress_handler(stop.is_set, _STEPS)
        connection.execute("VACUUM")
        connection.set_progress_handler(None, 0)
        _checkpoint(connection)
        return _unused(connection)


def _empty_wal(path: str, stop: Event) -> int:
    """Fold the write-ahead log into the file and cut it off; return the bytes that are unused in the file."""
    for _ in range(_TRIES):
        go_on(stop)
        with turn_to_write(path), connected(path, "rw") as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            make_durable(connection)
            is_emptied, unused = _checkpoint(connection), _unused(connection)
        if is_emptied:
            break
        # Not while others wait to write.
        stop.wait(_PAUSE)
    return unused


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Say whether nothing is left of the write-ahead log."""
    (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def _unused(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * size)


def _size(path: str) -> int:
    """Return the bytes of the file and its write-ahead log."""
    total = Path(path).stat().st_size
    with suppress(FileNotFoundError):
        total += Path(f"{path}-wal").stat().st_size
    return total
