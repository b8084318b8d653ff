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
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias

from msgspec import Struct

from tract.domain.canonical import NotCanonicalError
from tract.domain.events import Event
from tract.domain.ids import BlobId, OperationId, TractId, uuid_text
from tract.errors import CorruptLogError, TractError
from tract.log import chain
from tract.log.codec import class_of, decode_event
from tract.log.halts import Halt
from tract.log.protocol import FollowingProjection, Projection, Row
from tract.log.sqlite_errors import is_of_the_statement

WORDS = 48 * 1024
"""Bytes of blobs that are read at once: with so many the search index is busy for some 4 ms."""
STREAMS = 10_000
"""Ends of streams that are remembered; the others are looked up."""

Ask: TypeAlias = Callable[..., list[Row]]
"""Runs a named statement and returns its rows."""


class Folded(Struct, frozen=True, gc=False):
    """An event that means something to some projections.

    Attributes:
        position: Its place in the store.
        stream: Its family, 16 bytes.
        tag: Its type.
        projections: Those that fold it, in their order.
        event: It, or None where it cannot be read.
        blobs: Those that they need to see.
        findings: Why some of them cannot fold it, by their names.
    """

    position: int
    stream: bytes
    tag: str
    projections: tuple[Projection, ...]
    event: Event | None
    blobs: Mapping[BlobId, bytes] = {}
    findings: Mapping[str, str] = {}


class Step(Struct, frozen=True, gc=False):
    """A named statement, and the parameters that it is to be executed with, one after another."""

    name: str
    rows: tuple[Row, ...]


class Portion(Struct, frozen=True, gc=False):
    """A stretch of the log.

    Attributes:
        before: The position that it begins behind.
        after: Of its last event.
        digest: Of that event.
        events: All of them but those that mean nothing here.
        steps: What they change; None where one of them cannot be folded.
        is_last: Whether the log ends there.
    """

    before: int
    after: int
    digest: bytes
    events: tuple[Folded, ...]
    steps: tuple[Step, ...] | None
    is_last: bool


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
        self._interested: dict[str, tuple[tuple[Projection, ...], tuple[Projection, ...]]] = {}
        self._ends: dict[bytes, tuple[int, bytes]] = {}
        self._position = 0
        self.halt(halts)

    def halt(self, halts: Iterable[Halt]) -> None:
        """Show no more events of those families, or no more events to those projections."""
        self._halted.update(halt.stream or halt.projection for halt in halts)
        self._interested.clear()

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
            one = self._fold(ask, row)
            if one is not None:
                folded.append(one)
                words += sum(map(len, one.blobs.values()))
            if words > weight:
                last = row
                break
        self._position = last[0]
        is_last = last is rows[-1] and len(rows) < most
        return Portion(rows[0][0] - 1, last[0], last[10], tuple(folded), _steps(folded), is_last)

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

    def _fold(self, ask: Ask, row: Row) -> Folded | None:
        """Return an event with whom it means something to, None where that is nobody."""
        position, stream, tag = row[0], row[1], row[4]
        interested, following = self._who_folds(tag)
        if not interested or stream in self._halted:
            return None
        try:
            event = decode_event(row, file=self._where, is_proved=True)
        except TractError:
            finding = f"{tag} of schema {row[5]} cannot be read"
            return Folded(position, stream, tag, interested, None, {}, {each.name: finding for each in interested})
        if not following:
            return Folded(position, stream, tag, interested, event)
        blobs: dict[BlobId, bytes] = {}
        findings: dict[str, str] = {}
        for each in following:
            try:
                _load(ask, each, event, blobs)
            except (sqlite3.Error, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - whatever the code of a projection raises stops no other
                findings[each.name] = f"{tag} cannot be folded"
        return Folded(position, stream, tag, interested, event, blobs, findings)

    def _who_folds(self, tag: str) -> tuple[tuple[Projection, ...], tuple[Projection, ...]]:
        """Return those who fold events of a type, and those of them who follow the log."""
        found = self._interested.get(tag)
        if found is None:
            kind = class_of(tag)
            going = [each for each in self._projections if each.name not in self._halted]
            interested = () if kind is None else tuple(each for each in going if issubclass(kind, each.folds))
            found = self._interested[tag] = interested, tuple(each for each in interested if not each.is_inline)
        return found


def _load(ask: Ask, projection: Any, event: Event, blobs: dict[BlobId, bytes]) -> None:
    following: FollowingProjection = projection
    for id in following.words(event):
        if id not in blobs:
            found = ask("log.sound_blob", bytes.fromhex(id))
            if found and found[0][0] is not None:
                blobs[id] = found[0][0]


def _steps(events: Iterable[Folded]) -> tuple[Step, ...] | None:
    """Return what events change, None where one of them cannot be folded.

    A projection is shown events of one type that come one after another at
    once, so that it need not have looked up what it has just seen; that and
    fewer calls save two fifths of writing. Not those of different types: its
    statements may read tables of an earlier projection, which must not be
    further on than they were at that event but for what others of the same
    type change there.
    """
    steps: list[Step] = []
    for (_, projections), group in groupby(events, key=attrgetter("tag", "projections")):
        shown = list[Event]()
        blobs: dict[BlobId, bytes] = {}
        for each in group:
            if each.event is None or each.findings:
                return None
            shown.append(each.event)
            blobs.update(each.blobs)
        for projection in projections:
            try:
                statements = tuple(projection.apply(shown, blobs))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - which one it is, and whom it stops, `write_carefully` finds
                return None
            for name, alike in groupby(statements, key=attrgetter("name")):
                steps.append(Step(name, tuple([each.parameters for each in alike])))
    return tuple(steps)


def write(cursor: sqlite3.Cursor, sql: Mapping[str, str], steps: Iterable[Step]) -> None:
    """Apply what a portion changes, all of which can be folded.

    Raises:
        Exception: A statement cannot be applied; those before it were.
    """
    for step in steps:
        cursor.executemany(sql[step.name], step.rows)


def write_or_undo(cursor: sqlite3.Cursor, sql: Mapping[str, str], portion: Portion) -> list[Halt]:
    """Apply a portion but for what cannot be applied, in a transaction that goes on; return where that stops what.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    if portion.steps is not None:
        cursor.execute("SAVEPOINT portion")
        try:
            write(cursor, sql, portion.steps)
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
        inline = [each for each in event.projections if each.is_inline]
        for group in (inline, *([each] for each in event.projections if not each.is_inline)):
            halt = _attempted(cursor, sql, event, [each for each in group if each.name not in halted])
            if halt is not None:
                halts.append(halt)
                halted.add(halt.stream or halt.projection)
                if halt.stream:
                    break
    return halts


def _attempted(cursor: sqlite3.Cursor, sql: Mapping[str, str], event: Folded, projections: Sequence[Projection]) -> Halt | None:
    """Show an event to projections: all of them take it, or none does and it is said why."""
    cursor.execute("SAVEPOINT attempt")
    for projection in projections:
        finding = _applied(cursor, sql, event, projection)
        if finding is not None:
            cursor.execute("ROLLBACK TO attempt")
            cursor.execute("RELEASE attempt")
            return Halt(projection.name, event.stream if projection.is_inline else b"", event.position, finding)
    cursor.execute("RELEASE attempt")
    return None


def _applied(cursor: sqlite3.Cursor, sql: Mapping[str, str], event: Folded, projection: Projection) -> str | None:
    """Apply what an event changes; return why that is not possible, or None."""
    finding = event.findings.get(projection.name)
    if event.event is None or finding is not None:
        return finding
    try:
        statements = tuple(projection.apply((event.event,), event.blobs))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever the code of a projection raises stops no other
        return f"{event.tag} cannot be folded"
    try:
        for each in statements:
            cursor.execute(sql[each.name], each.parameters)
    except Exception as exc:
        if not is_of_the_statement(exc):
            raise
        return f"{event.tag} cannot follow what is before it"
    return None
