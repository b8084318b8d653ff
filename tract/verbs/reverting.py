"""Undoing what one commit changed, by another: `revert`.

Imports `core`, `changing`, `describing`, `placing` and `operations.reverting`, which
decides what can be undone.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tract.core import TractCore
from tract.core.graph import Node, Place, find_head, is_ancestor, resolve
from tract.domain.commits import CommitOperation
from tract.domain.events import CommitRecorded
from tract.domain.ids import CommitId
from tract.domain.messages import ABSENT, Absent
from tract.domain.results import CommitInfo
from tract.errors import RevertError
from tract.log.protocol import Query
from tract.operations.reverting import Undoing, plan_revert
from tract.verbs.changing import change_digest, changing_commit
from tract.verbs.describing import commit_info, decode_commit
from tract.verbs.drafting import as_details, draft_words
from tract.verbs.placing import Change, begin_call, place_change


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
    expect: str | None | Absent = ABSENT,
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
        expect: As for `commit`.

    Raises:
        RevertError: The commit is an append, a merge or a revert; it is not in
            this branch's history; nothing of it stands any more; or a later
            commit was built on what it did.
        ContentValidationError: Message or metadata is malformed.
        BudgetExceededError: What comes back would take the context beyond a
            budget that rejects.
        DetachedHeadError: There is no branch to commit to.
        RefNotFoundError: Nothing answers to *target*, or to *expect*.
        HeadMovedError: The branch is not where *expect* says.
    """
    words = draft_words(t, as_details(message, metadata))
    branch, place = t.require_branch(), t.place
    call = await begin_call(t, place, operation_id, expect, lambda: change_digest(t, "revert", target, words))
    if call.earlier is not None:
        return call.earlier
    named = target

    async def plan() -> Change:
        nonlocal named
        at = await _target(t, place, named)
        named = at.named
        commit = changing_commit(t, call.operation, CommitOperation.REVERT, at.head, (at.named,), words)
        recorded = CommitRecorded(
            commit,
            branch=branch,
            slot_delta=at.undoing.slot_delta,
            token_delta=at.undoing.token_delta,
        )
        return Change(at.head, recorded, words.blobs)

    placed = await place_change(t, call, place, plan)
    return placed if isinstance(placed, CommitInfo) else commit_info(placed, None, words.details, None)


async def _target(t: TractCore, place: Place, ref: str) -> _Target:
    """Read what undoing the commit that a ref means would change at the head."""
    contexts, file = t.collaborators.shared.contexts, t.collaborators.shared.store.where

    def load(query: Query) -> _Target:
        named, head = resolve(query, place, ref), find_head(query, place)
        if head is None or not is_ancestor(query, named, head):
            raise RevertError(named.id, "it is not in the history of this branch; switch to one that has it")
        event, *_ = decode_commit(query("commits.log_entry", named.number)[0], file)
        assert isinstance(event.body, CommitRecorded)
        undoing = plan_revert(contexts.context(query, head), named.id, event.body.commit.operation)
        return _Target(named.id, head, undoing)

    return await t.read(load)
