"""How a turn ends: which commits, and whether the branch moves.

Pure: the shell reads where the branch is, inside the transaction, and calls
`end_turn`. Imports `domain`.
"""

from collections.abc import Sequence

from attrs import evolve, frozen

from tract.domain.commits import ADDS_SLOTS, CommitOperation
from tract.domain.events import (
    CommitRecorded,
    ContextCompiled,
    EventBody,
    GenerationCancelled,
    GenerationCompleted,
    GenerationFailed,
    UsageRecorded,
)
from tract.domain.exchange import Attempt
from tract.domain.ids import BlobId, CommitId, GenerationId


@frozen(eq=False, repr=False)
class Asked:
    """A turn as it began.

    Attributes:
        generation: Its model call.
        branch: Where the answer shall go.
        base: Where that branch was.
        question: The question as it was recorded, on no branch; None where
            nothing was asked.
    """

    generation: GenerationId
    branch: str
    base: CommitId | None
    question: CommitRecorded | None

    @property
    def head(self) -> CommitId | None:
        """The commit that was compiled and sent."""
        return self.base if self.question is None else self.question.commit.id


@frozen(eq=False, repr=False)
class Ending:
    """How a turn ended.

    Attributes:
        kind: The class of the event that says so.
        answer: The answer, whole or in part, without parent and branch; None
            where nothing arrived.
        reasoning: What the model thought before the answer, the same way;
            None where that is not known, or there is no answer.
        keeps: Whether the answer shall go onto the branch.
        partial: Blob of all that arrived of an answer that is not whole.
        finish_reason: As on the event.
        attempts: Every attempt that was made.
        payload_digest: Blob of the digest of what was sent; None where the
            context was not compiled yet.
    """

    kind: type[GenerationCompleted | GenerationFailed | GenerationCancelled]
    answer: CommitRecorded | None
    keeps: bool
    partial: BlobId | None
    finish_reason: str | None
    attempts: tuple[Attempt, ...]
    payload_digest: BlobId | None
    reasoning: CommitRecorded | None = None


@frozen(eq=False, repr=False)
class Gained:
    """A commit that the branch gained since a turn began.

    Attributes:
        operation: What it does.
        is_on_base: Whether its first parent is where the turn began.
    """

    operation: CommitOperation
    is_on_base: bool


@frozen(eq=False, repr=False)
class Found:
    """What an ending turn finds.

    Attributes:
        head: Where the branch is now; None where it has no commit or is gone.
        gained: What the branch gained since, newest first; empty where it
            is still at its base.
        is_lost: Whether somebody else ended the call already.
    """

    head: CommitId | None
    gained: Sequence[Gained] = ()
    is_lost: bool = False


def end_turn(asked: Asked, ending: Ending, found: Found) -> list[EventBody]:
    """Return the events that end a turn.

    Args:
        asked: The turn as it began.
        ending: How it ended.
        found: Where that left the branch and the call.

    Returns:
        The answer moves the branch where that is still at its base. Where it
        gained only what adds no slot, question and answer are recorded again
        on top. Else, and where the answer is not to be kept, it is recorded
        on no branch. Reasoning stands directly before the answer, wherever
        that is. A call that was lost has its end already: the answer
        and what it cost are recorded, and nothing moves.
    """
    question, answer, head = asked.question, ending.answer, found.head
    keeps = ending.keeps and not found.is_lost
    events: list[EventBody] = []
    is_measured = False
    if answer is not None:
        parent, index = asked.head, 0 if question is None else 1
        if found.is_lost:
            index += 1  # Who ended the call has recorded what had arrived before.
        branch = None
        if keeps and head == asked.base:
            branch = asked.branch
        elif keeps and head is not None and _stands_on_base(found.gained):
            branch = asked.branch
            if question is not None:
                question, index = _again(question, head), 2
                events.append(question)
            parent = head if question is None else question.commit.id
        said = _behind(parent, index, *([] if ending.reasoning is None else [ending.reasoning]), answer)
        answer = evolve(said[-1], branch=branch, before=head if branch and head != _parent(said[-1]) else None)
        events += [*said[:-1], answer]
        # Figures measure the context that was sent: with other words before it,
        # the answer's commit is not where they hold.
        is_measured = parent == asked.head
    events += _accounts(asked, ending, answer.commit.id if answer is not None and is_measured else None)
    if found.is_lost:
        return events
    events.append(
        ending.kind(
            generation=asked.generation,
            question=None if question is None else question.commit.id,
            answer=None if answer is None else answer.commit.id,
            partial=ending.partial,
            finish_reason=ending.finish_reason,
        )
    )
    return events


def _behind(parent: CommitId | None, index: int, *recorded: CommitRecorded) -> list[CommitRecorded]:
    """Return commits one behind the other, from *parent* and the *index*-th place of the operation on."""
    chain: list[CommitRecorded] = []
    for place, each in enumerate(recorded, index):
        commit = evolve(each.commit, parents=() if parent is None else (parent,), index=place)
        chain.append(evolve(each, commit=commit))
        parent = commit.id
    return chain


def _parent(recorded: CommitRecorded) -> CommitId | None:
    return recorded.commit.parents[0] if recorded.commit.parents else None


def _stands_on_base(gained: Sequence[Gained]) -> bool:
    """Say whether nothing new stands behind what the model was told."""
    return bool(gained) and gained[-1].is_on_base and not any(each.operation in ADDS_SLOTS for each in gained)


def _again(recorded: CommitRecorded, head: CommitId) -> CommitRecorded:
    commit = recorded.commit
    return evolve(recorded, commit=evolve(commit, parents=(head,), index=commit.index + 1))


def _accounts(asked: Asked, ending: Ending, paid: CommitId | None) -> list[EventBody]:
    events: list[EventBody] = [
        UsageRecorded(asked.generation, paid if attempt.error is None else None, attempt.number, attempt.figures)
        for attempt in ending.attempts
    ]
    if ending.payload_digest is not None:
        events.append(ContextCompiled(asked.generation, asked.head, ending.payload_digest))
    return events
