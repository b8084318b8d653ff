"""`SqliteStore`: the log in one SQLite file, or in memory.

One object a real path, process and event loop; opening the file again shares
it. The writer task owns the only connection that writes; two more read.
Imports `protocol`, `writer`, `batch`, `write_connection`, `readers`,
`changes`, `filesystems`, `measuring`, `migrating` and `sqlite_files`.
"""

import asyncio
import os
import sqlite3
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

from tract.diagnostics import warn
from tract.domain.events import Event
from tract.domain.statistics import StoreStatistics
from tract.errors import (
    ClosedError,
    NewerSchemaError,
    StoreError,
    StoreVanishedError,
    WrongLoopError,
)
from tract.log import advancing
from tract.log.batch import BatchRunner, Outcome, UnknownOutcomeError, pages
from tract.log.changes import Changes
from tract.log.companions import Companion
from tract.log.entropy import forks
from tract.log.halts import Halt, Rebuilding
from tract.log.locking import PATIENCE, RebuildLock
from tract.log.looking import refuse_unfit
from tract.log.measuring import measured
from tract.log.migrating import migrate
from tract.log.places import Hold, Presence
from tract.log.protocol import BlobDraft, Checkpoint, Chunk, Projection, Query, Request, Scratch, Statement, Work
from tract.log.readers import Readers
from tract.log.rebuilding import Rebuild
from tract.log.salting import Salts
from tract.log.sqlite_errors import DATABASE_ERRORS, translate
from tract.log.sqlite_files import (
    MEMORY,
    make_durable,
    on_thread,
    prepare_writer,
)
from tract.log.write_connection import WriteConnection
from tract.log.writer import PendingWrite, Writer

T = TypeVar("T")

_open_stores: dict[tuple[str, int, int], "SqliteStore"] = {}


class SqliteStore:
    """One log with its blobs and inline projections.

    Made by `open`, never directly. Counted: `aclose` as often as `open`.

    Attributes:
        patience: Seconds that an append waits for writers of other processes.
    """

    patience: ClassVar[float] = PATIENCE

    def __init__(self, path: str, runner: BatchRunner, durability: str) -> None:
        self._path = path
        self._runner = runner
        self._durability = durability
        self._loop = asyncio.get_running_loop()
        self._forks = forks()
        self._users = 0
        self._ready: asyncio.Task[None] | None = None
        self._writing = WriteConnection(path, self.patience, self.is_lost)
        self._readers = Readers(path, runner.book.editions)
        self._writer = Writer(self._run, self._writing.rest)
        self._changes = Changes(None if path == MEMORY else self._readers.data_version)
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_closed = False
        self._failure: Exception | None = None
        self._salts = Salts()
        self._companions: list[Companion] = []
        self._presence: Presence | None = None
        self._hold: Hold | None = None

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

        Args:
            where: The path, or `:memory:`.
            create: Whether to make one where there is none.
            durability: `full` or `normal`.
            clock: Microseconds since 1970, UTC.
            statements: SQL by name.
            projections: Those that are kept in step with every append, and
                those that may follow the log.

        Raises:
            StoreNotFoundError: There is no file and *create* is false.
            NotAStoreError: The file is something else.
            NewerSchemaError: A later version wrote it.
            NetworkFileSystemError: Its folder is on one.
            StoreLockedError: Another process wrote for too long.
            StoreError: It cannot be read or written.
        """
        path = where if where == MEMORY else os.path.realpath(where)
        loop = asyncio.get_running_loop()
        key = (path, forks(), id(loop))
        store = None if path == MEMORY else _open_stores.get(key)
        if store is None or store.is_lost():
            inline = tuple(each for each in projections if each.is_inline)
            followers = tuple(each for each in projections if not each.is_inline)
            store = cls(path, BatchRunner(path, statements, inline, clock, followers), durability)
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

    def submit(self, request: Request) -> PendingWrite[tuple[Event, ...]]:
        """Hand a request over without waiting."""
        self._check()
        return self._writer.submit(request)

    def scratch(self, statements: Sequence[Statement], *, is_durable: bool = False) -> PendingWrite[tuple[int, ...]]:
        """Hand statements on scratch tables to the writer."""
        self._check()
        return self._writer.scratch(Scratch(tuple(statements), is_durable))

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run a function over one snapshot, on a reader's thread."""
        self._check()
        return await self._readers.read(query)

    def mark(self) -> int:
        """Return how many changes were noticed so far."""
        return self._changes.mark()

    async def changed(self, mark: int, *, is_patient: bool = False) -> None:
        """Wait until something changed after *mark*, by whoever it was."""
        self._check()
        await self._changes.changed(mark, is_patient=is_patient)

    async def adopt(self, projection: Projection) -> int:
        """Return up to which position a projection has read."""
        position: int = await self._beside(advancing.adopt, projection)
        return position

    async def advance(self, chunk: Chunk) -> bool:
        """Apply a chunk, if its projections still are where it begins."""
        is_done: bool = await self._beside(advancing.advance, chunk)
        await self._writing.wrote(4 + sum(len(each.parameters) for each in chunk.statements) // 32)
        return is_done

    async def halt(self, checkpoint: Checkpoint, before: int, halt: Halt) -> bool:
        """Note where a projection met an event that it cannot fold, if it still is before that."""
        is_noted: bool = await self._beside(advancing.halt, checkpoint, before, halt)
        return is_noted

    async def _beside(self, work: Callable[..., T], *args: Any) -> T:
        """Run work of the writer's connection that is not in its queue."""
        self._check()
        try:
            result: T = await self._writing.run(work, self._runner, *args)
        except DATABASE_ERRORS as exc:
            raise translate(exc, self._path) from exc
        if self.is_lost():
            raise self._fail(StoreVanishedError(self._path))
        return result

    def accompany(self, companion: Companion) -> None:
        """Close something when the store closes, before it."""
        self._check()
        self._companions.append(companion)

    def draft(self, data: bytes) -> BlobDraft:
        """Return a blob for *data*, with the salt of equal data if it is remembered."""
        return self._salts.draft(data)

    async def remember(self, data: bytes) -> None:
        """Look up whether *data* is stored already, so that `draft` shares it."""
        if not self._salts.knows(data):
            fingerprint = self._salts.draft(data).fingerprint
            self._salts.learn(data, await self.read(lambda query: query("log.salts", fingerprint)))

    def statistics(self) -> StoreStatistics:
        """Return what was counted since this object was made, and what waits now."""
        self._check()
        return measured(self._path, self._writer, self._writing, self._readers)

    def share(self) -> None:
        """Count one more use, to be given up by `aclose`."""
        self._check()
        self._users += 1

    async def rebuild(
        self, projections: Collection[str] | None = None, tell: Callable[[int, int], None] = lambda _, __: None
    ) -> Rebuilding:
        """Make projections anew from the log, beside everybody who reads and writes."""
        self._check()
        with nullcontext() if self._path == MEMORY else RebuildLock(self._path), self._writing.filling():
            done = await Rebuild(self._runner, projections, self.read, self._fill, tell).run()
        self._changes.note()
        return done

    async def _fill(self, pages: int, work: Callable[..., T], *args: Any) -> tuple[T, float]:
        done = await self._beside(work, *args)
        return done, await self._writing.wrote(pages)

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
        self._writing.hurry()
        if self._ready is not None:
            await asyncio.wait((self._ready,))
        for companion in self._companions:
            await companion.aclose()
        self._is_closed = True
        self._writer.close()
        await self._changes.aclose()
        if self._task is not None:
            await self._task
        await self._close_connections()

    async def _close_connections(self) -> None:
        if self.is_lost():
            # The last of our connections to close would put the log that was
            # lost into a file that others may have written to since, and
            # remove theirs. One that only reads never does.
            await self._writing.aclose(is_last=False)
            await self._readers.aclose()
        else:
            await self._readers.aclose()
            await self._writing.aclose()
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.release()

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
        if self._is_closed:
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
            await on_thread(self._writing.connection, make_durable)
            self._durability = durability

    async def _started(self, *, create: bool) -> None:
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._start(create=create))
        await asyncio.shield(self._ready)

    async def _start(self, *, create: bool) -> None:
        try:
            await self._connect(create=create)
        except DATABASE_ERRORS as exc:
            raise translate(exc, self._path) from exc
        self._task = asyncio.create_task(self._work(), name=f"tract writer of {self._path}")

    async def _connect(self, *, create: bool) -> None:
        if self._path != MEMORY:
            await refuse_unfit(self._path, create=create)
        await self._writing.open()
        self._hold = Hold(self._path)
        runner = self._runner
        await self._writing.run(prepare_writer, self._path, self._durability, runner.statements, runner.projections)
        await self._writing.run(migrate, runner)
        if self._path == MEMORY:
            self._readers.share(self._writing.connection)
        else:
            await self._readers.open()
            self._presence = Presence(self._path)

    async def _work(self) -> None:
        try:
            await self._writer.work()
        except asyncio.CancelledError:
            # The loop is going down with the store still open.
            self._forget()
            self._is_closed = True
            self._writing.hurry()
            warnings.warn(f"{self!r} was never closed; use 'async with' or aclose()", ResourceWarning, stacklevel=1)
            await self._close_connections()
            raise

    async def _run(self, requests: Sequence[Work]) -> list[Outcome]:
        if self._failure is not None:
            return [self._failure for _ in requests]
        try:
            outcomes: list[Outcome] = await self._writing.run(self._runner.run, requests)
        except StoreError as exc:
            # The lock was not to be had, or the file is a later version's: nothing was written.
            refusal = self._fail(exc) if isinstance(exc, StoreVanishedError | NewerSchemaError) else exc
            return [refusal for _ in requests]
        except UnknownOutcomeError as exc:
            assert isinstance(exc.__cause__, sqlite3.Error)
            failure = self._fail(translate(exc.__cause__, self._path))
            return [failure for _ in requests]
        except DATABASE_ERRORS as exc:
            failure = self._fail(translate(exc, self._path))
            return [failure for _ in requests]
        finally:
            self._changes.note()
        # After the COMMIT, so that what is acknowledged is where the path leads.
        if self.is_lost():
            return [self._fail(StoreVanishedError(self._path)) for _ in requests]
        await self._writing.wrote(pages(requests))
        return outcomes

    def is_lost(self) -> bool:
        """Say whether the path leads to another file than was opened, or to none."""
        return self._presence is not None and self._presence.is_lost()

    def _fail(self, failure: Exception) -> Exception:
        """Refuse everything from now on, and return why."""
        if self._failure is None:
            self._failure = failure
            self._forget()  # so that opening the path again does open it again
            warn("store.failed", store=self._path, error=type(failure).__name__)
        return self._failure

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path}>"
