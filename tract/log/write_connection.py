"""The connection of a store that writes, checkpoints and holds the lock meanwhile.

Imports `errors`, `diagnostics`, `locking`, `readers` and `sqlite_files`.
"""

import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tract.diagnostics import warn
from tract.errors import StoreError
from tract.log.locking import WriteLock
from tract.log.readers import Readers
from tract.log.sqlite_files import MEMORY, connect, on_thread

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

CHECKPOINT_PAGES = 4_000
"""A write-ahead log of about so many pages goes into the file when nobody waits."""
WAL_LIMIT_PAGES = 16_000
"""One of so many goes there even when somebody does."""
CLOSING_PATIENCE = 1.0
"""Seconds that closing waits for the lock; without it, somebody else checkpoints later."""


class WriteConnection:
    """Runs functions on its thread, while no other process writes.

    Args:
        path: The file, or `:memory:`, where there is nobody else.
        patience: Seconds until it gives up waiting for others.
    """

    def __init__(self, path: str, patience: float) -> None:
        self._path = path
        self._lock = None if path == MEMORY else WriteLock(path, patience)
        self._connection: aiosqlite.Connection | None = None
        self._wal_pages = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        self._connection = await connect(self._path, mode="rwc")

    @property
    def connection(self) -> "aiosqlite.Connection":
        """The connection, for what needs no lock."""
        assert self._connection is not None
        return self._connection

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        r"""Return what *function(connection, \*args)* does, called while no other process writes.

        Raises:
            StoreError: The lock was not to be had, so it was not called.
        """
        return await on_thread(self.connection, _under, self._lock, function, *args)

    async def wrote(self, pages: int) -> None:
        """Note how much the write-ahead log grew; one that grew too long is emptied at once."""
        self._wal_pages += pages
        if self._wal_pages > WAL_LIMIT_PAGES:
            await self._checkpoint()

    async def rest(self) -> None:
        """Empty a long write-ahead log now that nobody waits."""
        if self._wal_pages > CHECKPOINT_PAGES:
            await self._checkpoint()

    async def aclose(self, readers: Readers) -> None:
        """Close it and the readers; of all processes, the last one leaves nothing but the file."""
        if self._connection is None:
            return
        # SQLite checkpoints when a connection that can write is the last to
        # close, so that it closes last and under the lock. Where another
        # process keeps that, it goes before the readers, which cannot.
        is_held = await on_thread(self._connection, _is_acquired, self._lock)
        try:
            if is_held:
                await readers.aclose()
            await self._connection.close()
            await readers.aclose()
            if self._lock is not None and is_held and not Path(f"{self._path}-wal").exists():
                self._lock.remove()
        finally:
            if self._lock is not None:
                self._lock.close()

    async def _checkpoint(self) -> None:
        self._wal_pages = 0
        if self._lock is None:
            return
        try:
            await self.run(_checkpoint)
        except (sqlite3.Error, StoreError) as exc:
            # Nothing is lost: the pages are in the write-ahead log, and an
            # append will say so if the disk is full. It is tried again.
            warn("checkpoint.failed", store=self._path, error=type(exc).__name__)


def _under(connection: sqlite3.Connection, lock: WriteLock | None, function: Callable[..., T], *args: Any) -> T:
    with lock or nullcontext():
        return function(connection, *args)


def _is_acquired(_: sqlite3.Connection, lock: WriteLock | None) -> bool:
    if lock is not None:
        try:
            lock.acquire(CLOSING_PATIENCE)
        except StoreError:
            return False
    return True


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
