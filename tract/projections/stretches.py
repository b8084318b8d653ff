"""Stretches of the log, as the projections that follow it see them.

Everything here is a function over a `Query` and runs on a reader's thread, the
code of the projections too: it is their statements that a writer applies.
Imports `domain`, `errors` and `log`. Read `look` first.
"""

from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from tract.domain.events import TYPES, Event
from tract.domain.ids import BlobId, TractId, uuid_text
from tract.errors import NewerSchemaError, ProjectionError, TractError
from tract.log.codec import decode_event
from tract.log.protocol import Checkpoint, FollowingProjection, Query, Row, Statement

EVENTS = 256
"""Of the log that are folded at once, at the most."""
WORDS = 48 * 1024
"""Bytes of blobs that are: with so many the search index holds the write lock for some 4 ms."""


@frozen(eq=False, repr=False)
class Standing:
    """Where a projection is.

    Attributes:
        projection: It.
        position: Up to where it has read.
        edition: That is in use of its tables.
        halt: Why it does not go on, or None.
    """

    projection: FollowingProjection
    position: int
    edition: int
    halt: ProjectionError | None

    def checkpoint(self) -> Checkpoint:
        """Return what must still be so when it is brought on."""
        return Checkpoint(self.projection.name, self.projection.version, self.edition)


@frozen(eq=False, repr=False)
class Stretch:
    """A part of the log, and what it means to projections that have read up to where it begins.

    Attributes:
        group: The projections.
        before: The position where it begins.
        after: That of its last event.
        digest: Of that event.
        last: Its type.
        statements: What changes, by the name of the projection.
        failures: The projections that cannot fold it, each with the class of what went wrong.
        is_last: Whether the log ended there.
    """

    group: Sequence[Standing]
    before: int
    after: int
    digest: bytes
    last: str
    statements: Mapping[str, tuple[Statement, ...]]
    failures: Mapping[str, str]
    is_last: bool


@frozen(eq=False, repr=False)
class Look:
    """What one snapshot shows.

    Attributes:
        standings: Where the projections are, as far as they can be followed.
        unmade: Those whose tables must be made, or made anew.
        refused: Those that a later version keeps up.
        stretches: What they have not read yet, one for each place that some of them are at.
    """

    standings: Sequence[Standing]
    unmade: Sequence[FollowingProjection]
    refused: Mapping[str, NewerSchemaError]
    stretches: Sequence[Stretch]


def look(query: Query, where: str, projections: Sequence[FollowingProjection], most: int = EVENTS) -> Look:
    """Return where projections are, and what comes next for each.

    Args:
        query: The snapshot.
        where: The store, for people.
        projections: Those to follow.
        most: Events of a stretch at the most.
    """
    standings, unmade = list[Standing](), list[FollowingProjection]()
    refused: dict[str, NewerSchemaError] = {}
    halts = {name: _halt(query, where, name, position, finding) for name, _, position, finding in query("log.halts")}
    for projection in projections:
        rows = query("log.checkpoint", projection.name)
        if rows and rows[0][0] > projection.version:
            refused[projection.name] = NewerSchemaError(where, rows[0][0], projection.version)
        elif rows and _is_whole(query, projection, rows[0]):
            _, edition, position, _ = rows[0]
            standings.append(Standing(projection, position, edition, halts.get(projection.name)))
        else:
            unmade.append(projection)
    going = [each for each in standings if each.halt is None]
    groups = ([each for each in going if each.position == place] for place in sorted({each.position for each in going}))
    stretches = [found for group in groups if (found := _load(query, group, most)) is not None]
    return Look(standings, unmade, refused, stretches)


def _halt(query: Query, where: str, name: str, position: int, finding: str) -> ProjectionError:
    rows = query("log.events_after", position - 1, 1)
    stream = rows[0][1] if rows else None
    # A row that is damaged may have anything there.
    family = TractId(uuid_text(stream)) if isinstance(stream, bytes) and len(stream) == 16 else None
    return ProjectionError(where, name, family, position, finding)


def _is_whole(query: Query, projection: FollowingProjection, checkpoint: Row) -> bool:
    """Say whether the tables are there, this version made them, and the log goes on behind what they have read."""
    version, edition, position, digest = checkpoint
    if version != projection.version:
        return False
    if position and query("log.digest_at", position) != [(digest,)]:
        return False
    return all(query("log.has_table", table, edition) for table, _ in projection.tables)


@define(eq=False, repr=False)
class _Reader:
    """What one projection of a group has been shown so far."""

    standing: Standing
    events: list[Event] = field(factory=list)
    blobs: dict[BlobId, bytes] = field(factory=dict)
    failure: str | None = None

    def folds(self, kind: type[object]) -> bool:
        """Say whether it is shown events of a class."""
        return self.failure is None and issubclass(kind, self.standing.projection.folds)

    def show(self, query: Query, event: Event) -> int:
        """Add an event; return how many bytes of blobs came with it."""
        try:
            wanted = {id: bytes.fromhex(id) for id in self.standing.projection.words(event) if id not in self.blobs}
        except MemoryError:
            # No fault of the event's: another time it can be folded.
            raise
        except Exception as exc:  # noqa: BLE001 - whatever the code of a projection raises stops that projection alone
            self.failure = type(exc).__name__
            return 0
        self.events.append(event)
        size = 0
        for id, key in wanted.items():
            found = query("log.sound_blob", key)
            if found and found[0][0] is not None:
                self.blobs[id] = found[0][0]
                size += len(found[0][0])
        return size

    def statements(self) -> tuple[Statement, ...]:
        """Return what the events change, noting a failure where that cannot be said."""
        if self.failure is not None or not self.events:
            return ()
        try:
            return tuple(self.standing.projection.apply(self.events, self.blobs))
        except MemoryError:
            raise
        except Exception as exc:  # noqa: BLE001 - as above
            self.failure = type(exc).__name__
            return ()


def _load(query: Query, group: Sequence[Standing], most: int) -> Stretch | None:
    """Return what comes behind the place where all of *group* are, or None at the end of the log."""
    before = group[0].position
    rows = query("log.events_after", before, most)
    if not rows:
        return None
    readers = [_Reader(each) for each in group]
    words, last = 0, rows[0]
    for row in rows:
        kind = TYPES.get(row[4])
        shown = [] if kind is None else [each for each in readers if each.folds(kind)]
        if shown:
            try:
                event = decode_event(row)
            except TractError as exc:
                if row is not rows[0]:
                    # What is before it can be folded.
                    break
                for each in shown:
                    each.failure = type(exc).__name__
                last = row
                break
            words += sum(each.show(query, event) for each in shown)
        last = row
        if words > WORDS:
            break
    statements = {each.standing.projection.name: each.statements() for each in readers}
    return Stretch(
        group=group,
        before=before,
        after=last[0],
        digest=last[10],
        last=last[4],
        statements=statements,
        failures={each.standing.projection.name: each.failure for each in readers if each.failure is not None},
        is_last=last is rows[-1] and len(rows) < most,
    )
