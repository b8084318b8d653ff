"""Ending the calls whose owner is gone, by whoever writes next.

What had arrived is recorded as a commit on no branch, as of a call that
failed, so nothing that anybody saw is lost and no branch moves. Recorded on
condition that the call still runs, so once, whoever comes first. Whoever says
of a call that it is over for its owner's sake reads it with
`read_with_presence`. Imports `domain` to `formats`, `log`, `llm`, `owners` and
`deltas`.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from attrs import frozen

from tract.core.deltas import cleared
from tract.core.edges import Clock
from tract.core.owners import LEASE, Presence, is_gone, presence
from tract.diagnostics import note
from tract.domain.commits import Commit, CommitOperation, ContentRef
from tract.domain.content import DialogueContent
from tract.domain.events import (
    CommitRecorded,
    Event,
    EventBody,
    GenerationInterrupted,
    GenerationStarted,
    NewEvent,
    Owner,
)
from tract.domain.ids import BlobId, uuid_bytes
from tract.errors import ProjectionError, TractError
from tract.formats.reading import encode_content
from tract.formats.rendering import RENDERING, default_priority, render
from tract.llm.protocol import TokenCounter
from tract.log.codec import decode_one
from tract.log.protocol import BlobDraft, EventStore, Query, Request, Row, Statement

T = TypeVar("T")


@frozen(eq=False, repr=False)
class Abandoned:
    """A call that nobody waits for any more.

    Attributes:
        event: How it began.
        started: The same.
        text: What arrived.
        length: The characters before the last piece of it; -1 without one.
    """

    event: Event
    started: GenerationStarted
    text: str
    length: int


async def read_with_presence(
    read: Callable[[Callable[[Query], T]], Awaitable[T]], clock: Clock, load: Callable[[Presence, Query], T]
) -> T:
    """Return what *load* makes of a snapshot that was begun after the death of every owner that it counts as gone.

    Args:
        read: Runs a function over a snapshot.
        clock: Tells the time.
        load: Pure but for `has_ended`; called again, with a later snapshot,
            where that found an owner gone.

    Raises:
        TractError: Whatever *read* and *load* raise.
    """
    gone: frozenset[Owner] = frozenset()
    while True:
        seen = presence(clock(), gone)
        try:
            loaded = await read(partial(load, seen))
        except TractError:
            if not seen.found:
                raise
        else:
            if not seen.found:
                return loaded
        gone |= seen.found


def started_by(row: Row, file: str) -> tuple[Event, GenerationStarted]:
    """Return what an event's row says of the beginning of a call.

    Raises:
        CorruptLogError: It is none.
        NewerEventError: A later version recorded it in another shape.
    """
    return decode_one(GenerationStarted, row, file=file)


def has_ended(event: Event, until: int | None, seen: Presence) -> bool:
    """Say whether a call that was never ended is over, since its owner is gone; for `read_with_presence`."""
    assert isinstance(event.body, GenerationStarted)
    lease = event.recorded_at + LEASE if until is None else until
    return is_gone(event.body.generation, event.body.owner, lease, seen)


def partial_text(query: Query, key: bytes, after: int = 0) -> str:
    """Return what has arrived of a running call's answer, from a number of characters on."""
    pieces = query("scratch.pieces", key, after)
    return "".join(text[max(after - start, 0) :] for start, text in pieces)


class _SaidMoreError(Exception):
    """The call went on since it was looked at, so somebody runs it."""


async def interrupt_abandoned(store: EventStore, counter: TokenCounter, clock: Clock) -> None:
    """End every call in the store whose owner is gone.

    Raises:
        StoreError: Not all of them were ended.
    """
    for abandoned in await read_with_presence(store.read, clock, partial(_find, store.where)):
        try:
            await store.append(_interruption(store, counter, clock(), abandoned))
        except _SaidMoreError:
            continue
        except ProjectionError as exc:
            if exc.position is None:
                raise
            # Its family stands still, so its calls wait as it does.
            continue
        note("generation.interrupted", store=store.where, generation=abandoned.started.generation)


def _find(file: str, seen: Presence, query: Query) -> list[Abandoned]:
    found = []
    for *columns, until in query("generations.running"):
        event, started = started_by(tuple(columns), file)
        if has_ended(event, until, seen):
            key = uuid_bytes(started.generation)
            ((length,),) = query("scratch.length", key)
            found.append(Abandoned(event, started, partial_text(query, key), length))
    return found


def _interruption(store: EventStore, counter: TokenCounter, time: int, abandoned: Abandoned) -> Request:
    """Return the append that ends a call, if it still is what it was."""
    started, key = abandoned.started, uuid_bytes(abandoned.started.generation)
    blobs: tuple[BlobDraft, ...] = ()
    bodies: list[EventBody] = []
    answer: CommitRecorded | None = None
    if abandoned.text.strip():
        content = DialogueContent("assistant", abandoned.text)
        blobs = (store.draft(encode_content(content)),)
        answer = _partial(abandoned, content, blobs[0].id, counter, time)
        bodies.append(answer)
    bodies.append(
        GenerationInterrupted(
            generation=started.generation,
            question=started.question,
            answer=None if answer is None else answer.commit.id,
            partial=blobs[0].id if blobs else None,
            finish_reason="interrupted",
        )
    )

    def decide(rows: Sequence[Sequence[Row]]) -> Sequence[NewEvent]:
        if rows[0] != [("running",)]:
            return ()  # Somebody was faster.
        if rows[1][0][0] != abandoned.length:
            raise _SaidMoreError
        return [NewEvent(abandoned.event.tract, body, abandoned.event.actor) for body in bodies]

    reads = (Statement("generations.status", (key,)), Statement("scratch.length", (key,)))
    event = abandoned.event
    return Request(event.stream, event.operation, reads, decide, blobs, scratch=cleared(started.generation))


def _partial(abandoned: Abandoned, content: DialogueContent, blob: BlobId, counter: TokenCounter, time: int) -> CommitRecorded:
    """Return the commit, on no branch, of what had arrived."""
    message, started = render(content), abandoned.started
    tokens = counter.count_message(message)
    commit = Commit(
        parents=() if started.head is None else (started.head,),
        operation=CommitOperation.APPEND,
        time=time,
        operation_id=abandoned.event.operation,
        content=ContentRef(content.content_type, blob),
        priority=default_priority(content),
        config=started.config,
        actor=abandoned.event.actor,
        rendering=RENDERING,
        index=0 if started.question is None else 1,
    )
    return CommitRecorded(commit, tokens=tokens, counter=counter.name, slot_delta=1, token_delta=tokens)
