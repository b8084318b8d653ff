"""Undoing what one commit changed, by another: `revert`.

Imports `core`, `changing`, `describing` and `operations.reverting`, which
decides what can be undone.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tract.core import TractCore
from tract.core.graph import Node, find_head, is_ancestor, resolve
from tract.domain.commits import CommitOperation
from tract.domain.events import CommitRecorded
from tract.domain.ids import CommitId, OperationId
from tract.domain.results import CommitInfo
from tract.errors import RevertError
from tract.log.protocol import Query
from tract.operations.reverting import Undoing, plan_revert
from tract.verbs.changing import Change, change_digest, changing_commit, record_change
from tract.verbs.describing import commit_info, decode_commit
from tract.verbs.drafting import as_details, draft_words
from tract.verbs.repeating import find_commit


@frozen(eq=False, repr=False)
class _Target:
    """A commit to undo, as it was seen from a head.

    Attributes:
        named: The commit that was meant: where the branch moves before the
            revert is recorded, a relative ref would mean another.
        head: Where the branch was.
        undoing: What undoing it there changes.
    """

    named: CommitId
    head: Node
    undoing: Undoing


async def revert(
    t: TractCore,
    target: str,
    *,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    operation_id: str | None = None,
) -> CommitInfo:
    """Undo what one commit changed, where the change still stands.

    Of an edit the slot's content and config before it come back, of an annotate
    (`pin`, `skip`) the priorities before it, for a tool unit as a whole. The
    undone commit stays in the history, and earlier commits compile as before.

    Args:
        t: The tract.
        target: Any ref of the commit to undo, in the history of this branch.
        message: One line on why.
        metadata: Anything, JSON.
        operation_id: As for `commit`.

    Raises:
        RevertError: The commit is an append, a merge or a revert; it is not in
            this branch's history; nothing of it stands any more; or a later
            commit was built on what it did.
        ContentValidationError: Message or metadata is malformed.
        BudgetExceededError: What comes back would take the context beyond a
            budget that rejects.
        DetachedHeadError: There is no branch to commit to.
        RefNotFoundError: Nothing answers to *target*.
    """
    words = draft_words(t, as_details(message, metadata))
    named = target

    async def plan(operation: OperationId) -> Change:
        nonlocal named
        at = await _target(t, named)
        named = at.named
        commit = changing_commit(t, operation, CommitOperation.REVERT, at.head, (at.named,), words)
        recorded = CommitRecorded(
            commit,
            branch=t.require_branch(),
            slot_delta=at.undoing.slot_delta,
            token_delta=at.undoing.token_delta,
        )
        return Change(at.head, recorded, words.blobs)

    operation = t.operation(operation_id)
    digest = None if operation_id is None else change_digest(t, "revert", target, words)
    earlier = await find_commit(t, operation, digest)
    if earlier is not None:
        return earlier
    event = await record_change(t, operation, plan, digest)
    return commit_info(event, None, words.details, None)


async def _target(t: TractCore, ref: str) -> _Target:
    """Read what undoing the commit that a ref means would change at the head."""
    t.require_branch()
    place, contexts, file = t.place, t.collaborators.shared.contexts, t.collaborators.shared.store.where

    def load(query: Query) -> _Target:
        named, head = resolve(query, place, ref), find_head(query, place)
        if head is None or not is_ancestor(query, named, head):
            raise RevertError(named.id, "it is not in the history of this branch; switch to one that has it")
        event, *_ = decode_commit(query("commits.log_entry", named.number)[0], file)
        assert isinstance(event.body, CommitRecorded)
        undoing = plan_revert(contexts.context(query, head), named.id, event.body.commit.operation)
        return _Target(named.id, head, undoing)

    return await t.read(load)
