"""The runner: keeps projections that follow the log up with it, in the background.

Appends wake it; it rests for a moment so that a burst is folded at once, and
goes through what came in small chunks, so that no writer waits long behind
one. Whoever reads such a projection first calls `caught_up`. It remembers
nothing that the file does not say: several processes may do this on one file,
and another one may rebuild what is followed here meanwhile, for each chunk is
applied on condition that all is still as it was when it was made.
Imports `errors`, `domain`, `log` and `stretches`. Read `Runner._work`.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from typing import ClassVar

import anyio
from attrs import define

from tract.diagnostics import warn
from tract.errors import (
    ClosedError,
    NewerSchemaError,
    ProjectionError,
    ProjectionLagError,
    StoreFailedError,
    TractError,
)
from tract.log.halts import Halt
from tract.log.protocol import Chunk, EventStore, FollowingProjection, UnfitStatementError
from tract.projections.stretches import EVENTS, Look, Standing, Stretch, look

LINGER = 0.1
"""Seconds from a change until it is folded, where nobody waits for that."""
PAUSE = 1.0
"""Seconds until it is tried again after the store refused, where nobody waits for that."""
CLOSING_SECONDS = 0.2
"""How long closing waits for the last events to be folded, so that a process that came for a moment leaves
nothing to do for the next one."""


@define(eq=False, repr=False)
class Followed:
    """A projection that is kept up.

    Attributes:
        projection: It.
        position: Up to where it had read when it was last looked at; None before.
        halt: Why it stood still then, or None.
        error: Why it cannot be kept up here, whatever is done about the file, or None.
    """

    projection: FollowingProjection
    position: int | None = None
    halt: ProjectionError | None = None
    error: TractError | None = None


class Runner:
    """Keeps the following projections of one store up with its log.

    Args:
        store: The store, which closes it.

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
        self._tries = 0
        self._failure: TractError | None = None
        self._is_closing = False

    def follow(self, projection: FollowingProjection) -> None:
        """Keep a projection up from now on; twice is once.

        Raises:
            ClosedError: The store is closed.
        """
        if projection.name in self._followed:
            return
        if self._task is None:
            self._store.accompany(self)
            self._task = asyncio.create_task(self._work(), name=f"tract projections of {self._store.where}")
        self._followed[projection.name] = Followed(projection)
        self._hurry.set()

    def follows(self, name: str) -> bool:
        """Say whether a projection is kept up here."""
        return name in self._followed

    def positions(self) -> dict[str, int]:
        """Return up to where each projection has read, as far as it is known here."""
        return {name: each.position or 0 for name, each in self._followed.items()}

    async def caught_up(self, name: str) -> None:
        """Return once a projection that is followed has read all that was recorded when this was called.

        Raises:
            ProjectionLagError: It did not get so far within `patience`.
            ProjectionError: It met an event that it cannot fold.
            NewerSchemaError: A later version keeps it up.
            StoreError: The file could not be read or written, or the tables not be made.
            ClosedError: The store is closed.
        """
        followed, tries = self._followed[name], self._tries
        ((target,),) = await self._store.read(lambda query: query("log.last_position"))
        with anyio.move_on_after(self.patience):
            while not self._has_read(followed, target, tries):
                self._hurry.set()
                await self._moved.wait()
            return
        raise ProjectionLagError(self._store.where, name, target - (followed.position or 0))

    def _has_read(self, followed: Followed, target: int, tries: int) -> bool:
        """Say whether a projection is so far; raise what keeps it from getting there.

        Args:
            followed: The projection.
            target: How far.
            tries: How many there had been when its reader came: what was in
                the way before may be well by now.
        """
        if followed.position is not None and followed.position >= target:
            return True
        if self._task is None or self._task.done():
            raise ClosedError("store") from _cause(self._task)
        failure = followed.error
        if failure is None and self._tries > tries:
            failure = followed.halt or self._failure
        if failure is not None:
            # It is raised to many, to each with a traceback of its own.
            raise copy(failure)
        return False

    async def aclose(self) -> None:
        """Stop following, at the end of the log if that is near; twice is nothing."""
        self._is_closing = True
        self._hurry.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=CLOSING_SECONDS)
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _work(self) -> None:
        try:
            while True:
                # Whoever hurries from here on, or closes, is served by another round.
                is_last = self._is_closing
                self._hurry.clear()
                mark = self._store.mark()
                failure = await self._go_on()
                if failure is not None and type(failure) is not type(self._failure):
                    warn("projections.failed", store=self._store.where, error=type(failure).__name__)
                self._failure = failure
                self._tries += 1
                self._wake()
                if is_last:
                    return
                await (self._rest(mark) if failure is None else self._pause())
        except ClosedError:
            return
        finally:
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _go_on(self) -> TractError | None:
        """Read to the end of the log; return what kept it from that, if anything: then nothing is lost, and it is tried again."""
        try:
            while await self._round():
                self._wake()
        except ClosedError:
            raise
        except TractError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - a reader is told of it, and another day it may go well
            warn("projections.stumbled", store=self._store.where, error=type(exc).__name__)
            failure = StoreFailedError(self._store.where, type(exc).__name__)
            failure.__cause__ = exc
            return failure
        return None

    async def _rest(self, mark: int) -> None:
        """Wait until somebody wrote after *mark*, or hurries.

        Raises:
            ClosedError: The store is closed.
        """
        changing = asyncio.create_task(self._store.changed(mark, is_patient=True))
        hurrying = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait((changing, hurrying), return_when=asyncio.FIRST_COMPLETED)
            if not hurrying.done():
                changing.result()
                await asyncio.wait((hurrying,), timeout=LINGER)
        except ClosedError:
            raise
        except Exception:  # noqa: BLE001 - as above
            # It cannot even be looked at: the next round says so.
            await self._pause()
        finally:
            changing.cancel()
            hurrying.cancel()
            await asyncio.wait((changing, hurrying))
            if not changing.cancelled():
                # Else asyncio complains that nobody looked at it.
                changing.exception()

    async def _pause(self) -> None:
        with anyio.move_on_after(PAUSE):
            await self._hurry.wait()

    async def _round(self) -> bool:
        """Bring each projection a chunk on, wherever it is; say whether there is more to do at once."""
        seen = await self._look([each for each in self._followed.values() if each.error is None])
        for projection in seen.unmade:
            await self._make(self._followed[projection.name])
        for stretch in seen.stretches:
            await self._bring_on(stretch)
        # Those that are behind alone have others to wait for, and nobody waits for them.
        return bool(seen.unmade) or len(seen.stretches) > 1 or any(not stretch.is_last for stretch in seen.stretches)

    async def _look(self, those: Sequence[Followed], most: int = EVENTS) -> Look:
        projections = [each.projection for each in those]
        seen = await self._store.read(lambda query: look(query, self._store.where, projections, most))
        for name, error in seen.refused.items():
            self._followed[name].error = error
        for standing in seen.standings:
            followed = self._followed[standing.projection.name]
            followed.position, followed.halt = standing.position, standing.halt
        return seen

    async def _make(self, followed: Followed) -> None:
        """Make the tables of a projection."""
        try:
            await self._store.adopt(followed.projection)
        except (NewerSchemaError, StoreFailedError) as exc:
            if isinstance(exc, StoreFailedError) and exc.code != "SQLITE_ERROR":
                raise
            # Somebody with a later version was faster, or SQLite lacks what
            # they are made of: to try again would not help.
            warn("projection.not_made", store=self._store.where, projection=followed.projection.name)
            followed.error = exc

    async def _bring_on(self, stretch: Stretch) -> None:
        fit = [each for each in stretch.group if each.projection.name not in stretch.failures]
        unfit = [each for each in stretch.group if each.projection.name in stretch.failures]
        if not await self._advance(fit, stretch):
            unfit += fit if len(fit) == 1 else [each for each in fit if not await self._advance([each], stretch)]
        for each in unfit:
            await self._go_carefully(self._followed[each.projection.name], stretch.after)

    async def _advance(self, group: Sequence[Standing], stretch: Stretch) -> bool:
        """Apply a stretch, where the projections are still where it begins; say whether its statements can be applied."""
        if not group:
            return True
        statements = tuple(each for standing in group for each in stretch.statements[standing.projection.name])
        checkpoints = tuple(each.checkpoint() for each in group)
        try:
            is_done = await self._store.advance(Chunk(checkpoints, stretch.before, stretch.after, stretch.digest, statements))
        except UnfitStatementError:
            return False
        # Where another process was faster, the next look says how far that is.
        for each in group:
            self._followed[each.projection.name].position = stretch.after if is_done else None
        return True

    async def _go_carefully(self, followed: Followed, until: int) -> None:
        """Go on event by event, up to the one that cannot be folded."""
        while True:
            seen = await self._look([followed], 1)
            if not seen.stretches or seen.stretches[0].before >= until:
                return
            (stretch,) = seen.stretches
            name = followed.projection.name
            failure = stretch.failures.get(name)
            if failure is not None or not await self._advance(stretch.group, stretch):
                finding = f"{stretch.last} cannot be folded ({failure or 'a statement failed'})"
                (standing,) = stretch.group
                halt = Halt(name, b"", stretch.after, finding)
                # Somebody may have made it anew meanwhile: the next look says.
                if await self._store.halt(standing.checkpoint(), stretch.before, halt):
                    warn("projection.halted", store=self._store.where, projection=name, position=stretch.after)


def _cause(task: "asyncio.Task[None] | None") -> BaseException | None:
    """Return what ended a task that nothing should have ended but its store."""
    return None if task is None or task.cancelled() else task.exception()
