"""The two appends of a turn: how it begins and how it ends.

Imports `core`, `budgeting`, `drafting`, `offering`, `writing` and `operations.turning`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

import anyio
from attrs import evolve, frozen

from tract.core import TractCore
from tract.core.edges import new_id
from tract.core.interrupting import interrupt_abandoned
from tract.core.owners import this_process
from tract.diagnostics import warn
from tract.domain.commits import CommitOperation, Details
from tract.domain.config import LLMConfig
from tract.domain.content import Content, DialogueContent, ReasoningContent
from tract.domain.events import (
    CommitRecorded,
    Event,
    EventBody,
    GenerationCancelled,
    GenerationCompleted,
    GenerationEnded,
    GenerationFailed,
    GenerationStarted,
    NewEvent,
)
from tract.domain.exchange import Attempt, ModelReply
from tract.domain.ids import CommitId, GenerationId, OperationId, uuid_bytes
from tract.domain.results import CommitInfo
from tract.errors import BranchNotFoundError, ContentValidationError
from tract.formats.openai import FORMAT
from tract.formats.reading import encode_content
from tract.formats.rendering import RENDERING
from tract.log.protocol import BlobDraft, Row, Statement
from tract.operations.budgeting import Source
from tract.operations.compilers import label
from tract.operations.compiling import CompiledContext
from tract.operations.turning import Asked, Ending, Found, Gained, end_turn
from tract.verbs.budgeting import Spending
from tract.verbs.describing import commit_info
from tract.verbs.drafting import Draft, draft_content, draft_now, draft_words
from tract.verbs.offering import NOTHING, Offer, OfferDraft, draft_offer
from tract.verbs.writing import AppendPlace, appended, step_of

_one_word = re.compile(r"[A-Za-z_]{1,40}")


@frozen(eq=False, repr=False)
class TurnOptions:
    """What a turn was asked for.

    Attributes:
        verb: What was called: chat, generate, stream or run.
        question: What to ask, or None to answer what stands there.
        config: Over the tract's own.
        details: Message and metadata of the question, or of the answer where
            nothing is asked.
        keep_partial: Whether an answer that is not whole goes onto the
            branch; None leaves it to how the turn ends.
        timeout: Seconds of silence that are allowed, or None.
        operation_id: The caller's, or None.
        offer: What is sent beside messages and settings.
    """

    verb: str
    question: Content | None
    config: LLMConfig | None
    details: Details
    keep_partial: bool | None
    timeout: float | None
    operation_id: str | None = None
    offer: Offer = NOTHING


@frozen(eq=False, repr=False)
class Started:
    """A turn that was recorded as begun.

    Attributes:
        operation: The verb call.
        asked: The turn.
        base: The number of the commit where the branch was, or None.
        head: The number of the commit that is sent.
        config: What is sent.
        details: Message and metadata of the answer.
        blobs: Of the question, in case it must be recorded again.
        spending: Question and answer, held against the budget.
        others: How many calls ran on the branch already, of other processes.
    """

    operation: OperationId
    asked: Asked
    base: int | None
    head: int | None
    config: LLMConfig
    details: Details
    blobs: tuple[BlobDraft, ...]
    spending: Spending
    others: int


@frozen(eq=False, repr=False)
class Answer:
    """How a turn ended, before it is recorded.

    Attributes:
        kind: The event that says so.
        content: The answer, whole or in part, or None.
        finish_reason: The provider's word, `cancelled`, or the error's class.
        keeps: Whether it shall go onto the branch.
        partial: All that arrived of an answer that is not whole, or None.
        reply: The whole answer, or None; where it has reasoning, that is
            recorded before the content.
    """

    kind: type[GenerationCompleted | GenerationFailed | GenerationCancelled]
    content: DialogueContent | None
    finish_reason: str | None
    keeps: bool = False
    partial: DialogueContent | None = None
    reply: ModelReply | None = None


@frozen(eq=False, repr=False)
class Recorded:
    """How a turn ended, recorded.

    Attributes:
        question: The question's commit, or None.
        answer: The answer's, or that of the part that arrived, or None.
        is_on_branch: Whether that one moved the branch.
        head: Where the branch was found.
        is_lost: Whether somebody else had ended the call before.
    """

    question: CommitId | None
    answer: CommitInfo | None
    is_on_branch: bool
    head: CommitId | None
    is_lost: bool


async def record_start(
    t: TractCore, branch: str, config: LLMConfig, options: TurnOptions, digest: bytes | None = None
) -> Started | None:
    """Record the question, on no branch, and that a model is being asked.

    Returns:
        None where the caller's operation was recorded before.

    Raises:
        ContentValidationError: The question is blank, or there is nothing to answer.
        BudgetExceededError: The context is beyond a budget that rejects.
        BranchNotFoundError: The branch was deleted.
        OperationMismatchError: The operation id belongs to another call.
    """
    operation, generation = t.operation(options.operation_id), GenerationId(new_id(t.collaborators.clock))
    draft: Draft | None = None
    words = draft_words(t, options.details)
    if options.question is not None:
        draft = await draft_content(t, options.question, words)
    sent, offered = t.blob(config.to_dict()), await draft_offer(t, options.offer)
    time, spending = t.collaborators.clock(), Spending(t, branch, offered.tokens)
    found: list[tuple[Asked, int | None, int]] = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if not rows[0]:
            raise BranchNotFoundError(branch)
        id, number = rows[0][0][:2]
        asked = Asked(generation, branch, None if id is None else CommitId(id.hex()), None)
        bodies: list[EventBody] = []
        if draft is not None:
            parents = () if asked.base is None else (asked.base,)
            question = appended(t, draft, AppendPlace(operation, time, parents))
            asked = evolve(asked, question=question)
            bodies.append(question)
        elif asked.base is None:
            raise ContentValidationError("text", "there is nothing to answer: the branch has no commit yet")
        spending.check(rows, Source.TURN, asked.question)
        found.append((asked, number, len(rows[1])))
        bodies.append(_started(asked, options.verb, sent, offered, label(t.collaborators.compiler)))
        return [NewEvent(t.id, body, t.collaborators.actor) for body in bodies]

    place = (t.place.tract, branch)
    reads = (Statement("refs.branch", place), Statement("generations.running_on", place), spending.read)
    blobs = (sent, *(() if draft is None else draft.blobs))
    t.collaborators.shared.deltas.begin(generation, t.collaborators.clock)
    try:
        events = await t.record(operation, decide, reads=reads, blobs=(*blobs, *offered.blobs), digest=digest)
    except BaseException as exc:
        t.collaborators.shared.deltas.forget(generation)
        if isinstance(exc, asyncio.CancelledError):
            _cancel_start(t, operation, generation)
        raise
    if not found or not any(is_start_of(generation, event) for event in events):
        t.collaborators.shared.deltas.forget(generation)
        return None
    asked, base, others = found[-1]
    head = base if draft is None else _remember(t, events[0], draft, base)
    # No await from here on: a start that its caller does not get is never ended.
    details = words.details if draft is None else Details()
    return Started(operation, asked, base, head, config, details, blobs, spending, others)


def _remember(t: TractCore, event: Event, draft: Draft, parent: int | None) -> int:
    """Keep what a commit of a turn does, so that the next one need not read it back; return its number."""
    assert isinstance(event.body, CommitRecorded)
    t.collaborators.shared.contexts.remember(event.position, step_of(event.body.commit, draft), parent)
    return event.position


async def interrupt_others(t: TractCore, started: Started) -> None:
    """End what a process left behind on the branch when it died.

    This turn has begun and goes on whatever becomes of that: the next one
    that writes there tries again.
    """
    if not started.others:
        return
    shared = t.collaborators.shared
    try:
        await interrupt_abandoned(shared.store, t.collaborators.counter, t.collaborators.clock)
    except Exception as exc:  # noqa: BLE001 - of the store, or of a counter of the caller's
        warn("generation.not_interrupted", store=shared.store.where, error=type(exc).__name__)


def is_start_of(generation: GenerationId, event: Event) -> bool:
    """Say whether an event begins a call."""
    return isinstance(event.body, GenerationStarted) and event.body.generation == generation


def _started(asked: Asked, verb: str, config: BlobDraft, offered: OfferDraft, compiler: str) -> GenerationStarted:
    return GenerationStarted(
        generation=asked.generation,
        branch=asked.branch,
        base=asked.base,
        question=None if asked.question is None else asked.question.commit.id,
        head=asked.head,
        order=None,
        compiler=compiler,
        rendering=RENDERING,
        format=FORMAT,
        config=config.id,
        tools=offered.tools_id,
        owner=this_process(),
        verb=verb,
        options=offered.options_id,
    )


def _cancel_start(t: TractCore, operation: OperationId, generation: GenerationId) -> None:
    """End a generation whose start the writer may have taken before its caller left."""

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if not rows[0]:
            return ()
        question = rows[0][0][1]
        asked = None if question is None else CommitId(question.hex())
        return [NewEvent(t.id, GenerationCancelled(generation, asked, None, None, "cancelled"), t.collaborators.actor)]

    t.submit(operation, decide, reads=(Statement("generations.by_id", (uuid_bytes(generation), t.place.tract)),))


def submit_end(
    t: TractCore, started: Started, answer: Answer, attempts: tuple[Attempt, ...], compiled: CompiledContext | None
) -> Callable[[], Awaitable[Recorded]]:
    """Hand the end of a turn to the writer, and return how to wait for it.

    There is no await up to the hand-over, so that there is no moment at which
    a cancellation could lose a paid answer.

    Raises:
        ContentValidationError: The answer cannot be recorded as it is.
    """
    asked = started.asked
    draft, thought = _drafts(t, started, answer)
    blobs = [*started.blobs, *(draft.blobs if draft else ()), *(thought.blobs if thought else ())]
    partial = _blob_of_partial(t, answer, draft)
    if partial is not None:
        blobs.append(partial)
    proof = _proof(t, compiled)
    if proof is not None:
        blobs.append(proof)
    place = AppendPlace(started.operation, t.collaborators.clock())
    ending = Ending(
        kind=answer.kind,
        answer=None if draft is None else appended(t, draft, place),
        reasoning=None if thought is None else appended(t, thought, place),
        keeps=answer.keeps,
        partial=None if partial is None else partial.id,
        finish_reason=_word(answer.finish_reason),
        attempts=attempts,
        payload_digest=None if proof is None else proof.id,
    )
    found: list[Found] = []

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        id = rows[0][0][0] if rows[0] else None
        gained = [Gained(CommitOperation(operation), parent == started.base) for operation, parent in rows[1]]
        found.append(Found(None if id is None else CommitId(id.hex()), gained, is_lost=rows[2] != [("running",)]))
        bodies = end_turn(asked, ending, found[-1])
        for body in bodies:
            if isinstance(body, CommitRecorded) and body.branch is not None:
                started.spending.check(rows, Source.OUTCOME, asked.question, body)
        return [NewEvent(t.id, body, t.collaborators.actor) for body in bodies]

    branch = (t.place.tract, asked.branch)
    status = Statement("generations.status", (uuid_bytes(asked.generation),))
    gains = Statement("refs.gained", (*branch, started.base))
    reads = (Statement("refs.branch", branch), gains, status, started.spending.read)
    # From here on nothing of this call is written to the scratch tables any more.
    clearing = t.collaborators.shared.deltas.end(asked.generation)
    try:
        # Once each: what the answer was made with is mostly what was sent.
        once = {blob.id: blob for blob in blobs}.values()
        submission = t.submit(started.operation, decide, reads=reads, blobs=once, scratch=clearing)
    except BaseException:
        # It cannot be ended here any more, so whoever writes there next may.
        t.collaborators.shared.deltas.forget(asked.generation)
        raise

    async def wait() -> Recorded:
        try:
            with anyio.CancelScope(shield=True):
                events = await submission.wait()
        finally:
            t.collaborators.shared.deltas.forget(asked.generation)
        return _recorded(t, started, events, draft, found[-1])

    return wait


def _proof(t: TractCore, compiled: CompiledContext | None) -> BlobDraft | None:
    """Return the digest of what was sent, ready to be stored; None where nothing was compiled."""
    return None if compiled is None else t.collaborators.shared.store.draft(bytes.fromhex(compiled.payload_digest))


def _drafts(t: TractCore, started: Started, answer: Answer) -> tuple[Draft | None, Draft | None]:
    """Return what is committed of an answer, and of what the model thought before it."""
    if answer.content is None:
        return None, None
    reasoning = None if answer.reply is None else answer.reply.reasoning
    words, thought = draft_words(t, started.details, _answered_with(started, answer)), None
    if reasoning is not None:
        thought = draft_now(t, ReasoningContent(reasoning), draft_words(t, Details(), words.config))
    return draft_now(t, answer.content, words), thought


def _blob_of_partial(t: TractCore, answer: Answer, draft: Draft | None) -> BlobDraft | None:
    if answer.partial is None:
        return None
    if draft is not None and answer.partial == answer.content:
        return draft.blobs[0]
    return t.collaborators.shared.store.draft(encode_content(answer.partial))


def _recorded(t: TractCore, started: Started, events: tuple[Event, ...], draft: Draft | None, found: Found) -> Recorded:
    asked = started.asked
    ends = [event.body for event in events if isinstance(event.body, GenerationEnded)]
    question = ends[0].question if ends else None if asked.question is None else asked.question.commit.id
    info, is_on_branch = None, False
    commits = [event for event in events if isinstance(event.body, CommitRecorded)]
    if draft is not None and commits:
        event = commits[-1]
        assert isinstance(event.body, CommitRecorded)
        info = commit_info(event, draft.content, draft.words.details, draft.words.config)
        is_on_branch = event.body.branch is not None
        _remember(t, event, draft, started.head if event.body.commit.parents == (asked.head,) else None)
    return Recorded(question, info, is_on_branch, found.head, found.is_lost)


def _word(finish_reason: str | None) -> str | None:
    """Return what an event may hold in the clear: one word, whatever a server sent."""
    if finish_reason is None or _one_word.fullmatch(finish_reason):
        return finish_reason
    return "other"


def _answered_with(started: Started, answer: Answer) -> LLMConfig:
    model = None if answer.reply is None else answer.reply.model
    return started.config if model is None else evolve(started.config, model=model)
