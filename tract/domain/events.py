"""The immutable facts of the log, one class a shape.

`TYPES` names every shape with its tag and schema number; both are for ever: a
class that changes gets the next number, and `log.upcasting` the way up to it.
What a person or a model wrote is a blob, and an event holds its id. Names of
branches, worktrees, tracts and actors stand in events in the clear and cannot
be erased. The two envelopes are Structs of msgspec: every append makes them, in
a fifth of the time of an attrs class. Imports `budgets`,
`commits` and `ids`; `log.codec` turns events into bytes.
"""

from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from attrs import frozen
from msgspec import Struct

from tract.domain.budgets import TokenBudget
from tract.domain.commits import Commit
from tract.domain.ids import BlobId, CommitId, GenerationId, OperationId, TractId


@frozen
class TractCreated:
    """A tract begins; a root's id names its stream.

    Attributes:
        name: Its name, in the clear.
        parent: The tract that spawned it; None for a root.
        metadata: Blob of the caller's object, or None.
    """

    tag: ClassVar[str] = "tract.created"
    schema: ClassVar[int] = 1
    name: str
    parent: TractId | None = None
    metadata: BlobId | None = None


@frozen
class TractConfigured:
    """What a tract is set to from now on: the whole of it, not what changed.

    Attributes:
        llm_config: Blob of how models are asked by default, or None; never
            with a key or secret.
        budget: The most tokens that its contexts may have, or None.
        operations: Blob of how models are asked for single operations: an
            object of the operation's name and its config; or None.
    """

    tag: ClassVar[str] = "tract.configured"
    schema: ClassVar[int] = 2
    llm_config: BlobId | None
    budget: TokenBudget | None
    operations: BlobId | None


@frozen
class CommitRecorded:
    """A commit exists and, where a branch is named, that branch is now at it.

    Attributes:
        commit: The commit; its actor and operation stand in the event's row.
        branch: The branch that moves, or None for a commit on no branch.
        before: Where that branch was, when that is not the first parent.
        tokens: What its content costs; None where there is none.
        counter: Name of the counter that said so.
        slot_delta: How many slots more compile after it than at its first
            parent.
        token_delta: The same in tokens, at their recorded counts.
    """

    tag: ClassVar[str] = "commit.recorded"
    schema: ClassVar[int] = 1
    commit: Commit
    branch: str | None = None
    before: CommitId | None = None
    tokens: int | None = None
    counter: str | None = None
    slot_delta: int = 0
    token_delta: int = 0


@frozen
class BranchCreated:
    """A branch begins at *head*; None where the tract has no commit yet."""

    tag: ClassVar[str] = "branch.created"
    schema: ClassVar[int] = 1
    branch: str
    head: CommitId | None


@frozen
class HeadMoved:
    """A named worktree's HEAD is now on a branch or, detached, at a commit.

    Attributes:
        worktree: Whose HEAD; `main` for a plain `open()`.
        branch: The branch, or None when detached.
        commit: The commit when detached, else None.
    """

    tag: ClassVar[str] = "head.moved"
    schema: ClassVar[int] = 1
    worktree: str
    branch: str | None
    commit: CommitId | None = None


@frozen
class OperationRecorded:
    """What an operation on many commits did, for its receipt.

    Attributes:
        kind: compress, reorganize, import, merge, collapse, reorder, gc,
            erase or undo.
        branch: Where, or None.
        sources: Commits it worked on.
        results: Commits it made.
        tokens_before: Of the context before.
        tokens_after: Of the context after.
        parameters: Blob of an object, or None.
    """

    tag: ClassVar[str] = "operation.recorded"
    schema: ClassVar[int] = 1
    kind: str
    branch: str | None
    sources: tuple[CommitId, ...]
    results: tuple[CommitId, ...]
    tokens_before: int | None = None
    tokens_after: int | None = None
    parameters: BlobId | None = None


@frozen
class Owner:
    """The process that runs a generation; None where the platform tells none.

    Attributes:
        host: Name of the machine.
        boot: Id of its boot.
        namespace: Id of the pid namespace.
        process: Process id within it.
        started: When that process started, in the platform's own unit.
    """

    host: str | None
    boot: str | None
    namespace: int | None
    process: int | None
    started: int | None


@frozen
class GenerationStarted:
    """A model call begins.

    Attributes:
        generation: Its id.
        branch: Where the answer shall go.
        base: Where that branch was; None for an unborn branch.
        question: The question's commit, on no branch; None where nothing was
            asked.
        head: The commit that was compiled and sent.
        order: Slots in another order than the history's, or None.
        compiler: Name and version of the compiler.
        rendering: The newest rendering it knew.
        format: Name and number of the payload's format.
        config: Blob of the config that was sent.
        tools: Blob of the tool schemas that were sent, or None.
        owner: The process that waits for the answer.
        verb: What was called, `chat`, `generate` or `stream`; None in what was
            recorded before schema 2.
        options: Blob of what was said beside the tools, an object with
            `tool_choice` and `response_format` where given; None where neither was.
    """

    tag: ClassVar[str] = "generation.started"
    schema: ClassVar[int] = 3
    generation: GenerationId
    branch: str
    base: CommitId | None
    question: CommitId | None
    head: CommitId | None
    order: tuple[CommitId, ...] | None
    compiler: str
    rendering: int
    format: str
    config: BlobId | None
    tools: BlobId | None
    owner: Owner
    verb: str | None
    options: BlobId | None


@frozen
class GenerationEnded:
    """How a model call ended.

    Attributes:
        generation: Its id.
        question: The question's commit: the one it started with, or the one
            recorded again on a branch that had moved.
        answer: The commit of the answer, or of the part that arrived.
        partial: Blob of all that arrived of an answer that is not whole.
        finish_reason: The provider's word, `cancelled`, or the error's class.
    """

    schema: ClassVar[int] = 1
    generation: GenerationId
    question: CommitId | None
    answer: CommitId | None
    partial: BlobId | None
    finish_reason: str | None


@frozen
class GenerationCompleted(GenerationEnded):
    """The model answered."""

    tag: ClassVar[str] = "generation.completed"


@frozen
class GenerationFailed(GenerationEnded):
    """The provider failed, or nothing could be asked."""

    tag: ClassVar[str] = "generation.failed"


@frozen
class GenerationCancelled(GenerationEnded):
    """The caller left before the end."""

    tag: ClassVar[str] = "generation.cancelled"


@frozen
class GenerationInterrupted(GenerationEnded):
    """The owner is gone; somebody else closed the call."""

    tag: ClassVar[str] = "generation.interrupted"


@frozen
class UsageFigures:
    """Tokens as the provider reported them; None for what it did not tell."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@frozen
class UsageRecorded:
    """One attempt to call a model, and what it cost.

    Attributes:
        generation: The call, or None for one made outside of Tract.
        commit: The answer it paid for, up to which prompt and completion
            measure the context; None for an attempt without an answer, and
            where that was recorded behind other words than were sent.
        attempt: 1 for the first.
        figures: As reported, or None.
    """

    tag: ClassVar[str] = "usage.recorded"
    schema: ClassVar[int] = 1
    generation: GenerationId | None
    commit: CommitId | None
    attempt: int
    figures: UsageFigures | None


@frozen
class ContextCompiled:
    """What was sent to a model, so that it can be proved.

    Attributes:
        generation: The call.
        head: The commit that was compiled.
        payload_digest: Blob of the digest of the messages sent.
    """

    tag: ClassVar[str] = "context.compiled"
    schema: ClassVar[int] = 1
    generation: GenerationId
    head: CommitId | None
    payload_digest: BlobId


GenerationEnd: TypeAlias = GenerationCompleted | GenerationFailed | GenerationCancelled | GenerationInterrupted
EventBody: TypeAlias = (
    TractCreated
    | TractConfigured
    | CommitRecorded
    | BranchCreated
    | HeadMoved
    | OperationRecorded
    | GenerationStarted
    | GenerationEnd
    | UsageRecorded
    | ContextCompiled
)

TYPES: MappingProxyType[str, type[Any]] = MappingProxyType(
    {
        kind.tag: kind
        for kind in (
            TractCreated,
            TractConfigured,
            CommitRecorded,
            BranchCreated,
            HeadMoved,
            OperationRecorded,
            GenerationStarted,
            GenerationCompleted,
            GenerationFailed,
            GenerationCancelled,
            GenerationInterrupted,
            UsageRecorded,
            ContextCompiled,
        )
    }
)
"""Every event class by its tag."""


@frozen
class UnknownEvent:
    """What a later version recorded, of a type that this one does not know.

    It is kept, chained and handed on, and no projection folds it. A later
    version whose new type moves what this one shows raises the schema of the
    file as well, so that this one does not open it.

    Attributes:
        tag: Its type.
        schema: Of its type.
        data: The canonical JSON that is stored.
    """

    tag: str
    schema: int
    data: str


class NewEvent(Struct, frozen=True, gc=False):
    """An event that a decision wants to append.

    Attributes:
        tract: Whose it is.
        body: What happened.
        actor: Who did it, or None.
        request: Blob of the digest of verb and arguments; only in the first
            event of an operation whose id the caller gave.
    """

    tract: TractId
    body: EventBody
    actor: str | None = None
    request: BlobId | None = None


class Event(Struct, frozen=True, gc=False):
    """An event of the log, with its place.

    Attributes:
        position: Cursor over the store.
        stream: The family, by the id of its root.
        version: Place in the stream, 1 for the first, without gaps.
        tract: Whose it is.
        body: What happened; its `tag` says what kind of fact that is.
        operation: The verb call that appended it.
        actor: Who did it, or None.
        recorded_at: Microseconds since 1970, UTC; never less than the one
            before in the stream.
        digest: The chain up to here.
        request: As in `NewEvent`.
    """

    position: int
    stream: TractId
    version: int
    tract: TractId
    body: EventBody | UnknownEvent
    operation: OperationId
    actor: str | None
    recorded_at: int
    digest: bytes
    request: BlobId | None = None
