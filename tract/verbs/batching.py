"""`batch`: several verbs recorded once, all or nothing.

What the verbs of the handle commit inside the block is collected on top of
where the branch was when the block was entered, and appended in one piece on
condition that the branch is still there. So every commit has its final id as
soon as its verb returns. Imports `core`, `budgeting`, `placing` and
`repeating`; read `Batch` first.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tract.core import TractCore
from tract.core.batches import BatchPlace, EarlierBatch, OpenBatch
from tract.core.graph import Node, node
from tract.domain.events import CommitRecorded, NewEvent
from tract.domain.ids import CommitId, OperationId, uuid_bytes
from tract.domain.messages import ABSENT, Absent
from tract.errors import BatchError, ContentValidationError, HeadMovedError, OperationMismatchError
from tract.log.codec import decode_operation
from tract.log.protocol import Query, Row, Statement
from tract.verbs.budgeting import Spending
from tract.verbs.placing import Call, branch_at, find_expected, require_branch_at
from tract.verbs.repeating import request_digest

DIGEST = 32
"""Bytes of one digest among those that are stored with a batch."""


class Batch:
    """A block in which the verbs of one handle are recorded once, all or nothing."""

    def __init__(self, t: TractCore, operation_id: str | None, expect: str | None | Absent) -> None:
        self._t = t
        self._operation_id = operation_id
        self._expect = expect
        self._holding = ExitStack()
        self._inside = ExitStack()
        self._open: OpenBatch | None = None
        self._is_nested = False
        self._is_entered = False

    @property
    def operation_id(self) -> OperationId | None:
        """The operation that all its commits belong to; None before it is entered."""
        return None if self._open is None else self._open.operation

    @property
    def commit_ids(self) -> tuple[CommitId, ...]:
        """The commits that it holds up to now, in order."""
        bodies = () if self._open is None else (event.body for event in self._open.events)
        return tuple(body.commit.id for body in bodies if isinstance(body, CommitRecorded))

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise BatchError(self._t.require_branch(), "is entered once: call batch() again")
        self._is_entered = True
        outer = self._t.open_batch()
        if outer is None:
            await self._begin()
        else:
            await self._join(outer)
        return self

    async def _join(self, outer: OpenBatch) -> None:
        if self._operation_id is not None:
            raise ContentValidationError("operation_id", "a nested batch is part of the outer one; give the id to that")
        call = Call(outer.operation, None, await find_expected(self._t, self._t.place, self._expect))
        call.require_head(outer.place.branch, outer.head)
        self._open, self._is_nested = outer, True

    async def _begin(self) -> None:
        t, branch = self._t, self._t.require_branch()
        operation, gates = t.operation(self._operation_id), t.collaborators.shared.gates
        call = await self._call(branch, operation)
        hold = await gates.enter(t.place.tract, branch, is_batch=True)
        self._holding.callback(gates.leave, hold)
        try:
            # Asked for again: whoever was before us at the gate may have been the same call.
            earlier = None if call.digest is None else await _find_earlier(t, operation, call.digest)
            base = await _find_base(t, branch, call) if earlier is None else await _find_parent(t, earlier.nodes[0])
        except BaseException:
            self._holding.close()
            raise
        place = BatchPlace(t.place.stream, t.place.tract, t.id, branch, base)
        self._open = OpenBatch(t, place, operation, is_repeatable=call.digest is not None, earlier=earlier)
        self._inside.enter_context(gates.inside(hold))
        self._inside.enter_context(self._open.inside())

    async def _call(self, branch: str, operation: OperationId) -> Call:
        place = self._t.place
        digest = None if self._operation_id is None else _own_digest(self._t, branch)
        if digest is not None and await _find_earlier(self._t, operation, digest) is not None:
            return Call(operation, digest, ABSENT)
        return Call(operation, digest, await find_expected(self._t, place, self._expect))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        batch = self._open
        if batch is None:
            return
        if self._is_nested:
            if error is not None:
                batch.doom()
            return
        self._inside.close()
        spending = Spending(self._t, batch.place.branch)
        try:
            if error is not None:
                batch.give_up()
            elif batch.end():
                await self._record(batch, spending)
        finally:
            self._holding.close()
        # Not before the branch is free: whoever is told may write to it.
        await spending.tell()

    async def _record(self, batch: OpenBatch, spending: Spending) -> None:
        t, branch, base = self._t, batch.place.branch, batch.place.base

        def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
            require_branch_at(branch, base, rows)
            commits = [(event, event.body) for event in batch.events if isinstance(event.body, CommitRecorded)]
            spending.check_batch(rows, batch.growth, *(body for _, body in commits))
            return [NewEvent(event.tract, body, event.actor) for event, body in commits]

        digest = b"".join((_own_digest(t, branch), *batch.digests)) if batch.is_repeatable else None
        reads = (Statement("refs.branch", (t.place.tract, branch)), spending.read)
        recorded = await t.record(batch.operation, decide, reads=reads, blobs=batch.drafts, digest=digest)
        last = recorded[-1].body
        assert isinstance(last, CommitRecorded)
        if last.commit.id != batch.head:
            # The same operation came from another process, which was faster:
            # the ids that were handed out here are of commits that never were.
            raise HeadMovedError(branch, None if base is None else base.id, last.commit.id)


def batch(t: TractCore, *, operation_id: str | None = None, expect: str | None | Absent = ABSENT) -> Batch:
    """Return a block, to enter with `async with`, that records once, all or nothing.

    Every commit that this handle's verbs make in the block goes into one
    append when the block ends, if the branch is still where it was when the
    block began. Until then it is seen from inside the block alone: by refs,
    `compile`, `log`, `show`, `status` and `head`. An exception or a
    cancellation in the block records nothing; a cancellation at its end may
    come when the writer has the batch, which is then recorded as a whole:
    give *operation_id* to be able to run it again. The block belongs to the task that entered
    it, with the tasks that this starts and awaits in it; what other tasks of
    this process write to the branch waits until it ends. A `batch()` in the
    block joins it. What cannot be undone - turns, other branches, other
    handles on this branch - is refused inside.

    Args:
        t: The tract.
        operation_id: A UUID of the caller's for the whole block. The same id
            again gives each verb the commit that it made the first time, if
            the calls are the same in the same order, and writes nothing.
        expect: Where the branch must be when the block begins; as for `commit`.

    Raises:
        ContentValidationError: The id is none, or given to a nested batch.
        HeadMovedError: The branch is not where *expect* says, or moved before
            the block ended; nothing was recorded.
        BudgetExceededError: At the end, what the block added beside tool
            results would take the context beyond a budget that rejects;
            nothing was recorded.
        OperationMismatchError: The id belongs to another call, or to a batch
            of other calls.
        DetachedHeadError: There is no branch to write to.
        TurnInProgressError: Entered from inside a turn on this branch, or from
            inside what that waits for.
        BatchError: Entered from inside a batch that has ended, that belongs
            to another handle on this branch, or that such a one waits for.
    """
    return Batch(t, operation_id, expect)


def _own_digest(t: TractCore, branch: str) -> bytes:
    """Return what stands before the digests of a batch's calls."""
    return request_digest(t, "batch", branch=branch)


async def _find_earlier(t: TractCore, operation: OperationId, own: bytes) -> EarlierBatch | None:
    file = t.collaborators.shared.store.where

    def load(query: Query) -> EarlierBatch | None:
        events, request = decode_operation(query("log.operation_events", uuid_bytes(operation)), file=file)
        if not events:
            return None
        rows = query("log.blob", bytes.fromhex(request or ""))
        stored: bytes = (rows[0][0] if rows else None) or b""
        digests = tuple(stored[at : at + DIGEST] for at in range(DIGEST, len(stored), DIGEST))
        if stored[:DIGEST] != own or len(digests) != len(events):
            raise OperationMismatchError(operation)
        return EarlierBatch(events, tuple(node(query, event.position) for event in events), digests)

    return await t.read(load)


async def _find_base(t: TractCore, branch: str, call: Call) -> Node | None:
    """Return where the branch is behind every append that is on its way.

    Asked of the writer and not of a reader, which would not see what waits in
    the queue.
    """
    found = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        head = branch_at(branch, rows)
        call.require_head(branch, None if head is None else head.id)
        found.append(head)
        return ()

    await t.record(call.operation, decide, reads=(Statement("refs.branch", (t.place.tract, branch)),))
    return found[-1]


async def _find_parent(t: TractCore, of: Node) -> Node | None:
    above = of.parent
    return None if above is None else await t.read(lambda query: node(query, above))
