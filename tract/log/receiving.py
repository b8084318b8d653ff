"""Taking in what another store recorded: events as they were hashed, and their blobs.

A family keeps its ids, versions and digests; only positions are new. Runs on
the thread of the writer's connection. Imports `batch` and what it imports.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from attrs import define, field
from msgspec import Struct

from tract.domain.canonical import sha256
from tract.domain.events import Event
from tract.domain.ids import TractId, uuid_text
from tract.errors import CorruptLogError, FamilyDiffersError
from tract.log import chain
from tract.log.batch import BatchRunner
from tract.log.codec import decode_event
from tract.log.packing import pack
from tract.log.protocol import Row


class Recorded(Struct, frozen=True, gc=False):
    """An event of another store, with the blobs that it names.

    Attributes:
        row: Its columns in order; the position does not matter.
        blobs: Id, salt and bytes of each; neither of the two where they are gone.
    """

    row: Row
    blobs: tuple[tuple[bytes, bytes | None, bytes | None], ...] = ()


Ask: TypeAlias = Callable[..., list[Row]]
"""Runs a named statement within the transaction and returns its rows."""
Admit: TypeAlias = Callable[[Ask, Event], None]
"""Refuses the first event of a family that the store has not, by raising."""


def receive(connection: sqlite3.Connection, runner: BatchRunner, recorded: Iterable[Recorded], admit: Admit) -> tuple[int, int]:
    """Append what the store has not; return how many events that were, and how many it had.

    One transaction, all or nothing. Each family must be given in order, from
    its first event on. Blobs come with what is
    appended alone: those of events that are there already stay as they are.

    Raises:
        FamilyDiffersError: The store has another event in the place of one.
        ProjectionError: A family stands still in the store.
        CorruptLogError: An event has not its shape, or does not follow the one before.
        NewerSchemaError: A later version brought the file up, or its tables.
        sqlite3.Error: It cannot be written.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        runner.look(connection)
        cursor = connection.cursor()
        (position,) = cursor.execute(runner.book.now["log.last_position"]).fetchone()
        receiving = _Receiving(cursor, runner, admit, position)
        for one in recorded:
            receiving.take(one)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return receiving.position - position, receiving.known


@define(eq=False, repr=False)
class _Receiving:
    """One transaction, in which events are appended.

    Attributes:
        position: Where the log ends.
        known: Events that were there already.
    """

    _cursor: sqlite3.Cursor
    _runner: BatchRunner
    _admit: Admit
    position: int
    known: int = 0
    _ends: dict[bytes, tuple[int, bytes]] = field(factory=dict)

    def take(self, recorded: Recorded) -> None:
        """Append an event, or see that it is there."""
        row = recorded.row
        stream, version, digest = row[1], row[2], row[10]
        last, previous = self._ends.get(stream) or self._end(stream)
        if version <= last:
            if self._ask("log.digest_of_version", stream, version) != [(digest,)]:
                raise FamilyDiffersError(self._runner.where, uuid_text(stream), version)
            self.known += 1
            return
        self._runner.refuse_halted(TractId(uuid_text(stream)))
        event = decode_event((self.position + 1, *row[1:]), file=self._runner.where)
        head = (event.stream, version, event.tract, row[4], row[5], event.operation, event.actor, event.recorded_at)
        if version != last + 1 or digest != chain.link(previous, head, row[6].encode()):
            raise self._corrupt(event, "it does not follow what is before it")
        self._append(event, row, recorded)
        self._ends[stream] = version, digest

    def _append(self, event: Event, row: Row, recorded: Recorded) -> None:
        if event.version == 1:
            self._admit(self._ask, event)
        for id, salt, data in recorded.blobs:
            self._store(id, salt, data)
        self._ask("log.insert_event", event.position, *row[1:])
        self.position = event.position
        try:
            self._runner.fold(self._cursor, event, {})
        except (sqlite3.IntegrityError, ValueError, OverflowError) as exc:
            raise self._corrupt(event, f"{row[4]} cannot follow what is before it") from exc

    def _store(self, id: bytes, salt: bytes | None, data: bytes | None) -> None:
        columns = (id, None, None, None) if data is None else (id, salt, sha256(data), pack(data))
        self._ask("log.insert_blob", *columns)
        if not self._cursor.rowcount and data is not None:
            # It is there already; what was collected comes back with what names it.
            self._ask("log.restore_blob", *columns)

    def _end(self, stream: bytes) -> tuple[int, bytes]:
        found = self._ask("log.stream_head", stream)
        version, digest = found[0][:2] if found else (0, chain.START)
        return version, digest

    def _ask(self, name: str, *parameters: Any) -> list[Row]:
        return self._cursor.execute(self._runner.book.now[name], parameters).fetchall()

    def _corrupt(self, event: Event, finding: str) -> CorruptLogError:
        return CorruptLogError(self._runner.where, event.stream, event.version, finding)
