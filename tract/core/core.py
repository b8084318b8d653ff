"""`TractCore`: identity, collaborators and HEAD of a handle, and its door to the log.

Verbs are functions that take it first. It knows none of them. Imports `errors`
to `log`, `asking`, `batches`, `collaborators` and `graph`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from tract.core.asking import Asking
from tract.core.batches import OpenBatch, find_batch
from tract.core.collaborators import Collaborators, Identity, InFlight
from tract.core.edges import new_id
from tract.core.gates import Gates, Hold
from tract.core.graph import Head, Place, find_head
from tract.core.models import Models
from tract.core.reading import own
from tract.core.settings import Settings
from tract.domain import canonical
from tract.domain.events import Event, NewEvent
from tract.domain.ids import OperationId, TractId, is_uuid
from tract.errors import BatchError, ClosedError, ContentValidationError, DetachedHeadError
from tract.log.protocol import BlobDraft, Decide, Query, Request, Row, Statement, Submission

T = TypeVar("T")
CLOSING_SECONDS = 1.0
"""How long `aclose` waits for the turns that it cancelled."""
SHARE_FROM = 2048
"""Bytes from which a text is looked up before it is stored again, a hop of 70 microseconds to a
thread. Shorter ones are shared only while this process remembers them."""


class TractCore(Asking):
    """An open tract: a place to stand on in one store.

    A handle belongs to one event loop and one process; it cannot be copied or
    pickled.
    """

    def __init__(
        self, identity: Identity, collaborators: Collaborators, models: Models, settings: Settings, worktree: str, head: Head
    ) -> None:
        self._identity = identity
        self._with = collaborators
        self._worktree = worktree
        self._head = head
        self._models = models
        self._settings = settings
        self._turns: list[InFlight] = []
        self._watching: set[asyncio.Future[None]] = set()
        self._closing: asyncio.Future[None] | None = None

    @property
    def id(self) -> TractId:
        """A UUIDv7, the same in every process."""
        return self._identity.id

    @property
    def name(self) -> str:
        """The tract's name."""
        return self._identity.name

    @property
    def current_branch(self) -> str | None:
        """The branch HEAD is on; None when detached."""
        return self._standing.branch

    @property
    def is_detached(self) -> bool:
        """Whether HEAD is at a commit and on no branch."""
        return self._standing.branch is None

    @property
    def place(self) -> Place:
        """Whose refs are meant here."""
        return Place(self._identity.number, self._identity.stream, self._standing)

    @property
    def _standing(self) -> Head:
        # A batch stays on its branch, wherever other tasks take the handle.
        batch = find_batch(self)
        return self._head if batch is None or not batch.is_open else Head(batch.place.branch)

    @property
    def collaborators(self) -> Collaborators:
        """What this handle works with."""
        return self._with

    @property
    def worktree_name(self) -> str:
        """Whose HEAD this handle moves; `main` for a plain `open()`."""
        return self._worktree

    def require_branch(self) -> str:
        """Return the current branch.

        Raises:
            DetachedHeadError: There is none.
        """
        standing = self._standing
        if standing.branch is None:
            raise DetachedHeadError(standing.commit)
        return standing.branch

    def open_batch(self) -> OpenBatch | None:
        """Return this handle's batch that the caller is inside, if any, to put commits into.

        Raises:
            BatchError: It has ended, or can only fail.
            ClosedError: The tract is closed.
        """
        batch = find_batch(self)
        if batch is not None:
            self.require_open()
            batch.require_open()
        return batch

    def refuse_in_batch(self) -> None:
        """Refuse a call that writes for itself where the caller is inside a batch of this handle.

        Raises:
            BatchError: It is.
        """
        batch = self.open_batch()
        if batch is not None:
            raise BatchError(batch.place.branch, "cannot hold what this verb does: call it before the block or after it")

    def move_head(self, head: Head) -> None:
        """Stand somewhere else from now on; the event is the caller's."""
        self._head = head

    def sibling(self, worktree: str, head: Head) -> Self:
        """Return a second handle on this tract; its store use must be counted by the caller.

        Raises:
            BatchError: The caller is inside a batch of this handle.
        """
        self.refuse_in_batch()
        self._with.shared.store.share()
        models, settings = self._models.copy(), self._settings.copy()
        return type(self)(self._identity, self._with, models, settings, worktree, head)

    def operation(self, given: str | None = None) -> OperationId:
        """Return the id of a verb call: the caller's, or a new one.

        Raises:
            ContentValidationError: The caller's is not a UUID.
        """
        if given is None:
            return OperationId(new_id(self._with.clock))
        if not is_uuid(given):
            raise ContentValidationError("operation_id", "it must be the text of a UUID in lower case, such as str(uuid.uuid4())")
        return OperationId(given)

    def blob(self, value: canonical.JSON) -> BlobDraft:
        """Return the blob of a JSON value.

        Raises:
            canonical.NotCanonicalError: It has no canonical form.
        """
        return self._with.shared.store.draft(canonical.encode(value))

    async def content_blob(self, data: bytes) -> BlobDraft:
        """Return the blob of a content, sharing what is stored already."""
        if len(data) >= SHARE_FROM:
            self.require_open()
            await self._with.shared.store.remember(data)
        return self._with.shared.store.draft(data)

    async def record(
        self,
        operation: OperationId,
        decide: Decide,
        *,
        reads: Sequence[Statement] = (),
        blobs: Iterable[BlobDraft] = (),
        digest: bytes | None = None,
        then: Callable[[], None] | None = None,
    ) -> tuple[Event, ...]:
        """Append what *decide* makes of the reads: the only door to the log.

        Args:
            operation: The verb call.
            decide: Pure; see `log.protocol.Decide`.
            reads: What it needs to see, in the same transaction.
            blobs: What its events name.
            digest: Of verb and arguments, where the caller gave the operation's id.
            then: What must follow at once, even if the caller is cancelled.

        Raises:
            ClosedError: The tract is closed.
            BatchError: The caller is inside a batch of this handle, which
                records once, at its end.
            OperationMismatchError: The operation id belongs to another call.
            StoreError: Nothing was written.
        """
        self.require_open()
        self.refuse_in_batch()
        request = self._request(operation, decide, reads, blobs, digest)
        return await self._with.shared.store.append(request, then)

    def submit(
        self,
        operation: OperationId,
        decide: Decide,
        *,
        reads: Sequence[Statement] = (),
        blobs: Iterable[BlobDraft] = (),
        scratch: tuple[Statement, ...] = (),
    ) -> Submission[tuple[Event, ...]]:
        """Append as `record` does, for an end that must be written although its caller is leaving.

        Args:
            operation: The verb call.
            decide: As for `record`.
            reads: As for `record`.
            blobs: As for `record`.
            scratch: Statements on scratch tables, in the same transaction.
        """
        request = self._request(operation, decide, reads, blobs, None)
        return self._with.shared.store.submit(replace(request, scratch=scratch))

    def _request(
        self,
        operation: OperationId,
        decide: Decide,
        reads: Sequence[Statement],
        blobs: Iterable[BlobDraft],
        digest: bytes | None,
    ) -> Request:
        if digest is None:
            return Request(self._identity.stream, operation, tuple(reads), decide, tuple(blobs))
        proof = self._with.shared.store.draft(digest)

        def decide_with_request(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
            first, *rest = decide(rows)
            return [replace(first, request=proof.id), *rest]

        return Request(self._identity.stream, operation, tuple(reads), decide_with_request, (*blobs, proof), digest)

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run a function over one snapshot of the store, with what the caller's open batch holds on top.

        Raises:
            ClosedError: The tract is closed.
            ProjectionError: Its family stands still.
            StoreError: The file could not be read.
        """
        self.require_open()
        store = self._with.shared.store
        return await store.read(own(query, find_batch(self), self._identity, self._settings, store.where))

    def mark(self) -> int:
        """Return a number for what was written so far, to wait for more with `changed`.

        Raises:
            ClosedError: The tract is closed.
        """
        self.require_open()
        return self._with.shared.store.mark()

    async def changed(self, mark: int) -> None:
        """Return once anybody wrote something after *mark*.

        Raises:
            ClosedError: The tract is closed, or was meanwhile.
        """
        self.require_open()
        waiting = asyncio.ensure_future(self._with.shared.store.changed(mark))
        self._watching.add(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self.require_open()
            raise
        finally:
            waiting.cancel()
            self._watching.discard(waiting)

    @contextmanager
    def in_flight(self, hold: Hold, end: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Mark the current task as one that runs a turn, which `aclose` ends.

        Args:
            hold: The turn's hold on its branch.
            end: Records the turn as cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        turn = InFlight(task, hold, end, asyncio.get_running_loop().create_future())
        self._turns.append(turn)
        try:
            yield
        finally:
            self._turns.remove(turn)
            turn.ended.set_result(None)

    def require_open(self) -> None:
        """Refuse a tract that was closed.

        Raises:
            ClosedError: It was.
        """
        if self._closing is not None:
            raise ClosedError

    async def head(self) -> str | None:
        """Return the id of the commit at HEAD; None before the first commit.

        Raises:
            BranchNotFoundError: The branch was deleted.
        """
        found = await self.read(lambda query: find_head(query, self.place))
        return None if found is None else found.id

    async def aclose(self) -> None:
        """Cancel and record the turns in flight, write what waits, and close.

        Twice is nothing; afterwards every verb raises `ClosedError`. A task
        that runs a turn is cancelled, whatever else it does; the turns that
        the caller is inside of, in whatever task, are recorded as cancelled
        and their tasks go on.

        Raises:
            WrongLoopError: Another event loop or process than the handle's.
        """
        self._with.shared.store.check_here()
        if self._closing is None:
            # It runs in the caller's context, and so is inside the turns that the caller is inside of.
            self._closing = asyncio.ensure_future(self._close(asyncio.current_task()))
        await asyncio.shield(self._closing)

    async def _close(self, caller: "asyncio.Task[Any] | None") -> None:
        for waiting in self._watching:
            waiting.cancel()
        async with AsyncExitStack() as closing:
            # Whatever fails before, the store's use is given up.
            closing.push_async_callback(self._with.shared.aclose)
            closing.push_async_callback(self._models.aclose)
            own = [turn for turn in self._turns if turn.task is caller or Gates.is_inside(turn.hold)]
            others = [turn for turn in self._turns if turn not in own]
            for turn in others:
                turn.task.cancel()
            for turn in own:
                # Its task goes on after this call.
                await turn.end()
            if others:
                await asyncio.wait([turn.ended for turn in others], timeout=CLOSING_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled; open the store again instead")

    def __repr__(self) -> str:
        at = self.current_branch or f"detached at {(self._head.commit or '')[:8]}"
        state = at if self._closing is None else "closed"
        return f"<{type(self).__name__} {self.name!r} in {self._with.shared.store.where} ({state})>"
