"""Replaying projections that follow the log, each as far as it has read.

Imports `domain`, `log`, `projections` and the other modules of `admin`; read
`FollowedReplay.go_to` first.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from attrs import define, frozen

from tract.admin.chaining import DATA
from tract.admin.replaying import Replay, UnfoldedError
from tract.admin.snapshots import Snapshot
from tract.domain.events import Event
from tract.domain.ids import BlobId
from tract.log.codec import decode_event
from tract.log.editions import create_all
from tract.log.protocol import FollowingProjection, Projection

_EVENTS = 500
"""That are read at once."""
_WORDS = 4_000_000
"""Bytes of blobs that are, if no single event names more."""


@frozen
class Checkpoint:
    """What the store says of a projection that follows its log.

    Attributes:
        version: Which version of it made its tables.
        edition: Which edition of them is in use.
        position: Up to where it has read; None for one that is in step with every append.
        digest: Of the event there; None where there is none.
    """

    version: int
    edition: int
    position: int | None
    digest: bytes | None


def checkpoints(snapshot: Snapshot) -> dict[str, Checkpoint]:
    """Return what the store says of its projections, by name; nothing in a store of an earlier schema."""
    if not snapshot("log.has_editions").fetchone():
        return {}
    return {name: Checkpoint(*rest) for name, *rest in snapshot("log.projections")}


def can_be_made(projection: Projection, statements: Mapping[str, str]) -> bool:
    """Say whether this process's SQLite has what the tables of a projection are made with."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        try:
            create_all(empty, statements, (projection,))
        except sqlite3.OperationalError:
            return False
    return True


@define(eq=False, repr=False)
class FollowedReplay:
    """One projection once more, in the scratch database.

    Attributes:
        projection: It.
        replay: Of the projections that are kept in step.
        until: Where it had read up to in the store when this began.
        position: Up to where it was replayed.
    """

    projection: FollowingProjection
    replay: Replay
    until: int
    position: int = 0
    _is_stuck: bool = False

    def __attrs_post_init__(self) -> None:
        self.replay.make(self.projection)

    def go_to(self, snapshot: Snapshot, position: int) -> None:
        """Replay it from where it is; from nothing, where it is ahead already.

        Raises:
            CorruptLogError: An event has not its shape.
            UnfoldedError: One cannot be folded.
            sqlite3.Error: The store cannot be read.
        """
        if self.position > position:
            # It was made anew meanwhile, and is not yet as far again.
            self.replay.empty(self.projection)
            self.position = 0
        while self.position < position:
            rows = snapshot.after(self.position, "admin.events_between", position, _EVENTS, weighs=DATA)
            self._fold(snapshot, [decode_event(row) for row in rows])
            self.position = rows[-1][0] if rows else position

    def take(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Apply the events that come next, as far as the store had.

        What cannot be applied will be found out by `go_to`.

        Raises:
            sqlite3.Error: The store cannot be read.
        """
        if not self._is_stuck:
            try:
                self._fold(snapshot, [event for event in events if event.position <= self.until])
            except UnfoldedError:
                self._is_stuck = True

    def _fold(self, snapshot: Snapshot, events: Sequence[Event]) -> None:
        folded = [event for event in events if isinstance(event.body, self.projection.folds)]
        for some, words in self._with_words(snapshot, folded):
            self.replay.apply(self.projection, some, words)
            self.position = some[-1].position
        if events:
            self.position = events[-1].position

    def _with_words(self, snapshot: Snapshot, events: Sequence[Event]) -> Iterator[tuple[list[Event], Mapping[BlobId, bytes]]]:
        """Yield events in their order with the blobs that they need, not too many at once."""
        some: list[Event] = []
        words: dict[BlobId, bytes] = {}
        for event in events:
            some.append(event)
            for id in self.projection.words(event):
                if id not in words:
                    found = snapshot("log.sound_blob", bytes.fromhex(id)).fetchone()
                    if found is not None and found[0] is not None:
                        words[id] = found[0]
            if sum(map(len, words.values())) > _WORDS:
                yield some, words
                some, words = [], {}
        if some:
            yield some, words
