"""Whether a commit can be undone by another one, and what that does to the totals.

The fold undoes whatever still stands and never fails. Here is said beforehand
whether anything stands, and whether a later commit was built on it.

Imports `errors`, `domain`, `context`, `folding` and `slots`. Read `plan_revert`.
"""

from collections.abc import Callable, Sequence

from attrs import frozen

from tract.domain.commits import CommitOperation
from tract.domain.ids import CommitId
from tract.errors import RevertError
from tract.operations.context import Annotated, Context, Edited, Reordered
from tract.operations.folding import fold
from tract.operations.slots import Slot, Step

NOTHING = "what it changed does not stand any more, so there is nothing to undo"


@frozen
class Undoing:
    """What undoing a commit does to the totals of a context.

    Attributes:
        slot_delta: How many slots more compile.
        token_delta: The same in tokens, at their recorded counts.
    """

    slot_delta: int
    token_delta: int


def plan_revert(context: Context, target: CommitId, operation: CommitOperation) -> Undoing:
    """Return what undoing a commit does to the context at the head.

    Args:
        context: At the head, in whose history the commit must be.
        target: The commit.
        operation: What it does.

    Raises:
        RevertError: It adds, joins or undoes; or what it changed does not
            stand any more, or a later commit was built on it.
    """
    match operation:
        case CommitOperation.APPEND:
            raise RevertError(target, "it added a slot; hide that with skip()")
        case CommitOperation.MERGE:
            raise RevertError(target, f'it is a merge; go on from before it with branch(name, at="{target[:12]}~1")')
        case CommitOperation.REVERT:
            raise RevertError(target, "it is a revert itself; make the change again that it undid")
        case CommitOperation.COMPRESS:
            _require_summary(context, target)
        case CommitOperation.EDIT | CommitOperation.ANNOTATE | CommitOperation.REORDER:
            _require_change(context, target)
    # By the fold itself, so that the totals cannot differ from what it does. A
    # revert enters nothing into the index that contexts share.
    after = fold(context, (Step(CommitId(""), CommitOperation.REVERT, (target,)),))
    return Undoing(after.slot_count - context.slot_count, after.slot_tokens - context.slot_tokens)


def _require_summary(context: Context, target: CommitId) -> None:
    """Refuse a compress whose summary is gone, or was changed since."""
    summary = context.find_slot(target)
    if summary is None or not summary.took or _is_gone(context, summary):
        raise RevertError(target, NOTHING)
    _refuse_taken(context, target, summary, "its summary")
    if summary.content.commit != target:
        raise _built_upon(target, summary.content.commit, "edited its summary")
    if summary.priority_by is not None:
        raise _built_upon(target, summary.priority_by, "set the priority of its summary")


def _require_change(context: Context, target: CommitId) -> None:
    """Refuse an edit, annotate or reorder of which nothing stands where it can be seen."""
    match context.find_change(target):
        case Edited(number=number):
            _require_standing(context, target, [number], _editor, "edited the slot again")
        case Annotated(before=before):
            numbers = [number for number, _, _ in before]
            _require_standing(context, target, numbers, _annotator, "set the priority again")
        case Reordered(before=moved):
            _require_standing(context, target, [number for number, _ in moved], _mover, "moved the slots again")
        case None:
            raise RevertError(target, NOTHING)


def _require_standing(
    context: Context, target: CommitId, numbers: Sequence[int], author: Callable[[Slot], CommitId | None], did: str
) -> None:
    slots = [context.slots[number] for number in numbers]
    standing = [slot for slot in slots if author(slot) == target]
    if any(slot.live for slot in standing):
        return
    for slot in standing:
        _refuse_taken(context, target, slot, "the slot")
    for number, slot in zip(numbers, slots, strict=True):
        last = author(slot)
        if last is not None and not _is_gone(context, slot) and _is_below(context, target, last, number):
            raise _built_upon(target, last, did)
    raise RevertError(target, NOTHING)


def _is_below(context: Context, target: CommitId, last: CommitId, number: int) -> bool:
    """Tell whether reverting *last*, and what that brings back, leads to *target*."""
    commit: CommitId | None = last
    while commit is not None and commit != target:
        commit = _replaced(context, commit, number)
    return commit is not None


def _replaced(context: Context, commit: CommitId, number: int) -> CommitId | None:
    """Return the commit whose work on a slot *commit* replaced; None where that was the slot's own."""
    match context.find_change(commit):
        case Edited(content=content):
            return content.commit
        case Annotated(before=before):
            return next((by for one, _, by in before if one == number), None)
        case Reordered(before=moved):
            return next((by for one, by in moved if one == number), None)
        case None:
            return None


def _editor(slot: Slot) -> CommitId:
    return slot.content.commit


def _annotator(slot: Slot) -> CommitId | None:
    return slot.priority_by


def _mover(slot: Slot) -> CommitId | None:
    return slot.moved_by


def _refuse_taken(context: Context, target: CommitId, slot: Slot, what: str) -> None:
    """Refuse for a slot that a compression took out and can give back."""
    if slot.removed_by is not None and not _is_gone(context, slot):
        raise _built_upon(target, slot.removed_by, f"compressed {what} away")


def _is_gone(context: Context, slot: Slot) -> bool:
    """Tell whether a slot was a summary that was undone, which nothing brings back."""
    return slot.removed_by is not None and context.find_slot(slot.removed_by) is None


def _built_upon(target: CommitId, later: CommitId, did: str) -> RevertError:
    return RevertError(target, f"commit {later[:12]} {did} since; revert that one first")
