"""Changing what stands in the context: edit, annotate, pin, skip.

These must see the history: they read it, note the head, and record on
condition that the branch is still there; if it moved, they look again. Imports
`core`, `changing`, `drafting` and `placing`.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from tract.core import TractCore
from tract.core.graph import Node, Place, find_head, resolve
from tract.domain.commits import CommitOperation, Details, Priority
from tract.domain.config import LLMConfig
from tract.domain.content import (
    ArtifactContent,
    Content,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    RegisteredContent,
    Renderable,
    SessionContent,
    ToolIOContent,
)
from tract.domain.events import CommitRecorded
from tract.domain.ids import CommitId
from tract.domain.messages import ABSENT, Absent
from tract.domain.parts import with_text
from tract.domain.results import CommitInfo
from tract.errors import ContentValidationError, EditTargetError
from tract.formats.reading import content_from, decode_content, encode_content
from tract.formats.rendering import RENDERING
from tract.log.protocol import Query
from tract.operations.context import Context
from tract.operations.slots import Slot
from tract.verbs.changing import change_digest, changing_commit
from tract.verbs.describing import commit_info
from tract.verbs.drafting import as_details, as_priority, draft_content, draft_words
from tract.verbs.placing import Change, begin_call, place_change


@frozen(eq=False, repr=False)
class _Target:
    """A slot to change, as it was at a head.

    Attributes:
        named: The commit that was meant: where the branch moves before the
            change is recorded, a relative ref would mean another.
        head: Where the branch was.
        context: The context there.
        slot: The slot.
        stored: Its content.
    """

    named: CommitId
    head: Node
    context: Context
    slot: Slot
    stored: bytes


async def edit(
    t: TractCore,
    target: str,
    content: Content | Renderable | Mapping[str, Any] | str,
    *,
    message: str | None = None,
    generation_config: LLMConfig | None = None,
    metadata: Mapping[str, Any] | None = None,
    operation_id: str | None = None,
    expect: str | None | Absent = ABSENT,
) -> CommitInfo:
    """Replace the content of a slot, which keeps its place and priority.

    The earlier content stays in the history. Editing an edit means editing
    its slot.

    Args:
        t: The tract.
        target: Any ref of the slot or of an earlier edit of it.
        content: A string replaces the text and keeps type, role and other
            fields, and of several parts the images; a content, a value of a
            registered class or a mapping replaces everything.
        message: One line on why.
        generation_config: What the content was made with; None keeps the slot's.
        metadata: Anything, JSON.
        operation_id: As for `commit`.
        expect: As for `commit`.

    Raises:
        EditTargetError: Not a slot, not reachable from HEAD, or compressed away.
        ContentValidationError: The content is malformed; names the field.
        BudgetExceededError: The context would grow beyond a budget that rejects.
        RefNotFoundError: Nothing answers to *target*, or to *expect*.
        HeadMovedError: The branch is not where *expect* says.
    """
    words = draft_words(t, as_details(message, metadata), generation_config)

    def digest() -> bytes:
        given = content if isinstance(content, str) else encode_content(content_from(content)).decode()
        return change_digest(t, "edit", target, words, content=given)

    branch, place = t.require_branch(), t.place
    call = await begin_call(t, place, operation_id, expect, digest)
    if call.earlier is not None:
        return call.earlier
    written: Content | None = None
    named = target

    async def plan() -> Change:
        nonlocal written, named
        at = await _target(t, place, named)
        named = at.named
        written = _with_text(_decode(at), content) if isinstance(content, str) else content_from(content)
        draft = await draft_content(t, written, words)
        shows = at.slot.compiles
        commit = changing_commit(t, call.operation, CommitOperation.EDIT, at.head, (at.slot.id,), words)
        commit = evolve(commit, content=draft.ref, rendering=RENDERING)
        return Change(
            at.head,
            CommitRecorded(
                commit,
                branch=branch,
                tokens=draft.tokens,
                counter=t.collaborators.counter.name,
                token_delta=draft.tokens - at.slot.content.tokens if shows else 0,
            ),
            draft.blobs,
        )

    placed = await place_change(t, call, place, plan)
    return placed if isinstance(placed, CommitInfo) else commit_info(placed, written, words.details, generation_config)


async def annotate(
    t: TractCore,
    target: str,
    priority: Priority | str,
    *,
    reason: str | None = None,
    retain: Any = None,
    operation_id: str | None = None,
    expect: str | None | Absent = ABSENT,
) -> CommitInfo:
    """Set the priority of a slot, on this branch and from this commit on.

    A tool call and its results are one unit: naming a part takes the whole,
    and the result's `targets` list it.

    Args:
        t: The tract.
        target: Any ref of the slot or of an edit of it.
        priority: skip hides it; normal and important show it; pinned shows it
            and keeps it from being compressed.
        reason: Why.
        retain: What a later compression must keep; JSON.
        operation_id: As for `commit`.
        expect: As for `commit`.

    Raises:
        EditTargetError: Not a slot, not reachable from HEAD, or compressed away.
        ContentValidationError: There is no such priority.
        BudgetExceededError: What is shown again would take the context beyond a
            budget that rejects.
        RefNotFoundError: Nothing answers to *target*, or to *expect*.
        HeadMovedError: The branch is not where *expect* says.
    """
    wanted = as_priority(priority)
    words = draft_words(t, Details(reason=reason, retain=retain))
    branch, place = t.require_branch(), t.place
    call = await begin_call(
        t, place, operation_id, expect, lambda: change_digest(t, "annotate", target, words, priority=wanted.value)
    )
    if call.earlier is not None:
        return call.earlier
    named = target

    async def plan() -> Change:
        nonlocal named
        at = await _target(t, place, named)
        named = at.named
        unit = at.context.tool_unit(at.slot.id)
        slots = [slot for slot in map(at.context.find_slot, unit) if slot is not None]
        commit = changing_commit(t, call.operation, CommitOperation.ANNOTATE, at.head, tuple(sorted(unit)), words)
        showing = wanted is not Priority.SKIP
        turned = [slot for slot in slots if slot.live and slot.compiles is not showing]
        sign = 1 if showing else -1
        return Change(
            at.head,
            CommitRecorded(
                evolve(commit, priority=wanted),
                branch=branch,
                slot_delta=sign * len(turned),
                token_delta=sign * sum(slot.content.tokens for slot in turned),
            ),
            words.blobs,
        )

    placed = await place_change(t, call, place, plan)
    return placed if isinstance(placed, CommitInfo) else commit_info(placed, None, words.details, None)


async def pin(
    t: TractCore,
    target: str,
    *,
    reason: str | None = None,
    operation_id: str | None = None,
    expect: str | None | Absent = ABSENT,
) -> CommitInfo:
    """Show a slot and keep it from being compressed; `annotate` with pinned.

    Raises:
        EditTargetError: Not a slot, not reachable from HEAD, or compressed away.
        RefNotFoundError: Nothing answers to *target*, or to *expect*.
        HeadMovedError: The branch is not where *expect* says.
    """
    return await annotate(t, target, Priority.PINNED, reason=reason, operation_id=operation_id, expect=expect)


async def skip(
    t: TractCore,
    target: str,
    *,
    reason: str | None = None,
    operation_id: str | None = None,
    expect: str | None | Absent = ABSENT,
) -> CommitInfo:
    """Hide a slot from the model; `annotate` with skip. It stays in the history.

    Raises:
        EditTargetError: Not a slot, not reachable from HEAD, or compressed away.
        RefNotFoundError: Nothing answers to *target*, or to *expect*.
        HeadMovedError: The branch is not where *expect* says.
    """
    return await annotate(t, target, Priority.SKIP, reason=reason, operation_id=operation_id, expect=expect)


async def _target(t: TractCore, place: Place, ref: str) -> _Target:
    """Read the slot that a ref means, with the history it stands in."""
    contexts = t.collaborators.shared.contexts

    def load(query: Query) -> _Target:
        named = resolve(query, place, ref)
        head = find_head(query, place)
        if head is None:
            raise EditTargetError(named.id, "this branch has no commit yet")
        context = contexts.context(query, head)
        slot = context.find_slot(named.id)
        if slot is None:
            raise EditTargetError(named.id, "it is not a slot of this branch; name the commit that brought the content")
        if not slot.live:
            raise EditTargetError(named.id, "it was compressed away; edit the summary that stands for it")
        return _Target(named.id, head, context, slot, query("log.blob", bytes.fromhex(slot.content.blob))[0][0])

    return await t.read(load)


def _decode(at: _Target) -> Content:
    return decode_content(at.slot.content.type, at.stored)


def _with_text(content: Content, text: str) -> Content:
    """Return *content* with another text and everything else as it was."""
    match content:
        case ArtifactContent():
            return evolve(content, content=text)
        case FreeformContent():
            return evolve(content, payload=text)
        case SessionContent():
            return evolve(content, summary=text)
        case ToolIOContent():
            return evolve(content, text=text, payload=ABSENT)
        case RegisteredContent():
            raise ContentValidationError("content", f"a {content.content_type} has no text of its own; pass a value or a mapping")
        case DialogueContent(text=tuple(parts)):
            return evolve(content, text=with_text(parts, text))
        case InstructionContent() | DialogueContent() | ReasoningContent() | OutputContent():
            return evolve(content, text=text)
