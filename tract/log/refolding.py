"""Folding the log once more: each event checked, decoded and turned into statements.

A `Refold` reads, outside of any lock; `write` and `write_carefully` apply what
it read, within a transaction. An event that cannot be folded stops its family
and nothing else, where the projection is one that is kept in step, or that
projection alone, where it follows the log. Used by `rebuilding` and
`migrating`. Imports `domain`, `errors`, `protocol`, `codec` and `chain`; read
`Refold.read` first.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from tract.domain.canonical import NotCanonicalError
from tract.domain.events import Event
from tract.domain.ids import BlobId, OperationId, TractId, uuid_text
from tract.errors import CorruptLogError, TractError
from tract.log import chain
from tract.log.codec import class_of, decode_event
from tract.log.halts import Halt
from tract.log.protocol import FollowingProjection, Projection, Row, Statement
from tract.log.sqlite_errors import is_of_the_statement

WORDS = 48 * 1024
"""Bytes of blobs that are read at once: with so many the search index is busy for some 4 ms."""
STREAMS = 10_000
"""Ends of streams that are remembered; the others are looked up."""

Ask: TypeAlias = Callable[..., list[Row]]
"""Runs a named statement and returns its rows."""


class Change(Struct, frozen=True, gc=False):
    """What an event means to a projection.

    Attributes:
        projection: Which.
        statements: What changes.
        finding: Why it cannot be folded, or None.
    """

    projection: Projection
    statements: tuple[Statement, ...]
    finding: str | None = None


class Folded(Struct, frozen=True, gc=False):
    """An event, as some projections see it.

    Attributes:
        position: Its place in the store.
        stream: Its family, 16 bytes.
        tag: Its type.
        changes: What it means to each that folds it, in their order.
    """

    position: int
    stream: bytes
    tag: str
    changes: tuple[Change, ...]


class Portion(Struct, frozen=True, gc=False):
    """A stretch of the log.

    Attributes:
        before: The position that it begins behind.
        after: Of its last event.
        digest: Of that event.
        events: All of them but those that mean nothing here.
        is_last: Whether the log ends there.
        is_whole: Whether each of them can be folded, as far as is known.
    """

    before: int
    after: int
    digest: bytes
    events: tuple[Folded, ...]
    is_last: bool
    is_whole: bool


class Refold:
    """Reads the log from some position on, a portion after another.

    Args:
        where: The store, for people.
        projections: Those that are shown the events, in their order.
        halts: Where they stopped already.
    """

    def __init__(self, where: str, projections: Sequence[Projection], halts: Iterable[Halt] = ()) -> None:
        self._where = where
        self._projections = projections
        self._halted: set[bytes | str] = set()
        self._interested: dict[str, tuple[Projection, ...]] = {}
        self._ends: dict[bytes, tuple[int, bytes]] = {}
        self._position = 0
        self.halt(halts)

    def halt(self, halts: Iterable[Halt]) -> None:
        """Show no more events of those families, or no more events to those projections."""
        self._halted.update(halt.stream or halt.projection for halt in halts)

    def read(self, ask: Ask, before: int, most: int, weight: int = WORDS) -> Portion | None:
        """Return what comes behind a position, or None at the end of the log.

        Args:
            ask: Of the store.
            before: The position.
            most: Events at the most.
            weight: Bytes of blobs at the most, but for those of the last event.

        Raises:
            CorruptLogError: An event does not follow the one before.
        """
        if before != self._position:
            self._ends.clear()
        rows = ask("log.events_after", before, most)
        if not rows:
            return None
        folded: list[Folded] = []
        words, last = 0, rows[-1]
        for row in rows:
            self._check(ask, row, before)
            before += 1
            blobs: dict[BlobId, bytes] = {}
            one = self._fold(ask, row, blobs)
            if one is not None:
                folded.append(one)
            words += sum(map(len, blobs.values()))
            if words > weight:
                last = row
                break
        self._position = last[0]
        is_whole = all(change.finding is None for one in folded for change in one.changes)
        is_last = last is rows[-1] and len(rows) < most
        return Portion(rows[0][0] - 1, last[0], last[10], tuple(folded), is_last, is_whole)

    def _check(self, ask: Ask, row: Row, before: int) -> None:
        """Refuse an event that is not the next one of the log and of its stream."""
        position, stream, version, tract, tag, schema, data, operation, actor, recorded_at, digest = row
        try:
            ids = TractId(uuid_text(stream)), TractId(uuid_text(tract)), OperationId(uuid_text(operation))
            ended, previous = self._ends.get(stream) or self._end(ask, stream, version)
            link = chain.link(previous, (ids[0], version, ids[1], tag, schema, ids[2], actor, recorded_at), data.encode())
        except (AttributeError, TypeError, NotCanonicalError) as exc:
            raise CorruptLogError(self._where, None, None, f"the row at position {position} has not its types") from exc
        if position != before + 1 or version != ended + 1 or digest != link:
            raise CorruptLogError(self._where, ids[0], version, "it does not follow what is before it")
        self._ends[stream] = (version, digest)

    def _end(self, ask: Ask, stream: bytes, version: int) -> tuple[int, bytes]:
        """Return what a stream has before a version, which was checked when it was folded."""
        if len(self._ends) >= STREAMS:
            self._ends.clear()
        rows = ask("log.digest_of_version", stream, version - 1)
        return (version - 1, rows[0][0]) if rows else (0, chain.START)

    def _fold(self, ask: Ask, row: Row, blobs: dict[BlobId, bytes]) -> Folded | None:
        """Return what an event means, None where that is nothing; add the blobs that had to be read."""
        stream, tag = row[1], row[4]
        interested = self._who_folds(tag)
        if not interested or stream in self._halted:
            return None
        interested = tuple(each for each in interested if each.name not in self._halted)
        try:
            event = decode_event(row, file=self._where, is_proved=True)
        except TractError:
            finding = f"{tag} of schema {row[5]} cannot be read"
            return Folded(row[0], stream, tag, tuple(Change(each, (), finding) for each in interested))
        return Folded(row[0], stream, tag, tuple(self._change(ask, each, event, blobs) for each in interested))

    def _who_folds(self, tag: str) -> tuple[Projection, ...]:
        found = self._interested.get(tag)
        if found is None:
            kind = class_of(tag)
            found = () if kind is None else tuple(each for each in self._projections if issubclass(kind, each.folds))
            self._interested[tag] = found
        return found

    def _change(self, ask: Ask, projection: Projection, event: Event, blobs: dict[BlobId, bytes]) -> Change:
        try:
            if not projection.is_inline:
                _load(ask, projection, event, blobs)
            return Change(projection, tuple(projection.apply((event,), blobs)))
        except (sqlite3.Error, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - whatever the code of a projection raises stops no other
            return Change(projection, (), f"{event.body.tag} cannot be folded")


def _load(ask: Ask, projection: Any, event: Event, blobs: dict[BlobId, bytes]) -> None:
    following: FollowingProjection = projection
    for id in following.words(event):
        if id not in blobs:
            found = ask("log.sound_blob", bytes.fromhex(id))
            if found and found[0][0] is not None:
                blobs[id] = found[0][0]


def write(cursor: sqlite3.Cursor, sql: Mapping[str, str], portion: Portion) -> None:
    """Apply a portion that is whole.

    Raises:
        Exception: A statement cannot be applied; those before it were.
    """
    # Event by event: the statements of a later projection read what those of
    # an earlier one wrote for the same event.
    for event in portion.events:
        for change in event.changes:
            for each in change.statements:
                cursor.execute(sql[each.name], each.parameters)


def write_or_undo(cursor: sqlite3.Cursor, sql: Mapping[str, str], portion: Portion) -> list[Halt]:
    """Apply a portion but for what cannot be applied, in a transaction that goes on; return where that stops what.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    if portion.is_whole:
        cursor.execute("SAVEPOINT portion")
        try:
            write(cursor, sql, portion)
        except Exception as exc:
            if not is_of_the_statement(exc):
                raise
            cursor.execute("ROLLBACK TO portion")
        else:
            cursor.execute("RELEASE portion")
            return []
        cursor.execute("RELEASE portion")
    return write_carefully(cursor, sql, portion)


def write_carefully(cursor: sqlite3.Cursor, sql: Mapping[str, str], portion: Portion) -> list[Halt]:
    """Apply a portion but for what cannot be applied; return where that stops what.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    halts: list[Halt] = []
    halted: set[bytes | str] = set()
    for event in portion.events:
        if event.stream in halted:
            continue
        inline = [change for change in event.changes if change.projection.is_inline]
        groups = [inline, *([change] for change in event.changes if not change.projection.is_inline)]
        for group in groups:
            halt = _attempted(cursor, sql, event, [change for change in group if change.projection.name not in halted])
            if halt is not None:
                halts.append(halt)
                halted.add(halt.stream or halt.projection)
                if halt.stream:
                    break
    return halts


def _attempted(cursor: sqlite3.Cursor, sql: Mapping[str, str], event: Folded, changes: Sequence[Change]) -> Halt | None:
    """Apply all of the changes, or none and say why."""
    cursor.execute("SAVEPOINT attempt")
    for change in changes:
        finding = change.finding
        try:
            for each in change.statements:
                cursor.execute(sql[each.name], each.parameters)
        except Exception as exc:
            if not is_of_the_statement(exc):
                raise
            finding = f"{event.tag} cannot follow what is before it"
        if finding is not None:
            cursor.execute("ROLLBACK TO attempt")
            cursor.execute("RELEASE attempt")
            is_inline = change.projection.is_inline
            return Halt(change.projection.name, event.stream if is_inline else b"", event.position, finding)
    cursor.execute("RELEASE attempt")
    return None
