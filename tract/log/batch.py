"""One transaction of the writer: reads, decisions, events, projections.

Runs on the connection's thread. Each request gets its own result or its own
error. Imports `domain`, `protocol`, `codec`, `chain` and `sqlite_files`.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import Factory, define, field, frozen

from tract.domain.events import Event, NewEvent
from tract.domain.ids import BlobId, TractId, uuid_bytes
from tract.errors import NewerSchemaError, OperationMismatchError, ProjectionError
from tract.log import chain
from tract.log.codec import decode_operation, encode_body
from tract.log.editions import Book, Editions
from tract.log.packing import pack
from tract.log.protocol import Projection, Request, Scratch, Statement, Work
from tract.log.sqlite_errors import DATABASE_ERRORS, is_of_the_statement, translate
from tract.log.sqlite_files import schema_of

Outcome: TypeAlias = "tuple[Event, ...] | tuple[int, ...] | Exception"
"""What was appended; how many rows each statement of a scratch changed; or why nothing was written."""
StreamHead: TypeAlias = tuple[int, bytes, int]
"""version, digest and recorded_at of a stream's last event."""


class UnknownOutcomeError(Exception):
    """COMMIT itself raised: what it was to write may be there or not."""


@define
class _Tail:
    """Where the log ends, within one transaction."""

    position: int
    heads: dict[TractId, StreamHead] = field(factory=dict)


@frozen(eq=False, repr=False)
class BatchRunner:
    """Appends batches of requests.

    Attributes:
        where: The store, for people.
        statements: SQL by name.
        projections: The inline ones.
        clock: Microseconds since 1970, UTC.
        followers: The projections that follow the log.
        interested: Who folds an event, by its class, as far as it was asked.
        book: The statements, on the tables that are in use.
    """

    where: str
    statements: Mapping[str, str]
    projections: Sequence[Projection]
    clock: Callable[[], int]
    followers: Sequence[Projection] = ()
    interested: dict[type[Any], tuple[Projection, ...]] = field(factory=dict)
    book: Book = Factory(lambda self: Book(Editions(self.statements, (*self.projections, *self.followers))), takes_self=True)

    def look(self, connection: sqlite3.Connection) -> Mapping[str, str]:
        """Return the statements to use in the transaction that is open, which may write; two microseconds.

        Raises:
            NewerSchemaError: A later version brought the file up, or made the
                tables of an inline projection.
            sqlite3.Error: The file cannot be read.
        """
        schema_of(connection, self.where)
        statements = self.book.look(connection)
        for projection in self.projections:
            version = self.book.versions.get(projection.name, 0)
            if version > projection.version:
                raise NewerSchemaError(self.where, version, projection.version)
        return statements

    def run(self, connection: sqlite3.Connection, requests: Sequence[Work]) -> list[Outcome]:
        """Write the requests in one transaction and return their outcomes.

        After a failing statement the batch is rolled back and its requests
        run one by one, so that only the guilty one fails. Scratch alone does
        not wait for the disk, unless it asks to.

        Raises:
            UnknownOutcomeError: The connection must not be used again.
            NewerSchemaError: A later version brought the file up; nothing was written.
        """
        if not all(isinstance(request, Scratch) and not request.is_durable for request in requests):
            return self._run(connection, requests)
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            return self._run(connection, requests)
        finally:
            connection.execute(f"PRAGMA synchronous = {level}")

    def _run(self, connection: sqlite3.Connection, requests: Sequence[Work]) -> list[Outcome]:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except DATABASE_ERRORS as exc:
            locked = translate(exc, self.where)
            locked.__cause__ = exc
            return [locked for _ in requests]
        error: Exception
        try:
            return self._transaction(connection, requests)
        except (UnknownOutcomeError, NewerSchemaError):
            raise
        except DATABASE_ERRORS as exc:
            error = translate(exc, self.where)
            error.__cause__ = exc
        except Exception as exc:  # noqa: BLE001 - an event that cannot be stored is its request's fault alone
            error = exc
        if len(requests) == 1:
            return [error]
        return [outcome for request in requests for outcome in self.run(connection, [request])]

    def _transaction(self, connection: sqlite3.Connection, requests: Sequence[Work]) -> list[Outcome]:
        try:
            self.look(connection)
            (position,) = connection.execute(self.book.now["log.last_position"]).fetchone()
            tail = _Tail(position)
            # One cursor for all, straight to C: `execute` of our connection
            # class is Python, and each call of it makes a cursor.
            cursor = connection.cursor()
            outcomes = [self._write(cursor, request, tail) for request in requests]
        except BaseException:
            # A full disk has rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise UnknownOutcomeError from exc
            # A transaction counts once its last frame is in the write-ahead
            # log, so one that found no room for it was never there.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _write(self, cursor: sqlite3.Cursor, request: Work, tail: _Tail) -> Outcome:
        if isinstance(request, Scratch):
            return self._execute(cursor, request.statements)
        outcome = self._append(cursor, request, tail)
        if request.scratch and not isinstance(outcome, Exception):
            self._execute(cursor, request.scratch)
        return outcome

    def _execute(self, cursor: sqlite3.Cursor, statements: Sequence[Statement]) -> tuple[int, ...]:
        sql = self.book.now
        return tuple([cursor.execute(sql[each.name], each.parameters).rowcount for each in statements])

    def _append(self, cursor: sqlite3.Cursor, request: Request, tail: _Tail) -> tuple[Event, ...] | Exception:
        try:
            self.refuse_halted(request.stream)
            if request.digest is not None:
                earlier = self._earlier(cursor, request)
                if earlier:
                    return earlier
            rows = [cursor.execute(self.book.now[read.name], read.parameters).fetchall() for read in request.reads]
            drafts = request.decide(rows)
        except DATABASE_ERRORS:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever the decision raises is its caller's
            # Nothing was written for it yet: it fails alone.
            return exc
        if not drafts:
            return ()
        self._store_blobs(cursor, request)
        events = tuple(self._insert(cursor, request, draft, tail) for draft in drafts)
        self._project(cursor, request, events)
        return events

    def refuse_halted(self, stream: TractId) -> None:
        """Refuse to append to a family that stands still: its tables are not those of its log.

        Raises:
            ProjectionError: It does.
        """
        halt = self.book.halted.get(uuid_bytes(stream))
        if halt is not None:
            raise ProjectionError(self.where, halt.projection, stream, halt.position, halt.finding)

    def _earlier(self, cursor: sqlite3.Cursor, request: Request) -> tuple[Event, ...]:
        """Return what the operation appended before, for a call that comes again."""
        sql = self.book.now["log.operation_events"]
        rows = cursor.execute(sql, (uuid_bytes(request.operation),)).fetchall()
        events, proof = decode_operation(rows, file=self.where)
        if events:
            blob = bytes.fromhex(proof or "")
            stored = cursor.execute(self.book.now["log.blob"], (blob,)).fetchone()
            if stored is None or stored[0] != request.digest:
                raise OperationMismatchError(request.operation)
        return events

    def _store_blobs(self, cursor: sqlite3.Cursor, request: Request) -> None:
        for blob in request.blobs:
            row = (bytes.fromhex(blob.id), blob.salt, blob.fingerprint, pack(blob.data))
            cursor.execute(self.book.now["log.insert_blob"], row)
            if not cursor.rowcount:
                # It is there already; what was collected meanwhile comes back.
                cursor.execute(self.book.now["log.restore_blob"], row)

    def _insert(self, cursor: sqlite3.Cursor, request: Request, draft: NewEvent, tail: _Tail) -> Event:
        stream, body = request.stream, draft.body
        version, previous, recorded_at = tail.heads.get(stream) or self._stream_head(cursor, stream)
        version, recorded_at = version + 1, max(self.clock(), recorded_at)
        data = encode_body(body, draft.request)
        head = (stream, version, draft.tract, body.tag, body.schema, request.operation, draft.actor, recorded_at)
        digest = chain.link(previous, head, data)
        tail.position += 1
        tail.heads[stream] = (version, digest, recorded_at)
        row = (
            tail.position,
            uuid_bytes(stream),
            version,
            uuid_bytes(draft.tract),
            body.tag,
            body.schema,
            data.decode(),
            uuid_bytes(request.operation),
            draft.actor,
            recorded_at,
            digest,
        )
        cursor.execute(self.book.now["log.insert_event"], row)
        return Event(
            position=tail.position,
            stream=stream,
            version=version,
            tract=draft.tract,
            body=body,
            operation=request.operation,
            actor=draft.actor,
            recorded_at=recorded_at,
            digest=digest,
            request=draft.request,
        )

    def _stream_head(self, cursor: sqlite3.Cursor, stream: TractId) -> StreamHead:
        row: StreamHead | None = cursor.execute(self.book.now["log.stream_head"], (uuid_bytes(stream),)).fetchone()
        return row or (0, chain.START, 0)

    def _project(self, cursor: sqlite3.Cursor, request: Request, events: tuple[Event, ...]) -> None:
        blobs = {blob.id: blob.data for blob in request.blobs}
        for event in events:
            for projection in self._folding(event):
                self._show(cursor, projection, event, blobs)

    def _show(self, cursor: sqlite3.Cursor, projection: Projection, event: Event, blobs: Mapping[BlobId, bytes]) -> None:
        # It has no position yet: the next append will stand where it was to.
        failure = (projection.name, event.stream, None, f"{event.body.tag} cannot be folded")
        try:
            statements = tuple(projection.apply((event,), blobs))
        except Exception as exc:
            raise ProjectionError(self.where, *failure) from exc
        try:
            self._execute(cursor, statements)
        except Exception as exc:
            if not is_of_the_statement(exc):
                raise
            raise ProjectionError(self.where, *failure) from exc

    def fold(self, cursor: sqlite3.Cursor, event: Event, blobs: Mapping[BlobId, bytes]) -> None:
        """Show one event to the projections that fold it.

        Event by event, also in a replay: a later projection's statements read
        what an earlier one's wrote for the same event.
        """
        for projection in self._folding(event):
            self._execute(cursor, tuple(projection.apply((event,), blobs)))

    def _folding(self, event: Event) -> tuple[Projection, ...]:
        kind = type(event.body)
        interested = self.interested.get(kind)
        if interested is None:
            interested = tuple(projection for projection in self.projections if issubclass(kind, projection.folds))
            self.interested[kind] = interested
        return interested


def pages(requests: Sequence[Work]) -> int:
    """Estimate what a batch adds to the write-ahead log.

    A dozen pages for the tips of tables and indexes, and the data.
    """
    appends = [request for request in requests if not isinstance(request, Scratch)]
    return (12 if appends else 3) + sum(1 + sum(len(blob.data) for blob in request.blobs) // 4096 for request in appends)
