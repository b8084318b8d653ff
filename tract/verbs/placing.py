"""Where a commit goes: the one seam between verbs and the branch.

A verb says what it would record, and this decides where: on wherever the
branch is by then, on the commit that the verb saw or its caller expects, or
into the batch that the caller is inside. Imports `core`, `budgeting` and `repeating`; read
`place_append` and `place_change`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from attrs import frozen

from tract.core import TractCore
from tract.core.graph import Node, Place, branch_node, find_head, resolve
from tract.domain.events import CommitRecorded, Event, NewEvent
from tract.domain.ids import CommitId, OperationId
from tract.domain.messages import ABSENT, Absent
from tract.domain.results import CommitInfo
from tract.errors import BranchNotFoundError, ContentValidationError, HeadMovedError, RefusedError
from tract.log.protocol import BlobDraft, Row, Statement
from tract.operations.budgeting import Source
from tract.verbs.budgeting import Spending
from tract.verbs.repeating import find_commit

Expected: TypeAlias = str | None | Absent
"""Where a caller expects the branch: a ref, None for no commit yet, or `ABSENT` for wherever it is."""


@frozen(eq=False, repr=False)
class Call:
    """A verb call that is about to make one commit.

    Attributes:
        operation: Its id; within a batch, the batch's.
        digest: What tells it from others; None where nobody will ask.
        expected: The commit that the branch must be at, None for no commit
            yet, or `ABSENT`.
        earlier: What it made before, under an id of the caller's.
    """

    operation: OperationId
    digest: bytes | None
    expected: CommitId | None | Absent
    earlier: CommitInfo | None = None

    def require_head(self, branch: str, head: CommitId | None) -> None:
        """Refuse a branch that is not where the caller expects it.

        Raises:
            HeadMovedError: It is elsewhere.
        """
        if self.expected is not ABSENT and self.expected != head:
            raise HeadMovedError(branch, self.expected, head)


@frozen(eq=False, repr=False)
class Change:
    """A commit that was planned on what stands at a head."""

    head: Node
    recorded: CommitRecorded
    blobs: tuple[BlobDraft, ...]


async def begin_call(t: TractCore, place: Place, operation_id: str | None, expect: Expected, digest: Callable[[], bytes]) -> Call:
    """Return a call, answered already if it was made before.

    What is expected is no part of what a call is: it says when to make it, and
    is not true any more once it was made.

    Args:
        t: The tract.
        place: Where the handle stood when it was called.
        operation_id: As the caller gave it.
        expect: As the caller gave it.
        digest: What tells the call from others; asked only where it counts.

    Raises:
        ContentValidationError: The id is none, or given inside a batch.
        OperationMismatchError: The id belongs to another call.
        RefNotFoundError: Nothing answers to *expect*.
        AmbiguousRefError: It is a prefix that fits several commits.
        BatchError: The batch that the caller is inside takes no more.
    """
    batch = t.open_batch()
    if batch is not None:
        if operation_id is not None:
            raise ContentValidationError("operation_id", "inside a batch the batch is the operation; give the id to batch()")
        return Call(batch.operation, digest() if batch.is_repeatable else None, await find_expected(t, place, expect))
    operation = t.operation(operation_id)
    proof = None if operation_id is None else digest()
    earlier = await find_commit(t, operation, proof)
    return Call(operation, proof, ABSENT if earlier is not None else await find_expected(t, place, expect), earlier)


async def find_expected(t: TractCore, place: Place, expect: Expected) -> CommitId | None | Absent:
    """Return the commit that a ref names, None and `ABSENT` for themselves.

    Raises:
        RefNotFoundError: Nothing answers to it.
        AmbiguousRefError: It is a prefix that fits several commits.
    """
    if expect is None or expect is ABSENT:
        return expect
    ref = expect
    return (await t.read(lambda query: resolve(query, place, ref))).id


async def place_append(
    t: TractCore,
    call: Call,
    place: Place,
    source: Source,
    make: Callable[[int, CommitId | None], CommitRecorded],
    blobs: tuple[BlobDraft, ...],
) -> Event:
    """Record a commit that needs no look at the history, on wherever the branch is.

    Args:
        t: The tract.
        call: The verb call.
        place: Where the handle stood when it was called; on a branch.
        source: Where the tokens come from.
        make: Pure; returns the commit, given its time and where the branch is.
        blobs: What it names.

    Raises:
        BranchNotFoundError: The branch was deleted.
        BudgetExceededError: The budget refuses it.
        HeadMovedError: The branch is not where the caller expects it.
        TurnInProgressError: The caller is inside a turn on the branch.
        BatchError: It is inside a batch on it that is not this handle's, or
            in one that takes no more.
    """
    branch, batch = place.head.branch, t.open_batch()
    assert branch is not None
    if batch is not None:
        call.require_head(branch, batch.head)
        return batch.put(make(t.collaborators.clock(), batch.head), blobs, call.digest, source)
    await t.collaborators.shared.gates.pass_through(place.tract, branch)
    time, spending = t.collaborators.clock(), Spending(t, branch)

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if not rows[0]:
            raise BranchNotFoundError(branch)
        id = rows[0][0][0]
        head = None if id is None else CommitId(id.hex())
        call.require_head(branch, head)
        recorded = make(time, head)
        spending.check(rows, source, recorded)
        return [NewEvent(t.id, recorded, t.collaborators.actor)]

    reads = (Statement("refs.branch", (place.tract, branch)), spending.read)
    (event, *_) = await t.record(call.operation, decide, reads=reads, blobs=blobs, digest=call.digest)
    await spending.tell()
    return event


async def place_change(t: TractCore, call: Call, place: Place, plan: Callable[[], Awaitable[Change]]) -> Event | CommitInfo:
    """Plan a commit and record it on what the plan saw, again for as long as the branch moves in between.

    Args:
        t: The tract.
        call: The verb call.
        place: Where the handle stood when it was called; on a branch.
        plan: Looks at the history there and returns what to record.

    Returns:
        What was recorded; a commit, where the same call was made at the same
        time and has changed what this one looked at.

    Raises:
        BranchNotFoundError: The branch was deleted.
        BudgetExceededError: The budget refuses it.
        HeadMovedError: The branch is not where the caller expects it.
        BatchError: The caller is inside a batch on the branch that is not
            this handle's, or in one that takes no more.
    """
    try:
        return await _place_change(t, call, place, plan)
    except (RefusedError, HeadMovedError):
        earlier = None if t.open_batch() is not None else await find_commit(t, call.operation, call.digest)
        if earlier is None:
            raise
        return earlier


async def _place_change(t: TractCore, call: Call, place: Place, plan: Callable[[], Awaitable[Change]]) -> Event:
    branch = place.head.branch
    assert branch is not None
    while True:
        if call.expected is not ABSENT:
            head = await t.read(lambda query: find_head(query, place))
            call.require_head(branch, None if head is None else head.id)
        change = await plan()
        call.require_head(branch, change.head.id)
        batch = t.open_batch()
        if batch is not None:
            if batch.tip is not None and batch.tip.number == change.head.number:
                return batch.put(change.recorded, change.blobs, call.digest, Source.CALLER)
            continue
        await t.collaborators.shared.gates.pass_through(place.tract, branch, adds_slots=False)
        try:
            return await _record_change(t, call, place.tract, change)
        except HeadMovedError:
            if call.expected is not ABSENT:
                raise


async def _record_change(t: TractCore, call: Call, tract: int, change: Change) -> Event:
    branch = change.recorded.branch
    assert branch is not None
    spending = Spending(t, branch)

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        require_branch_at(branch, change.head, rows)
        spending.check(rows, Source.CALLER, change.recorded)
        return [NewEvent(t.id, change.recorded, t.collaborators.actor)]

    reads = (Statement("refs.branch", (tract, branch)), spending.read)
    (event, *_) = await t.record(call.operation, decide, reads=reads, blobs=change.blobs, digest=call.digest)
    await spending.tell()
    return event


def branch_at(branch: str, rows: Sequence[Sequence[Row]]) -> Node | None:
    """Return where a branch is, of the rows of `refs.branch`.

    Raises:
        BranchNotFoundError: There is no such branch.
    """
    if not rows[0]:
        raise BranchNotFoundError(branch)
    return branch_node(rows[0][0])


def require_branch_at(branch: str, expected: Node | None, rows: Sequence[Sequence[Row]]) -> None:
    """Refuse to record on a branch that moved.

    Raises:
        BranchNotFoundError: There is no such branch.
        HeadMovedError: It is elsewhere.
    """
    head = branch_at(branch, rows)
    if (None if head is None else head.number) != (None if expected is None else expected.number):
        raise HeadMovedError(branch, None if expected is None else expected.id, None if head is None else head.id)
