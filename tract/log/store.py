"""`SqliteStore`: the log in one SQLite file, or in memory.

One object a real path, process and event loop; opening the file again shares
it. The writer task owns the only connection that writes; two more read.
Imports `protocol`, `writer`, `batch`, `readers`, `changes` and `sqlite_files`.
"""

import asyncio
import os
import sqlite3
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tract.diagnostics import warn
from tract.domain.canonical import sha256
from tract.domain.events import Event
from tract.domain.ids import BlobId
from tract.errors import (
    ClosedError,
    FolderNotFoundError,
    StoreFailedError,
    StoreNotFoundError,
    StoreReadOnlyError,
    WrongLoopError,
)
from tract.log.batch import BatchRunner, Outcome, UnknownOutcomeError
from tract.log.changes import Changes
from tract.log.entropy import forks, random_bytes
from tract.log.migrating import migrate
from tract.log.protocol import BlobDraft, Projection, Query, Request, Scratch, Statement, Work
from tract.log.readers import Readers
from tract.log.sqlite_errors import translate
from tract.log.sqlite_files import (
    MEMORY,
    connect,
    looks_foreign,
    make_durable,
    on_thread,
    prepare_writer,
    refuse_foreign,
)
from tract.log.writer import PendingAppend, Writer

if TYPE_CHECKING:
    import aiosqlite

T = TypeVar("T")

CHECKPOINT_PAGES = 4_000
"""A write-ahead log of about so many pages goes into the file when nobody waits."""
WAL_LIMIT_PAGES = 16_000
"""One of so many goes there even when somebody does."""
SALTS = 4096
"""Texts whose salts are remembered, so that equal ones are stored once."""

_open_stores: dict[tuple[str, int, int], "SqliteStore"] = {}


class SqliteStore:
    """One log with its blobs and inline projections.

    Made by `open`, never directly. Counted: `aclose` as often as `open`.
    """

    def __init__(self, path: str, runner: BatchRunner, durability: str) -> None:
        self._path = path
        self._runner = runner
        self._durability = durability
        self._loop = asyncio.get_running_loop()
        self._forks = forks()
        self._users = 0
        self._ready: asyncio.Task[None] | None = None
        self._writing: aiosqlite.Connection | None = None
        self._readers = Readers(path, runner.statements)
        self._writer = Writer(self._run, self._rest)
        self._changes = Changes(None if path == MEMORY else self._readers.data_version)
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._salts: OrderedDict[bytes, bytes] = OrderedDict()
        self._wal_pages = 0

    @classmethod
    async def open(
        cls,
        where: str,
        *,
        create: bool,
        durability: str,
        clock: Callable[[], int],
        statements: Mapping[str, str],
        projections: Sequence[Projection],
    ) -> "SqliteStore":
        """Return the store at a path, or a new one in memory.

        Raises:
            StoreNotFoundError: There is no file and *create* is false.
            NotAStoreError: The file is something else.
            NewerSchemaError: A later version wrote it.
            StoreError: It cannot be read or written.
        """
        path = where if where == MEMORY else os.path.realpath(where)
        loop = asyncio.get_running_loop()
        key = (path, forks(), id(loop))
        store = None if path == MEMORY else _open_stores.get(key)
        if store is None:
            store = cls(path, BatchRunner(path, statements, projections, clock), durability)
            if path != MEMORY:
                _open_stores[key] = store
        store._users += 1
        try:
            await store._started(create=create)
            await store._strengthen(durability)
        except BaseException:
            await store.aclose()
            raise
        return store

    @property
    def where(self) -> str:
        """The real path, or `:memory:`."""
        return self._path

    async def append(self, request: Request, then: Callable[[], None] | None = None) -> tuple[Event, ...]:
        """Append what the request decides and return it, durable."""
        self._check()
        return await self._writer.append(request, then)

    def submit(self, request: Request) -> PendingAppend:
        """Hand a request over without waiting."""
        self._check()
        return self._writer.submit(request)

    def scratch(self, statements: Sequence[Statement]) -> PendingAppend:
        """Hand statements on scratch tables to the writer."""
        self._check()
        return self._writer.submit(Scratch(tuple(statements)))

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run a function over one snapshot, on a reader's thread."""
        self._check()
        return await self._readers.read(query)

    def mark(self) -> int:
        """Return how many changes were noticed so far."""
        return self._changes.mark()

    async def changed(self, mark: int) -> None:
        """Wait until something changed after *mark*, by whoever it was."""
        self._check()
        await self._changes.changed(mark)

    def draft(self, data: bytes) -> BlobDraft:
        """Return a blob for *data*, with the salt of equal data if it is remembered."""
        fingerprint = sha256(data)
        salt = self._salts.get(fingerprint)
        if salt is not None:
            self._salts.move_to_end(fingerprint)
        else:
            salt = self._salts[fingerprint] = random_bytes(16)
            if len(self._salts) > SALTS:
                self._salts.popitem(last=False)
        return BlobDraft(BlobId(sha256(salt, data).hex()), salt, fingerprint, data)

    async def remember(self, data: bytes) -> None:
        """Look up whether *data* is stored already, so that `draft` shares it."""
        fingerprint = sha256(data)
        if fingerprint in self._salts:
            return
        for id, salt in await self.read(lambda query: query("log.salts", fingerprint)):
            # Only the beginning of a fingerprint is stored.
            if id == sha256(salt, data):
                self._salts[fingerprint] = salt

    def share(self) -> None:
        """Count one more use, to be given up by `aclose`."""
        self._check()
        self._users += 1

    async def replay(self) -> int:
        """Rebuild every inline projection from the log; return the number of events.

        Holds the write lock throughout.
        """
        self._check()
        assert self._writing is not None
        try:
            count: int = await on_thread(self._writing, self._runner.replay)
        except sqlite3.Error as exc:
            raise translate(exc, self._path) from exc
        self._changes.note()
        return count

    async def aclose(self) -> None:
        """Give up one use; the last one drains the writer and closes the file.

        A caller that is cancelled meanwhile stops waiting, and nothing else.
        """
        self._users = max(self._users - 1, 0)
        if self._users:
            return
        if self._ending is None:
            self._forget()
            self._ending = asyncio.create_task(self._close())
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        if self._ready is not None:
            await asyncio.wait((self._ready,))
        self._writer.close()
        await self._changes.aclose()
        if self._task is not None:
            await self._task
        await self._close_connections()

    async def _close_connections(self) -> None:
        # The writer's connection goes last: a read-write connection that
        # closes last checkpoints, a read-only one cannot.
        await self._readers.aclose()
        if self._writing is not None:
            await self._writing.close()

    def check_here(self) -> None:
        """Refuse another process or event loop than those that opened the store.

        Raises:
            WrongLoopError: This is another.
        """
        if self._forks != forks():
            raise WrongLoopError("the process that opened it, and this is another")
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoopError("the event loop that opened it, and this is another")

    def _check(self) -> None:
        self.check_here()
        if self._users <= 0:
            raise ClosedError("store")
        if self._failure is not None:
            raise self._failure

    def _forget(self) -> None:
        key = (self._path, self._forks, id(self._loop))
        if _open_stores.get(key) is self:
            del _open_stores[key]

    async def _strengthen(self, durability: str) -> None:
        """Give everybody the stronger durability that was asked for."""
        if durability == "full" and self._durability != "full":
            assert self._writing is not None
            await on_thread(self._writing, make_durable)
            self._durability = durability

    async def _started(self, *, create: bool) -> None:
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._start(create=create))
        await asyncio.shield(self._ready)

    async def _start(self, *, create: bool) -> None:
        try:
            await self._connect(create=create)
        except sqlite3.Error as exc:
            raise translate(exc, self._path) from exc
        self._task = asyncio.create_task(self._work(), name=f"tract writer of {self._path}")

    async def _connect(self, *, create: bool) -> None:
        in_memory = self._path == MEMORY
        file = Path(self._path)
        if not in_memory and not file.exists():
            if not create:
                raise StoreNotFoundError(self._path)
            if not file.parent.is_dir():
                raise FolderNotFoundError(str(file.parent))
        if not in_memory and file.is_dir():
            raise StoreReadOnlyError(self._path)
        if not in_memory and file.exists() and looks_foreign(file):
            has_log = Path(self._path + "-wal").exists()
            looking = await connect(self._path, mode="ro" if has_log else "look")
            try:
                await on_thread(looking, refuse_foreign, self._path)
            finally:
                await looking.close()
        self._writing = await connect(self._path, mode="rwc")
        runner = self._runner
        await on_thread(self._writing, prepare_writer, self._path, self._durability, runner.statements, runner.projections)
        await on_thread(self._writing, migrate, runner)
        if in_memory:
            self._readers.share(self._writing)
        else:
            await self._readers.open()

    async def _work(self) -> None:
        try:
            await self._writer.work()
        except asyncio.CancelledError:
            # The loop is going down with the store still open.
            self._forget()
            self._users = 0
            warnings.warn(f"{self!r} was never closed; use 'async with' or aclose()", ResourceWarning, stacklevel=1)
            await self._close_connections()
            raise

    async def _run(self, requests: Sequence[Work]) -> list[Outcome]:
        assert self._writing is not None
        if self._failure is not None:
            return [self._failure for _ in requests]
        try:
            outcomes: list[Outcome] = await on_thread(self._writing, self._runner.run, requests)
        except UnknownOutcomeError as exc:
            assert isinstance(exc.__cause__, sqlite3.Error)
            self._failure = translate(exc.__cause__, self._path)
            self._forget()  # so that opening the path again does open it again
            warn("store.failed", store=self._path, error=type(self._failure).__name__)
            return [self._failure for _ in requests]
        except sqlite3.Error as exc:
            self._failure = StoreFailedError(self._path, type(exc).__name__)
            return [self._failure for _ in requests]
        finally:
            self._changes.note()
        self._wal_pages += _pages(requests)
        if self._wal_pages > WAL_LIMIT_PAGES:
            await self._checkpoint()
        return outcomes

    async def _rest(self) -> None:
        if self._wal_pages > CHECKPOINT_PAGES:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        self._wal_pages = 0
        if self._path != MEMORY:
            assert self._writing is not None
            try:
                await on_thread(self._writing, _checkpoint)
            except sqlite3.Error as exc:
                # Nothing is lost: the pages are in the write-ahead log, and an
                # append will say so if the disk is full. It is tried again.
                warn("checkpoint.failed", store=self._path, error=type(exc).__name__)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"


def _pages(requests: Sequence[Work]) -> int:
    """Estimate what a batch adds to the write-ahead log.

    A dozen pages for the tips of tables and indexes, and the data.
    """
    appends = [request for request in requests if not isinstance(request, Scratch)]
    return (12 if appends else 3) + sum(1 + sum(len(blob.data) for blob in request.blobs) // 4096 for request in appends)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
