"""The runner: keeps projections that follow the log up with it, in the background.

Appends wake it; it rests for a moment so that a burst is folded at once, and
goes through what came in small chunks, so that no writer waits long behind
one. Whoever reads such a projection first calls `caught_up`. Several processes may do this
on one file: each chunk is applied on condition that nobody did so before.
Imports `errors`, `domain` and `log`. Read `Runner._work`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import anyio
from attrs import define, frozen

from tract.diagnostics import warn
from tract.domain.events import TYPES, Event
from tract.domain.ids import BlobId
from tract.errors import ClosedError, CorruptLogError, NewerSchemaError, ProjectionError, ProjectionLagError, TractError
from tract.log.codec import decode_event
from tract.log.halts import Halt
from tract.log.protocol import Chunk, EventStore, FollowingProjection, Query, Statement

EVENTS = 256
"""Of the log that are folded at once, at the most."""
WORDS = 48 * 1024
"""Bytes of blobs that are: with so many the search index holds the write lock for some 4 ms."""
LINGER = 0.1
"""Seconds from a change until it is folded, where nobody waits for that."""
PAUSE = 1.0
"""Seconds until it is tried again after the store refused."""


@frozen(eq=False, repr=False)
class Stretch:
    """A part of the log, as some projections see it.

    Attributes:
        after: The position of its last event.
        digest: Of that event.
        events: Those that any of the projections folds.
        blobs: What they name and a projection needs, but for what was erased.
        is_last: Whether the log ended there.
        is_poison: Whether it is one event, which cannot be read.
    """

    after: int
    digest: bytes
    events: tuple[Event, ...]
    blobs: Mapping[BlobId, bytes]
    is_last: bool
    is_poison: bool = False


@define(eq=False, repr=False)
class Followed:
    """A projection that is kept up.

    Attributes:
        projection: It.
        position: Up to where it has read; None before that is known.
        error: Why it does not go on, or None.
    """

    projection: FollowingProjection
    position: int | None = None
    error: TractError | None = None


class Runner:
    """Keeps the following projections of one store up with its log.

    Attributes:
        patience: Seconds that a reader waits until they have caught up.
    """

    patience: ClassVar[float] = 10.0

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._followed: dict[str, Followed] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._moved = asyncio.Event()
        self._failure: TractError | None = None

    def follow(self, projection: FollowingProjection) -> None:
        """Keep a projection up from now on; twice is once."""
        if projection.name in self._followed:
            return
        self._followed[projection.name] = Followed(projection)
        self._hurry.set()
        if self._task is None:
            self._store.accompany(self)
            self._task = asyncio.create_task(self._work(), name=f"tract projections of {self._store.where}")

    def follows(self, name: str) -> bool:
        """Say whether a projection is kept up here."""
        return name in self._followed

    def positions(self) -> dict[str, int]:
        """Return up to where each projection has read, as far as it is known here."""
        return {name: each.position or 0 for name, each in self._followed.items()}

    async def caught_up(self, name: str) -> None:
        """Return once a projection has read all that was recorded when this was called.

        Raises:
            ProjectionLagError: It did not get so far within `patience`.
            ProjectionError: It met an event that it cannot fold.
            StoreError: The file could not be read or written.
            ClosedError: The store is closed.
        """
        followed = self._followed[name]
        ((target,),) = await self._store.read(lambda query: query("log.last_position"))
        with anyio.move_on_after(self.patience):
            while followed.position is None or followed.position < target:
                if followed.error is not None:
                    raise followed.error
                if self._failure is not None:
                    raise self._failure
                if self._task is None or self._task.done():
                    raise ClosedError("store")
                self._hurry.set()
                await self._moved.wait()
            return
        raise ProjectionLagError(self._store.where, name, target - (followed.position or 0))

    async def aclose(self) -> None:
        """Stop following, at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._wake()

    async def _work(self) -> None:
        while True:
            mark = self._store.mark()
            try:
                while await self._step():
                    self._wake()
                self._failure = None
            except ClosedError:
                return
            except TractError as exc:
                # Nothing is lost: it is tried again, and whoever waits is told.
                warn("projections.failed", store=self._store.where, error=type(exc).__name__)
                self._failure = exc
            self._wake()
            if self._failure is not None:
                await asyncio.sleep(PAUSE)
            elif not await self._rested(mark):
                return

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _rested(self, mark: int) -> bool:
        """Wait until there is more to do; say whether the store is still there."""
        changing = asyncio.ensure_future(self._store.changed(mark, is_patient=True))
        hurrying = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((changing, hurrying), return_when=asyncio.FIRST_COMPLETED)
            if changing.done() and not hurrying.done():
                if changing.exception() is not None:
                    return False
                await asyncio.wait((hurrying,), timeout=LINGER)
        finally:
            changing.cancel()
            hurrying.cancel()
        self._hurry.clear()
        return True

    async def _step(self) -> bool:
        """Bring those that are furthest behind a chunk on; say whether there is more to do at once."""
        for each in self._followed.values():
            if each.position is None and each.error is None:
                await self._adopt(each)
        going = [each for each in self._followed.values() if each.error is None and each.position is not None]
        if not going:
            return False
        before = min(each.position or 0 for each in going)
        group = [each for each in going if each.position == before]
        stretch = await self._store.read(partial(_load, [each.projection for each in group], before, EVENTS))
        if stretch is None:
            return False
        if not await self._advance(group, before, stretch):
            for each in group:
                await self._go_carefully(each, stretch.after)
        ahead = any((each.position or 0) != (going[0].position or 0) for each in going)
        return ahead or not stretch.is_last

    async def _adopt(self, followed: Followed) -> None:
        name = followed.projection.name
        try:
            followed.position = await self._store.adopt(followed.projection)
        except NewerSchemaError as exc:
            # Its tables are a later version's, which keeps them up.
            followed.error = exc
            return
        halts = await self._store.read(lambda query: query("log.halts"))
        for projection, _, position, finding in halts:
            if projection == name:
                followed.error = ProjectionError(self._store.where, name, None, position, finding)

    async def _advance(self, group: Sequence[Followed], before: int, stretch: Stretch) -> bool:
        """Apply a stretch; say whether that could be done, by whomever."""
        if stretch.is_poison:
            return False
        names = tuple(each.projection.name for each in group)
        try:
            statements = tuple(each for followed in group for each in _statements(followed.projection, stretch))
            chunk = Chunk(names, before, stretch.after, stretch.digest, statements)
            is_done = await self._store.advance(chunk)
        except (TractError, asyncio.CancelledError):
            raise
        except Exception:  # noqa: BLE001 - whatever the code of a projection raises stops that projection alone
            return False
        for each in group:
            # Another process may have been faster: where it is now is looked up.
            each.position = stretch.after if is_done else None
        return True

    async def _go_carefully(self, followed: Followed, until: int) -> None:
        """Go on event by event, up to the one that cannot be folded."""
        while followed.position is not None and followed.position < until:
            before = followed.position
            stretch = await self._store.read(partial(_load, [followed.projection], before, 1))
            if stretch is None:
                return
            if not await self._advance([followed], before, stretch):
                await self._halt(followed, stretch)
                return

    async def _halt(self, followed: Followed, stretch: Stretch) -> None:
        name = followed.projection.name
        tag = stretch.events[0].body.tag if stretch.events else "event"
        finding = f"{tag} cannot be folded"
        await self._store.halt(Halt(name, b"", stretch.after, finding))
        stream = stretch.events[0].stream if stretch.events else None
        followed.error = ProjectionError(self._store.where, name, stream, stretch.after, finding)
        warn("projection.halted", store=self._store.where, projection=name, position=stretch.after)


def _statements(projection: FollowingProjection, stretch: Stretch) -> Sequence[Statement]:
    events = [event for event in stretch.events if isinstance(event.body, projection.folds)]
    return tuple(projection.apply(events, stretch.blobs)) if events else ()


def _load(projections: Sequence[FollowingProjection], before: int, most: int, query: Query) -> Stretch | None:
    """Return what comes behind a position, or None at the end of the log."""
    rows = query("log.events_after", before, most)
    if not rows:
        return None
    folds = tuple({kind for projection in projections for kind in projection.folds})
    events: list[Event] = []
    blobs: dict[BlobId, bytes] = {}
    words, last = 0, rows[-1]
    for row in rows:
        kind = TYPES.get(row[4])
        if kind is None or not issubclass(kind, folds):
            continue
        try:
            event = decode_event(row)
        except CorruptLogError:
            if row is rows[0]:
                return Stretch(row[0], row[10], (), {}, is_last=False, is_poison=True)
            # What is before it can be folded.
            rows = rows[: rows.index(row)]
            return Stretch(rows[-1][0], rows[-1][10], tuple(events), blobs, is_last=False)
        events.append(event)
        for id in {id for each in projections if isinstance(event.body, each.folds) for id in each.words(event)}:
            if id not in blobs:
                found = query("log.blob", bytes.fromhex(id))
                if found and found[0][0] is not None:
                    blobs[id] = found[0][0]
                    words += len(found[0][0])
        if words > WORDS:
            last = row
            break
    is_last = last is rows[-1] and len(rows) < most
    return Stretch(last[0], last[10], tuple(events), blobs, is_last)
