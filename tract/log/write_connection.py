"""The connection of a store that writes, checkpoints and holds the lock meanwhile.

Imports `errors`, `diagnostics`, `locking` and `sqlite_files`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from tract.diagnostics import warn
from tract.errors import StoreError
from tract.log.locking import WriteLock
from tract.log.sqlite_files import MEMORY, connect, on_thread

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

PAGE = 4096
"""Bytes of a page."""
CHECKPOINT_PAGES = 4_000
"""A write-ahead log of about so many pages goes into the file when nobody waits."""
WAL_LIMIT_PAGES = 16_000
"""One of so many goes there even when somebody does."""
FILLING_PAGES = 32_000
"""While tables are filled that nobody waits for, it is one of so many, for both."""
CLOSING_PATIENCE = 1.0
"""Seconds that closing waits for the lock; without it, somebody else checkpoints later."""


class WriteConnection:
    """Runs functions on its thread, while no other process writes.

    Attributes:
        checkpoints: How often the write-ahead log went into the file.

    Args:
        path: The file, or `:memory:`, where there is nobody else.
        patience: Seconds until it gives up waiting for others.
        is_lost: Says whether the path leads to other files than were opened,
            which are never written to.
    """

    def __init__(self, path: str, patience: float, is_lost: Callable[[], bool]) -> None:
        self._path = path
        self._wal = Path(f"{path}-wal")
        self._is_lost = is_lost
        self._lock = None if path == MEMORY else WriteLock(path, patience)
        self._connection: aiosqlite.Connection | None = None
        self._wal_pages = 0
        self._wal_size = 0
        self.checkpoints = 0
        self._is_filling = False

    async def open(self) -> None:
        """Connect.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        self._connection = await connect(self._path, mode="rwc")
        await on_thread(self._connection, _limit_wal)

    @property
    def connection(self) -> "aiosqlite.Connection":
        """The connection, for what needs no lock."""
        assert self._connection is not None
        return self._connection

    @property
    def lock_waits(self) -> int:
        """How often others had the lock when it was wanted here."""
        return 0 if self._lock is None else self._lock.waits

    @property
    def lock_seconds(self) -> float:
        """How long they were waited for in all."""
        return 0.0 if self._lock is None else self._lock.waited

    def wal_size(self) -> int:
        """Return how many bytes the write-ahead log has; 0 where there is none."""
        if self._lock is None:
            return 0
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        r"""Return what *function(connection, \*args)* does, called while no other process writes.

        Raises:
            StoreError: The lock was not to be had, so it was not called.
        """
        return await on_thread(self.connection, _under, self._lock, function, *args)

    async def wrote(self, pages: int) -> float:
        """Note how much the write-ahead log grew, as far as that can be told; one that grew too long is emptied at once.

        Returns:
            For how many seconds that held the lock.
        """
        self._wal_pages += pages
        most = FILLING_PAGES if self._is_filling else WAL_LIMIT_PAGES
        if self._wal_pages > most or self._is_longer(most):
            return await self._checkpoint()
        return 0.0

    async def rest(self) -> None:
        """Empty a long write-ahead log now that nobody waits."""
        if self._wal_pages > (FILLING_PAGES if self._is_filling else CHECKPOINT_PAGES):
            await self._checkpoint()

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Empty the write-ahead log more rarely: what is filled changes the same pages again and again."""
        self._is_filling = True
        try:
            yield
        finally:
            self._is_filling = False

    def hurry(self) -> None:
        """Have what waits for the lock give up soon, as it is about to be closed."""
        if self._lock is not None:
            self._lock.hurry(CLOSING_PATIENCE)

    async def aclose(self, *, is_last: bool = True) -> None:
        """Close it; of all processes, the last one leaves nothing but the file.

        Args:
            is_last: The readers are closed. While they are not, nothing is
                checkpointed and no file removed.
        """
        if self._connection is not None:
            # On the thread as a whole: nobody may leave in between and keep the lock.
            await on_thread(self._connection, _close, self._path, self._lock, is_last)
            await self._connection.close()

    def _is_longer(self, pages: int) -> bool:
        """Say whether the write-ahead log is longer than that, and grew since the last checkpoint.

        What the texts come to in an index is not foretold, so the file is looked at.
        """
        size = self.wal_size()
        if size < self._wal_size:
            self._wal_size = 0
        # Somebody who reads may keep it from beginning again: then not at each write.
        return size > pages * PAGE and (not self._wal_size or size > self._wal_size + pages * PAGE // 8)

    async def _checkpoint(self) -> float:
        self._wal_pages, self._wal_size = 0, self.wal_size()
        if self._lock is None:
            return 0.0
        try:
            seconds: float = await self.run(_checkpoint, self._is_lost)
            self.checkpoints += 1
            return seconds
        except (sqlite3.Error, StoreError) as exc:
            # Nothing is lost: the pages are in the write-ahead log, and an
            # append will say so if the disk is full. It is tried again.
            warn("checkpoint.failed", store=self._path, error=type(exc).__name__)
            return 0.0


def _limit_wal(connection: sqlite3.Connection) -> None:
    # SQLite begins the file again from its start once all of it was
    # checkpointed; cut to this then, what it has beyond is what grew since. Its
    # row is fetched: a statement that is not at its end keeps a connection open.
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_PAGES * PAGE}").fetchall()


def _under(connection: sqlite3.Connection, lock: WriteLock | None, function: Callable[..., T], *args: Any) -> T:
    with lock or nullcontext():
        return function(connection, *args)


def _close(connection: sqlite3.Connection, path: str, lock: WriteLock | None, is_last: bool) -> None:  # noqa: FBT001 - called on a thread
    if lock is None:
        connection.close()
        return
    try:
        if not is_last:
            connection.close()
            return
        lock.acquire(CLOSING_PATIENCE)
        connection.close()
        if not Path(f"{path}-wal").exists():
            lock.remove()
    except StoreError:
        _leave(connection, path)
    finally:
        lock.close()


def _leave(connection: sqlite3.Connection, path: str) -> None:
    """Close a connection without a checkpoint, which SQLite makes when one that can write is the last to close."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as reader:
        reader.execute("PRAGMA schema_version").fetchone()
        connection.close()
    connection.close()


def _checkpoint(connection: sqlite3.Connection, is_lost: Callable[[], bool]) -> float:
    """Write into the file what nobody reads in the write-ahead log any more; return how many seconds it took."""
    started = perf_counter()
    if not is_lost():
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return perf_counter() - started
