"""Answers that were recorded, given back: of a turn that comes again under an operation id, or that stands on a branch.

Imports `core`, `answering`, `describing`, `recording` and `repeating`.
"""

from collections.abc import Sequence

import msgspec
from attrs import evolve

from tract.core import TractCore
from tract.core.graph import branch_head
from tract.core.interrupting import has_ended, read_with_presence
from tract.core.owners import Presence
from tract.domain.config import LLMConfig
from tract.domain.content import DialogueContent, ReasoningContent
from tract.domain.events import CommitRecorded, Event, GenerationEnded, GenerationFailed, GenerationStarted, UsageRecorded
from tract.domain.ids import CommitId, uuid_bytes
from tract.domain.results import ChatResponse
from tract.errors import HeadMovedError, OperationMismatchError, TurnStateError
from tract.formats.reading import encode_content
from tract.log.codec import decode_operation
from tract.log.protocol import Query
from tract.operations.slots import Slot
from tract.verbs.answering import check_answer, with_parsed
from tract.verbs.describing import commit_info, decode_commit
from tract.verbs.recording import TurnOptions
from tract.verbs.repeating import request_digest


def turn_digest(t: TractCore, branch: str, options: TurnOptions) -> bytes | None:
    """Return what tells a turn on a branch from others, where the caller gave it an id.

    Raises:
        ContentValidationError: The id is not a UUID.
    """
    if options.operation_id is None:
        return None
    t.operation(options.operation_id)
    offer = options.offer
    return request_digest(
        t,
        "turn",
        branch=branch,
        question=None if options.question is None else encode_content(options.question).decode(),
        details=options.details.to_json(),
        config=None if options.config is None else options.config.to_dict(),
        keep_partial=options.keep_partial,
        # Only what is offered: a call that asks for text alone has the digest that it always had.
        **({"tools": offer.tools} if offer.tools else {}),
        **offer.options(),
    )


async def recall_turn(t: TractCore, options: TurnOptions, digest: bytes) -> ChatResponse | None:
    """Return the answer that a turn brought before, or None where there was no such turn.

    Raises:
        OperationMismatchError: The id belongs to another call.
        TurnStateError: The turn still runs, or ended without an answer, or
            failed, whatever was kept of it.
        HeadMovedError: Its answer was kept off the branch.
        ModelAnswerError: A class reads its answer no longer.
    """
    file, place, operation = t.collaborators.shared.store.where, t.place, t.operation(options.operation_id)

    def load(seen: Presence, query: Query) -> tuple[ChatResponse, bool] | None:
        rows = query("log.operation_events", uuid_bytes(operation))
        if not rows:
            return None
        events, request = decode_operation(rows, file=file)
        proof = query("log.blob", bytes.fromhex(request or ""))
        started = next((event for event in events if isinstance(event.body, GenerationStarted)), None)
        if not proof or proof[0][0] != digest or started is None:
            raise OperationMismatchError(operation)
        end = next((event.body for event in events if isinstance(event.body, GenerationEnded)), None)
        if end is None:
            raise TurnStateError(_unfinished(query, place.tract, started, seen))
        answer = next((event for event in events if _records(event, end.answer)), None)
        is_kept = answer is not None and isinstance(answer.body, CommitRecorded) and answer.body.branch is not None
        if answer is None or not is_kept or isinstance(end, GenerationFailed):
            assert isinstance(started.body, GenerationStarted)
            body = started.body
            if end.tag == "generation.completed" and answer is not None:
                head = branch_head(query, place, body.branch)
                raise HeadMovedError(body.branch, body.base, None if head is None else head.id, end.answer)
            raise TurnStateError(_without_answer(end.tag.partition(".")[2], end.answer if is_kept else None))
        return _response(query, answer, events, end, file), end.tag == "generation.completed"

    recalled = await read_with_presence(t.read, t.collaborators.clock, load)
    if recalled is None:
        return None
    response, is_whole = recalled
    # Not in the read: a class of the caller's may do anything.
    parsed = check_answer(options.offer, response) if is_whole else None
    return with_parsed(response, options.offer.form, parsed)


def recorded_answer(query: Query, slot: Slot, file: str) -> ChatResponse:
    """Return an answer that stands on a branch, as the call that brought it returned it.

    Of one that was committed otherwise, what is known. Text and calls are
    those that stand there now, where it was edited.
    """
    number = query("commits.by_id", bytes.fromhex(slot.id))[0][0]
    event, content, details, config = decode_commit(query("commits.log_entry", number)[0], file)
    events, _ = decode_operation(query("log.operation_events", uuid_bytes(event.operation)), file=file)
    ends = (each.body for each in events if isinstance(each.body, GenerationEnded))
    end = next((body for body in ends if body.answer == slot.id), None)
    message = slot.content.message
    if end is not None and isinstance(content, DialogueContent) and config is not None:
        return evolve(_response(query, event, events, end, file), text=message.text, tool_calls=message.tool_calls)
    return ChatResponse(
        text=message.text,
        usage=None,
        commit_info=commit_info(event, content, details, config),
        generation_config=config or LLMConfig(),
        tool_calls=message.tool_calls,
        finish_reason=None,
    )


def offered_names(query: Query, answer: CommitId, file: str) -> frozenset[str]:
    """Return the names of the tools that the call was offered which brought an answer; none where that is not known."""
    number = query("commits.by_id", bytes.fromhex(answer))[0][0]
    event, *_ = decode_commit(query("commits.log_entry", number)[0], file)
    events, _ = decode_operation(query("log.operation_events", uuid_bytes(event.operation)), file=file)
    started = next((each.body for each in events if isinstance(each.body, GenerationStarted)), None)
    if started is None or started.tools is None:
        return frozenset()
    rows = query("log.blob", bytes.fromhex(started.tools))
    schemas = msgspec.json.decode(rows[0][0]) if rows and rows[0][0] is not None else ()
    return frozenset(schema["function"]["name"] for schema in schemas)


def _records(event: Event, commit: str | None) -> bool:
    return isinstance(event.body, CommitRecorded) and event.body.commit.id == commit


def _unfinished(query: Query, tract: int, started: Event, seen: Presence) -> str:
    assert isinstance(started.body, GenerationStarted)
    generation = started.body.generation
    rows = query("generations.one", uuid_bytes(generation), tract)
    *_, until, _ = rows[0]
    if has_ended(started, until, seen):
        return "this operation's call ended as interrupted, without an answer; ask again under another operation_id"
    return f"this operation's call still runs; follow it with follow({generation!r})"


def _without_answer(how: str, kept: CommitId | None) -> str:
    arrived = ", without an answer" if kept is None else f"; what arrived is {kept[:8]} on the branch"
    return f"this operation's call ended as {how}{arrived}; ask again under another operation_id"


def _response(query: Query, answer: Event, events: Sequence[Event], end: GenerationEnded, file: str) -> ChatResponse:
    event, content, details, config = decode_commit(query("commits.log_entry", answer.position)[0], file)
    assert isinstance(content, DialogueContent)
    assert config is not None
    usage = [each.body.figures for each in events if isinstance(each.body, UsageRecorded)]
    thoughts = [
        decode_commit(query("commits.log_entry", each.position)[0], file)[1] for each in events if _is_thought(each, event)
    ]
    return ChatResponse(
        text=content.text if isinstance(content.text, str) else "",
        usage=usage[-1] if usage else None,
        commit_info=commit_info(event, content, details, config),
        generation_config=config,
        tool_calls=content.tool_calls,
        finish_reason=end.finish_reason,
        reasoning=next((thought.text for thought in thoughts if isinstance(thought, ReasoningContent)), None),
    )


def _is_thought(event: Event, answer: Event) -> bool:
    """Say whether an event recorded the reasoning that an answer stands on."""
    if not isinstance(event.body, CommitRecorded) or not isinstance(answer.body, CommitRecorded):
        return False
    content = event.body.commit.content
    is_reasoning = content is not None and content.type == ReasoningContent.content_type
    return is_reasoning and event.body.commit.id in answer.body.commit.parents
