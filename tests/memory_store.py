"""A store of lists and dicts, written from the protocol alone and simple enough to be obviously right.

Log, blobs, order, operation ids, queue and wake-ups are plain Python: requests
are written one by one, the digests are those of `builders`. Only what is
derived from the log stands in a private SQLite connection, for the statements
of the projections are SQL; events and blobs are mirrored there for their joins.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from os import urandom
from time import perf_counter
from typing import Any, Generic, TypeVar

from attrs import define

from tests.builders import canonical, linked
from tract.domain.events import Event, NewEvent
from tract.domain.ids import BlobId, OperationId, TractId, uuid_bytes
from tract.domain.statistics import Percentiles, StoreStatistics
from tract.errors import ClosedError, OperationMismatchError, ProjectionError, WrongLoopError
from tract.log.codec import encode_body
from tract.log.companions import Companion
from tract.log.halts import Halt, InUse, Rebuilding
from tract.log.protocol import (
    BlobDraft,
    Checkpoint,
    Chunk,
    Projection,
    Query,
    Request,
    Row,
    Statement,
    Submission,
    UnfitStatementError,
)
from tract.log.sqlite_errors import translate

T = TypeVar("T")

TABLES = (
    "log.create_events",
    "log.create_blobs",
    "log.create_projections",
    "log.create_halts",
    "scratch.create_partials",
    "scratch.create_leases",
)


@define(eq=False)
class Pending(Generic[T]):
    """A request in the queue."""

    kind: str
    write: Callable[[], T]
    result: "asyncio.Future[T]"
    then: Callable[[], None] | None = None
    is_owned: bool = False

    async def wait(self) -> T:
        return await asyncio.shield(self.result)


class MemoryStore:
    """One log in memory, under the protocol of every store."""

    where = ":memory:"

    def __init__(self, clock: Callable[[], int], statements: Mapping[str, str], projections: Sequence[Projection]) -> None:
        self.clock = clock
        self.statements = statements
        self.projections = projections
        self.events: list[Event] = []
        self.rows: list[Row] = []
        self.blobs: dict[bytes, BlobDraft] = {}
        self.salts: dict[bytes, bytes] = {}
        self.facts: dict[Any, Any] = {}
        self.users = 1
        self.companions: list[Companion] = []
        self.loop = asyncio.get_running_loop()
        self.queue: list[Pending[Any]] = []
        self.worker: asyncio.Task[None] | None = None
        self.one_at_a_time = asyncio.Lock()
        self.seconds: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.changes = 0
        self.change = asyncio.Event()
        self.derived = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for name in (*TABLES, *(name for projection in projections for name in projection.create)):
            self.derived.execute(statements[name])

    async def append(self, request: Request, then: Callable[[], None] | None = None) -> tuple[Event, ...]:
        return await self.enqueue("append", lambda: self.write(request), then).result

    def submit(self, request: Request) -> Submission[tuple[Event, ...]]:
        return self.enqueue("append", lambda: self.write(request), is_owned=True)

    def scratch(self, statements: Sequence[Statement], *, is_durable: bool = False) -> Submission[tuple[int, ...]]:
        return self.enqueue("scratch", lambda: self.execute(statements), is_owned=True)

    async def read(self, query: Callable[[Query], T]) -> T:
        self.check()
        async with self.one_at_a_time:
            self.check()
            return query(Reading(self))

    def mark(self) -> int:
        return self.changes

    async def changed(self, mark: int, *, is_patient: bool = False) -> None:
        self.check()
        while self.changes <= mark:
            await self.change.wait()
            self.check()

    def draft(self, data: bytes) -> BlobDraft:
        fingerprint = sha256(data).digest()
        salt = self.salts.setdefault(fingerprint, urandom(16))
        return BlobDraft(BlobId(sha256(salt + data).hexdigest()), salt, fingerprint, data)

    async def remember(self, data: bytes) -> None:
        self.check()

    def statistics(self) -> StoreStatistics:
        self.check()
        waiting = sum(pending.is_owned or not pending.result.cancelled() for pending in self.queue)
        count = len(self.seconds)
        return StoreStatistics(
            self.where,
            waiting=waiting,
            appends=self.outcomes["append"],
            scratch=self.outcomes["scratch"],
            failed=self.outcomes["failed"],
            batches=count,
            batch_max=min(count, 1),
            commit=Percentiles.of(self.seconds[-1024:]),
        )

    def check_here(self) -> None:
        if asyncio.get_running_loop() is not self.loop:
            raise WrongLoopError("the event loop that opened it, and this is another")

    async def adopt(self, projection: Projection) -> int:
        return await self.beside(lambda: self.adopted(projection))

    async def advance(self, chunk: Chunk) -> bool:
        return await self.beside(lambda: self.advanced(chunk))

    async def halt(self, checkpoint: Checkpoint, before: int, halt: Halt) -> bool:
        row = (halt.projection, halt.stream, halt.position, halt.finding)
        return await self.beside(lambda: self.is_at(checkpoint, before) and self.execute([Statement("log.halt", row)]) == (1,))

    async def beside(self, write: Callable[[], T]) -> T:
        self.check()
        async with self.one_at_a_time:
            return self.whole(write)

    def accompany(self, companion: Companion) -> None:
        self.companions.append(companion)

    def share(self) -> None:
        self.check()
        self.users += 1

    async def aclose(self) -> None:
        self.users = max(self.users - 1, 0)
        if not self.users:
            self.users = 1
            for companion in self.companions:
                await companion.aclose()
            self.users = 0
            self.note()
            if self.worker is not None:
                await asyncio.shield(self.worker)
            self.derived.close()

    async def rebuild(
        self, projections: Collection[str] | None = None, tell: Callable[[int, int], None] = lambda _, __: None
    ) -> Rebuilding:
        self.check()
        async with self.one_at_a_time:
            for projection in reversed(self.projections):
                self.execute([Statement(name) for name in projection.drop])
            for projection in self.projections:
                self.execute([Statement(name) for name in projection.create])
            for event in self.events:
                self.fold(event, {})
        self.note()
        names = tuple(projection.name for projection in self.projections)
        return Rebuilding(names, len(self.events), 0, (0.0, 0.0, 0.0), 0.0, ())

    def check(self) -> None:
        self.check_here()
        if not self.users:
            raise ClosedError("store")

    def note(self) -> None:
        self.changes += 1
        self.change.set()
        self.change = asyncio.Event()

    def enqueue(
        self, kind: str, write: Callable[[], T], then: Callable[[], None] | None = None, *, is_owned: bool = False
    ) -> Pending[T]:
        self.check()
        pending = Pending(kind, write, self.loop.create_future(), then, is_owned)
        self.queue.append(pending)
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self.work())
        return pending

    async def work(self) -> None:
        while self.queue:
            pending = self.queue.pop(0)
            if pending.is_owned or not pending.result.cancelled():
                await self.settle(pending)

    async def settle(self, pending: Pending[Any]) -> None:
        async with self.one_at_a_time:
            start, outcome = perf_counter(), "failed"
            try:
                # A decision may wait for the loop, so it must not run on it.
                written = await asyncio.to_thread(self.whole, pending.write)
                outcome = pending.kind
            except Exception as exc:  # noqa: BLE001 - whatever it raises is its caller's
                if not pending.result.done():
                    pending.result.set_exception(exc)
                    pending.result.exception()
                return
            finally:
                self.outcomes[outcome] += 1
                self.seconds.append(perf_counter() - start)
                self.note()
        if pending.then is not None:
            pending.then()
        if not pending.result.done():
            pending.result.set_result(written)

    def whole(self, write: Callable[[], T]) -> T:
        """Write all of it or nothing."""
        count, blobs, is_whole = len(self.events), dict(self.blobs), False
        self.derived.execute("BEGIN")
        try:
            written = write()
            is_whole = True
        except sqlite3.Error as exc:
            raise translate(exc, self.where) from exc
        finally:
            self.derived.execute("COMMIT" if is_whole else "ROLLBACK")
            if not is_whole:
                del self.events[count:], self.rows[count:]
                self.blobs = blobs
        return written

    def write(self, request: Request) -> tuple[Event, ...]:
        if request.digest is not None:
            earlier = tuple(event for event in self.events if event.operation == request.operation)
            if earlier:
                return self.repeated(earlier, request)
        reading = Reading(self)
        drafts = request.decide([reading(read.name, *read.parameters) for read in request.reads])
        if drafts:
            for blob in request.blobs:
                self.keep(blob)
        events = tuple(self.record(request.stream, request.operation, draft) for draft in drafts)
        for event in events:
            self.fold(event, {blob.id: blob.data for blob in request.blobs})
        self.execute(request.scratch)
        return events

    def repeated(self, earlier: tuple[Event, ...], request: Request) -> tuple[Event, ...]:
        proof = earlier[0].request
        if proof is None or self.blobs[bytes.fromhex(proof)].data != request.digest:
            raise OperationMismatchError(request.operation)
        return earlier

    def keep(self, blob: BlobDraft) -> None:
        id = bytes.fromhex(blob.id)
        if id not in self.blobs:
            self.blobs[id] = blob
            self.execute([Statement("log.insert_blob", (id, blob.salt, blob.fingerprint, blob.data))])

    def record(self, stream: TractId, operation: OperationId, draft: NewEvent) -> Event:
        last = next((event for event in reversed(self.events) if event.stream == stream), None)
        version, previous, earliest = (last.version, last.digest, last.recorded_at) if last else (0, bytes(32), 0)
        body, recorded_at = draft.body, max(self.clock(), earliest)
        data = encode_body(body, draft.request)
        head = [stream, version + 1, draft.tract, body.tag, body.schema, operation, draft.actor, recorded_at]
        event = Event(
            position=len(self.events) + 1,
            stream=stream,
            version=version + 1,
            tract=draft.tract,
            body=body,
            operation=operation,
            actor=draft.actor,
            recorded_at=recorded_at,
            digest=linked(previous, canonical(head), data),
            request=draft.request,
        )
        places = (event.position, uuid_bytes(stream), event.version, uuid_bytes(draft.tract))
        facts = (body.tag, body.schema, data.decode(), uuid_bytes(operation), draft.actor, recorded_at, event.digest)
        self.events.append(event)
        self.rows.append((*places, *facts))
        self.execute([Statement("log.insert_event", self.rows[-1])])
        return event

    def adopted(self, projection: Projection) -> int:
        """Know nothing of versions: nothing here outlives the process."""
        rows = self.derived.execute(self.statements["log.checkpoint"], (projection.name,)).fetchall()
        known = {name for (name,) in self.derived.execute("SELECT name FROM sqlite_schema")}
        if rows and all(table in known for table, _ in projection.tables):
            return int(rows[0][2])
        for name in (*projection.drop, *projection.create):
            self.derived.execute(self.statements[name])
        self.execute([Statement("log.put_projection", (projection.name, projection.version, 0, 0, None))])
        return 0

    def is_at(self, checkpoint: Checkpoint, position: int) -> bool:
        rows = self.derived.execute(self.statements["log.checkpoint"], (checkpoint.name,)).fetchall()
        return [row[:3] for row in rows] == [(checkpoint.version, checkpoint.edition, position)]

    def advanced(self, chunk: Chunk) -> bool:
        if not all(self.is_at(each, chunk.before) for each in chunk.projections):
            return False
        for each in chunk.projections:
            row = (each.name, each.version, each.edition, chunk.before, chunk.after, chunk.digest)
            self.execute([Statement("log.advance", row)])
        try:
            self.execute(chunk.statements)
        except Exception as exc:
            raise UnfitStatementError from exc
        return True

    def fold(self, event: Event, blobs: Mapping[BlobId, bytes]) -> None:
        for projection in self.projections:
            if isinstance(event.body, projection.folds):
                try:
                    self.execute(tuple(projection.apply((event,), blobs)))
                except Exception as exc:
                    finding = f"{event.body.tag} cannot be folded"
                    raise ProjectionError(self.where, projection.name, event.stream, None, finding) from exc

    def execute(self, statements: Sequence[Statement]) -> tuple[int, ...]:
        return tuple(self.derived.execute(self.statements[each.name], each.parameters).rowcount for each in statements)


class Reading:
    """Answers for the log from the lists, for everything else from what is derived."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.facts = store.facts
        self.in_use = InUse()

    def __call__(self, name: str, *parameters: Any) -> list[Row]:
        if name == "log.events_after":
            position, limit = parameters
            return self.store.rows[position : position + limit]
        if name in ("log.blob", "log.sound_blob"):
            blob = self.store.blobs.get(parameters[0])
            return [] if blob is None else [(blob.data,)]
        return self.store.derived.execute(self.store.statements[name], parameters).fetchall()
