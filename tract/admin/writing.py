"""A connection of its own that writes to a store, while nobody else does.

Runs on a thread. Imports `log`.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from tract.log.locking import PATIENCE, WriteLock
from tract.log.places import Hold, refusal, require_writable
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import ThreadConnection


@contextmanager
def turn_to_write(path: str) -> Iterator[None]:
    """Keep all others from writing to a store, or folding its write-ahead log into it, as long as it lasts.

    Raises:
        StoreReadOnlyError: It may not be written.
        StoreLockedError: Somebody else kept on writing for too long.
        StoreError: The lock was not to be had.
        CorruptLogError: SQLite finds the file damaged.
    """
    require_writable(path)
    lock, hold = WriteLock(path, PATIENCE), Hold(path)
    try:
        lock.acquire()
        try:
            yield
        finally:
            if not Path(f"{path}-wal").exists():
                # Nobody else has the store open.
                lock.remove()
    except DATABASE_ERRORS as exc:
        raise translate(exc, path) from exc
    except OSError as exc:
        raise refusal(path, exc) from exc
    finally:
        lock.close()
        hold.release()


@contextmanager
def connected(path: str, mode: Literal["rw", "rwc"]) -> Iterator[sqlite3.Connection]:
    """Connect to a store, within `turn_to_write`; the last one to close it empties the write-ahead log.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, factory=ThreadConnection)) as connection:
        yield connection
