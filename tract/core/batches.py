"""Batches that are open: what their calls made so far, and who is inside.

Who is inside is known by context: the task that opened the batch, and the
tasks that it started in the block. Imports `domain`, `errors`, `operations` and
`pending`; read `OpenBatch` first.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import evolve, frozen

from tract.core.graph import LAST_POSITION, Node
from tract.core.pending import Moved, PendingCommits, PendingQuery
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import CommitId, OperationId, TractId
from tract.errors import BatchError, OperationMismatchError
from tract.log.protocol import BlobDraft, Query
from tract.operations.budgeting import Source

_inside: ContextVar[tuple["OpenBatch", ...]] = ContextVar("tract_batches", default=())


@frozen(eq=False, repr=False)
class BatchPlace:
    """Where a batch goes.

    Attributes:
        stream: The family.
        tract: The tract's number.
        tract_id: The same tract.
        branch: The branch that the batch moves.
        base: Where that was when the batch was opened, or None.
    """

    stream: TractId
    tract: int
    tract_id: TractId
    branch: str
    base: Node | None


@frozen(eq=False, repr=False)
class EarlierBatch:
    """A batch that was recorded before, under an id of the caller's.

    Attributes:
        events: Its commits, at least one.
        nodes: The same in the graph.
        digests: What tells the calls that made them from others.
    """

    events: tuple[Event, ...]
    nodes: tuple[Node, ...]
    digests: tuple[bytes, ...]


class OpenBatch:
    """The commits that a batch has collected, none of which is in the log.

    A batch whose operation was recorded before repeats it: each call gets the
    commit that it made then.

    Args:
        owner: The handle whose verbs it collects.
        place: Where it goes.
        operation: Its id.
        is_repeatable: Whether the caller gave that id, so that its calls must
            be told from others.
        earlier: What it repeats, or None.
    """

    def __init__(
        self,
        owner: object,
        place: BatchPlace,
        operation: OperationId,
        *,
        is_repeatable: bool = False,
        earlier: EarlierBatch | None = None,
    ) -> None:
        self.owner = owner
        self.place = place
        self.operation = operation
        self.is_repeatable = is_repeatable
        self.digests: list[bytes] = []
        self.events: list[Event] = []
        self._earlier = earlier
        self._pending = PendingCommits(place.base)
        self._growth = 0
        self._is_open = True
        self._is_broken = False
        self._is_gone = False

    @property
    def growth(self) -> int:
        """Tokens by which the caller made the context larger, beside the outcomes in it."""
        return self._growth

    @property
    def is_open(self) -> bool:
        """Whether its block has not ended."""
        return self._is_open

    @property
    def is_gone(self) -> bool:
        """Whether another task than entered the block left it.

        The context of the one that entered it, and of all that it starts from
        then on, names the batch for good, so that those who outlived the block
        cannot be told from others.
        """
        return self._is_gone

    @property
    def tip(self) -> Node | None:
        """Its last commit, or what it began on."""
        if self._earlier is not None and self.events:
            return self._earlier.nodes[len(self.events) - 1]
        return self._pending.tip

    @property
    def head(self) -> CommitId | None:
        """The id of the tip."""
        return None if self.tip is None else self.tip.id

    @property
    def drafts(self) -> tuple[BlobDraft, ...]:
        """What must be stored with its commits."""
        return tuple(self._pending.drafts.values())

    def seen_from_inside(self) -> "BatchSight":
        """Return how the store looks with what was collected up to now."""
        time = self.events[-1].recorded_at if self.events else None
        return BatchSight(self._pending, Moved(self.place.tract, self.place.branch, self.tip, time, self._until))

    @property
    def _until(self) -> int:
        if self._earlier is None:
            return LAST_POSITION
        made = len(self.events)
        return self._earlier.nodes[made - 1].number if made else self._earlier.nodes[0].number - 1

    def put(self, recorded: CommitRecorded, blobs: Sequence[BlobDraft], digest: bytes | None, source: Source) -> Event:
        """Take a commit that was made on the tip, and return it as it will be recorded.

        Raises:
            BatchError: The block has ended, or can only fail.
            OperationMismatchError: The batch that this one repeats had another
                call here.
        """
        self.require_open()
        event = self._next(recorded, blobs) if self._earlier is None else self._again(self._earlier, digest)
        self.events.append(event)
        if source is Source.CALLER:
            self._growth += recorded.token_delta
        if digest is not None:
            self.digests.append(digest)
        return event

    def _next(self, recorded: CommitRecorded, blobs: Sequence[BlobDraft]) -> Event:
        commit = evolve(recorded.commit, index=len(self.events))
        time = max(commit.time, self.events[-1].recorded_at) if self.events else commit.time
        event = Event(
            position=self._pending.next_number,
            stream=self.place.stream,
            version=0,
            tract=self.place.tract_id,
            body=evolve(recorded, commit=commit),
            operation=self.operation,
            actor=commit.actor,
            recorded_at=time,
            digest=b"",
        )
        self._pending.add(event, blobs)
        return event

    def _again(self, earlier: EarlierBatch, digest: bytes | None) -> Event:
        place = len(self.events)
        if place == len(earlier.events) or earlier.digests[place] != digest:
            raise OperationMismatchError(self.operation)
        return earlier.events[place]

    def require_open(self) -> None:
        """Refuse what comes too late or in vain.

        Raises:
            BatchError: The block has ended, or can only fail.
        """
        if not self._is_open:
            raise BatchError(
                self.place.branch,
                "has ended, and this call comes from a task that was started inside it: await such tasks in the block",
            )
        self._require_whole()

    def _require_whole(self) -> None:
        if self._is_broken:
            raise BatchError(
                self.place.branch, "can only fail, since an exception left a batch nested in it: leave the block and run it again"
            )

    def end(self) -> bool:
        """Take no more; say whether there is anything to record.

        Raises:
            BatchError: It can only fail.
            OperationMismatchError: The batch that this one repeats had more calls.
        """
        self._is_open = False
        self._require_whole()
        if self._earlier is None:
            return bool(self.events)
        if len(self.events) < len(self._earlier.events):
            raise OperationMismatchError(self.operation)
        return False

    def give_up(self) -> None:
        """Take no more and record nothing."""
        self._is_open = False

    def doom(self) -> None:
        """Never record anything: a part of it failed."""
        self._is_broken = True

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Mark what the block starts as part of the batch."""
        task = asyncio.current_task()
        _inside.set((*(batch for batch in _inside.get() if not batch.is_gone), self))
        try:
            yield
        finally:
            self._is_gone = asyncio.current_task() is not task
            _inside.set(tuple(batch for batch in _inside.get() if batch is not self))


@frozen(eq=False, repr=False)
class BatchSight:
    """The store as it looked from inside a batch at one moment."""

    pending: PendingCommits
    moved: Moved

    def of(self, query: Query) -> Query:
        """Return *query* with the batch's commits on top."""
        return PendingQuery(query, self.pending, self.moved)


def find_batch(owner: object) -> OpenBatch | None:
    """Return the batch of a handle that the caller is inside; it may have ended."""
    for batch in _inside.get():
        if batch.owner is owner and not batch.is_gone:
            return batch
    return None
