"""What the verbs share that change what stands in the context.

They must see the history: they read it, note the head, and record on condition
that the branch is still there; if it moved, they look again. Imports `core`,
`budgeting`, `drafting` and `repeating`; read `record_change`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import frozen

from tract.core import TractCore
from tract.core.graph import Node
from tract.domain.commits import Commit, CommitOperation
from tract.domain.events import CommitRecorded, Event, NewEvent
from tract.domain.ids import CommitId, OperationId
from tract.errors import BranchNotFoundError, HeadMovedError
from tract.log.protocol import BlobDraft, Row, Statement
from tract.operations.budgeting import Source
from tract.verbs.budgeting import Spending
from tract.verbs.drafting import Words
from tract.verbs.repeating import request_digest


@frozen(eq=False, repr=False)
class Change:
    """A commit that changes slots, to be recorded at a head."""

    head: Node
    recorded: CommitRecorded
    blobs: tuple[BlobDraft, ...]


async def record_change(
    t: TractCore, operation: OperationId, plan: Callable[[OperationId], Awaitable[Change]], digest: bytes | None
) -> Event:
    """Plan and record, again for as long as the branch moves in between.

    Raises:
        BranchNotFoundError: The branch was deleted.
        BudgetExceededError: The context would grow beyond a budget that rejects.
        DetachedHeadError: There is no branch to move.
        BudgetExceededError: The budget refuses what would be shown.
    """
    branch, tract = t.require_branch(), t.place.tract
    spending = Spending(t, branch)
    while True:
        change = await plan(operation)

        def decide(rows: Sequence[Sequence[Row]], change: Change = change) -> Sequence[NewEvent]:
            if not rows[0]:
                raise BranchNotFoundError(branch)
            head = rows[0][0][1]
            if head != change.head.number:
                raise HeadMovedError(branch, change.head.id, rows[0][0][0].hex())
            spending.check(rows, Source.CALLER, change.recorded)
            return [NewEvent(t.id, change.recorded, t.collaborators.actor)]

        try:
            (event, *_) = await t.record(
                operation,
                decide,
                reads=(Statement("refs.branch", (tract, branch)), spending.read),
                blobs=change.blobs,
                digest=digest,
            )
        except HeadMovedError:
            continue
        await spending.tell()
        return event


def changing_commit(
    t: TractCore,
    operation: OperationId,
    kind: CommitOperation,
    head: Node,
    targets: tuple[CommitId, ...],
    words: Words,
) -> Commit:
    """Return a commit on *head* that acts on *targets* and brings no content."""
    return Commit(
        parents=(head.id,),
        operation=kind,
        time=t.collaborators.clock(),
        operation_id=operation,
        targets=targets,
        details=words.details_blob,
        config=words.config_blob,
        actor=t.collaborators.actor,
    )


def change_digest(t: TractCore, verb: str, target: str, words: Words, **arguments: Any) -> bytes:
    """Return what tells two calls of a verb with a target and one operation id apart.

    Raises:
        ContentValidationError: An argument is not JSON.
    """
    config = None if words.config is None else words.config.to_dict()
    details, branch = words.details.to_json(), t.require_branch()
    return request_digest(t, verb, branch=branch, target=target, details=details, config=config, **arguments)
