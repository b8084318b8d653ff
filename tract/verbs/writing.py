"""Appending to the context: `commit` and its four short forms.

These read refs only, so they decide inside the transaction, append to wherever
the branch is by then, and never conflict, unless the caller expects it
somewhere. Read this first. Imports `core`, `drafting`, `editing` and `placing`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from msgspec import Struct

from tract.core import TractCore
from tract.core.graph import Place
from tract.domain.commits import Commit, CommitOperation, Priority
from tract.domain.config import LLMConfig
from tract.domain.content import Content, DialogueContent, InstructionContent, Renderable, ToolIOContent
from tract.domain.events import CommitRecorded, Event
from tract.domain.ids import CommitId, OperationId
from tract.domain.messages import ABSENT, Absent
from tract.domain.results import CommitInfo
from tract.errors import ContentValidationError
from tract.formats.reading import content_from, encode_content
from tract.formats.rendering import RENDERING
from tract.operations.budgeting import Source
from tract.operations.slots import SlotContent, Step
from tract.verbs.describing import commit_info
from tract.verbs.drafting import Draft, as_details, draft_content, draft_words
from tract.verbs.editing import edit
from tract.verbs.placing import Call, begin_call, place_append
from tract.verbs.repeating import request_digest


class CommitOptions(TypedDict, total=False):
    """The options of `commit` that its short forms take too."""

    message: str | None
    priority: Priority | str | None
    generation_config: LLMConfig | None
    metadata: Mapping[str, Any] | None
    operation_id: str | None
    expect: str | None | Absent


async def commit(
    t: TractCore,
    content: Content | Renderable | Mapping[str, Any] | str,
    *,
    role: str = "user",
    message: str | None = None,
    operation: str = "append",
    target: str | None = None,
    priority: Priority | str | None = None,
    generation_config: LLMConfig | None = None,
    metadata: Mapping[str, Any] | None = None,
    operation_id: str | None = None,
    expect: str | None | Absent = ABSENT,
) -> CommitInfo:
    """Commit a content to the current branch.

    An append goes to wherever the branch is when it is written, so tasks and
    processes that write to one branch never lose each other's commits. It
    waits behind a turn that another task runs on the branch.

    Args:
        t: The tract.
        content: A content, a value of a class that was given to
            `register_content_type`, a mapping with `content_type`, or a string.
        role: What a string is: user, assistant or system.
        message: One line on why; None shows a preview of the content.
        operation: append, or edit to replace the slot at *target*.
        target: The slot to edit.
        priority: skip, normal, important or pinned; by default the type's own.
        generation_config: What the content was made with.
        metadata: Anything, JSON; stored, never compiled.
        operation_id: A UUID of the caller's for this call; the same id again
            returns the first result instead of writing twice. Not within a
            batch, which is one operation.
        expect: Where the branch must be, any ref, or None for no commit yet,
            as `head()` says it; by default it may be anywhere.

    Returns:
        The commit, durable; within a batch, as it will be when that ends.

    Raises:
        ContentValidationError: Content or argument is malformed; names the field.
        EditTargetError: *target* is not a slot that can be edited.
        BudgetExceededError: The context would grow beyond a budget that rejects.
        DetachedHeadError: There is no branch to append to.
        BranchNotFoundError: The branch was deleted.
        HeadMovedError: The branch is not where *expect* says.
        RefNotFoundError: Nothing answers to *expect*, or to *target*.
        TurnInProgressError: Called from inside a turn on this branch, or from
            inside what that waits for.
        BatchError: Called from inside a batch that ended, or through another
            handle than the batch's.
        OperationMismatchError: The operation id belongs to another call.
    """
    if operation == "edit":
        if target is None:
            raise ContentValidationError("target", "an edit needs one")
        if priority is not None:
            raise ContentValidationError("priority", "an edit keeps the slot's; use annotate")
        return await edit(
            t,
            target,
            content,
            message=message,
            generation_config=generation_config,
            metadata=metadata,
            operation_id=operation_id,
            expect=expect,
        )
    if operation != "append":
        raise ContentValidationError("operation", "it must be append or edit")
    if target is not None:
        raise ContentValidationError("target", "an append has none; give operation='edit' with it")
    value, branch, place = content_from(content, role=role), t.require_branch(), t.place
    words = draft_words(t, as_details(message, metadata), generation_config)
    draft = await draft_content(t, value, words, priority)
    wanted = None if priority is None else draft.priority.value
    call = await begin_call(t, place, operation_id, expect, lambda: _digest(t, branch, draft, wanted))
    return await _append(t, call, place, draft) if call.earlier is None else call.earlier


async def system(t: TractCore, text: str, **options: Unpack[CommitOptions]) -> CommitInfo:
    """Commit an instruction, pinned; takes the options of `commit`.

    Raises:
        ContentValidationError: The text is blank or not text.
        BudgetExceededError: The context would grow beyond a budget that rejects.
    """
    return await _short("system", t, InstructionContent(text), options)


async def user(t: TractCore, text: str, *, name: str | None = None, **options: Unpack[CommitOptions]) -> CommitInfo:
    """Commit what a user said; takes the options of `commit`.

    Raises:
        ContentValidationError: The text is blank or not text.
        BudgetExceededError: The context would grow beyond a budget that rejects.
    """
    return await _short("user", t, DialogueContent("user", text, name), options)


async def assistant(t: TractCore, text: str, *, name: str | None = None, **options: Unpack[CommitOptions]) -> CommitInfo:
    """Commit what an assistant said; takes the options of `commit`.

    Raises:
        ContentValidationError: The text is blank or not text.
        BudgetExceededError: The context would grow beyond a budget that rejects.
    """
    return await _short("assistant", t, DialogueContent("assistant", text, name), options)


async def tool_result(
    t: TractCore,
    call_id: str,
    content: Any,
    *,
    tool_name: str | None = None,
    status: str | None = None,
    **options: Unpack[CommitOptions],
) -> CommitInfo:
    """Commit the result of a tool call; takes the options of `commit`.

    It compiles directly behind the nearest earlier call of that id which has
    no result yet, whatever was committed in between. No budget refuses it: the
    tool has run.

    Args:
        t: The tract.
        call_id: Of the call that it answers.
        content: A string, verbatim and possibly empty, or any other JSON value.
        tool_name: Of the tool, where the provider wants it.
        status: How it ended, in the caller's words; stored, never compiled.
        **options: Of `commit`.

    Raises:
        ContentValidationError: An argument is malformed.
    """
    text, payload = (content, ABSENT) if isinstance(content, str) else (ABSENT, content)
    result = ToolIOContent(tool_name, "result", text=text, payload=payload, call_id=call_id, status=status)
    return await _short("tool_result", t, result, options)


async def _short(verb: str, t: TractCore, content: Content, options: CommitOptions) -> CommitInfo:
    for option in options:
        if option not in CommitOptions.__annotations__:
            raise TypeError(f"{verb}() got an unexpected keyword argument {option!r}")
    return await commit(t, content, **options)


async def _append(t: TractCore, call: Call, place: Place, draft: Draft) -> CommitInfo:
    source = Source.OUTCOME if draft.message.role == "tool" else Source.CALLER

    def make(time: int, head: CommitId | None) -> CommitRecorded:
        parents = () if head is None else (head,)
        return appended(t, draft, AppendPlace(call.operation, time, parents, place.head.branch))

    event = await place_append(t, call, place, source, make, draft.blobs)
    return recorded_append(t, event, draft)


def recorded_append(t: TractCore, event: Event, draft: Draft) -> CommitInfo:
    """Return an append that was just recorded, and know it where contexts are compiled."""
    body = event.body
    assert isinstance(body, CommitRecorded)
    t.collaborators.shared.contexts.remember(event.position, step_of(body.commit, draft))
    return commit_info(event, draft.content, draft.words.details, draft.words.config)


def step_of(commit: Commit, draft: Draft) -> Step:
    """Return what an append does, as a context takes it up."""
    # The commit's own reference: a call that came again was stored under the
    # salt of the first.
    ref = commit.content
    assert ref is not None
    content = SlotContent(commit.id, ref.type, ref.blob, RENDERING, draft.message, draft.tokens)
    return Step(commit.id, commit.operation, (), commit.priority, content, draft.words.config)


class AppendPlace(Struct, frozen=True, gc=False):
    """Where and when an append is made.

    Attributes:
        operation: The verb call.
        time: Of the call.
        parents: None for a first commit, else one.
        branch: The branch that moves, or None.
    """

    operation: OperationId
    time: int
    parents: tuple[CommitId, ...] = ()
    branch: str | None = None


def appended(t: TractCore, draft: Draft, at: AppendPlace) -> CommitRecorded:
    """Return the event of an append."""
    compiles = draft.priority is not Priority.SKIP
    commit = Commit(
        parents=at.parents,
        operation=CommitOperation.APPEND,
        time=at.time,
        operation_id=at.operation,
        content=draft.ref,
        priority=draft.priority,
        details=draft.words.details_blob,
        config=draft.words.config_blob,
        actor=t.collaborators.actor,
        rendering=RENDERING,
    )
    return CommitRecorded(
        commit,
        branch=at.branch,
        tokens=draft.tokens,
        counter=t.collaborators.counter.name,
        slot_delta=1 if compiles else 0,
        token_delta=draft.tokens if compiles else 0,
    )


def _digest(t: TractCore, branch: str, draft: Draft, priority: str | None) -> bytes:
    return request_digest(
        t,
        "commit",
        branch=branch,
        content=encode_content(draft.content).decode(),
        priority=priority,
        details=draft.words.details.to_json(),
        config=None if draft.words.config is None else draft.words.config.to_dict(),
    )
