"""`backup`: a whole copy of a store beside those that write to it.

Imports `log` and the other modules of `admin`.
"""

import sqlite3
import time
from contextlib import closing
from os import PathLike
from threading import Event

from attrs import evolve

from tract.admin.destinations import Destination
from tract.admin.reporting import Reports, Tell, on_thread_telling
from tract.admin.results import BackedUp
from tract.admin.snapshots import Snapshot, read_snapshot
from tract.admin.threads import go_on, on_thread, place_of
from tract.admin.verifying import verify
from tract.log.sqlite_errors import translate

_PAGES = 256
"""Copied between two looks at whether to stop, 1 MB: about a millisecond."""
_OF_THE_SOURCE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_READ", "SQLITE_IOERR_SHORT_READ")


async def backup(path: str | PathLike[str], dest: str | PathLike[str], *, progress: Tell | None = None) -> BackedUp:
    """Copy a store as it is at one moment into a single file, and verify the copy.

    Nobody waits for it: whoever writes goes on, and is not in the copy. Until
    the copy is made, what they append stays in the write-ahead log.

    The copy stands under a temporary name until it was verified and is on the
    disk, and never takes the place of another file. It is as private as the
    store. One of a damaged store is kept, and the result says what is wrong.

    Args:
        path: The store.
        dest: The file to be made.
        progress: Is told how far it has come.

    Raises:
        ConfigError: *path* or *dest* is no path.
        StoreNotFoundError: There is no file at *path*.
        NotAStoreError: It is something else.
        NewerSchemaError: A later version wrote it.
        CorruptLogError: It is so damaged that SQLite cannot copy it.
        DestinationExistsError: There is something at *dest* already.
        FolderNotFoundError: There is no folder to make it in.
        StoreLockedError: Another process makes *dest* just now.
        StoreFullError: There is no room for it.
        StoreReadOnlyError: It cannot be made there.
        StoreError: The store cannot be read or the copy not be written. In
            each case nothing is left of it.
    """
    started = time.perf_counter()
    source, destination = place_of(path), Destination(place_of(dest, "dest"))

    def copy(place: str, stop: Event, reports: Reports) -> None:
        read_snapshot(place, stop, lambda snapshot: _copy(snapshot, destination, reports))

    try:
        await on_thread(lambda _, __: destination.claim(), source)
        await on_thread_telling(copy, source, progress)
        found = await verify(destination.partial, progress=progress)
        size = await on_thread(lambda _, __: destination.publish(), source)
    finally:
        destination.discard()
    seconds = time.perf_counter() - started
    return BackedUp(source, destination.path, size, seconds, evolve(found, path=destination.path))


def _copy(snapshot: Snapshot, destination: Destination, reports: Reports) -> None:
    destination.create(snapshot.path)
    begun = False

    def reached(_: int, remaining: int, total: int) -> None:
        nonlocal begun
        if not begun:
            reports.begin(total, "pages")
            begun = True
        go_on(snapshot.stop)
        reports.reached(total - remaining)

    with closing(sqlite3.connect(destination.partial, isolation_level=None)) as target:
        # Until it has its name nobody misses it, and then it is on the disk.
        target.execute("PRAGMA journal_mode = OFF").fetchall()
        target.execute("PRAGMA synchronous = OFF")
        try:
            # Inside a transaction the source stays as it is, so that nothing
            # that is appended meanwhile makes the copying begin again.
            snapshot.connection.backup(target, pages=_PAGES, progress=reached)
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorname", "")
            where = snapshot.path if code.startswith(_OF_THE_SOURCE) else destination.path
            raise translate(exc, where) from exc
