"""Watching what goes on, here or in another process: generations, follow, events.

All of it is read from the file, so it makes no difference who writes there.
An iterator holds nothing between two of its items, so it can be left at any
time. Imports `core` and `formats`.
"""

from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Self

import anyio
import msgspec

from tract.core import TractCore
from tract.core.contexts import decode_config
from tract.core.interrupting import has_ended, partial_text, read_with_presence, started_by
from tract.core.owners import Presence
from tract.domain.content import DialogueContent
from tract.domain.events import Event
from tract.domain.generations import Delta, GenerationInfo
from tract.domain.ids import BlobId, CommitId, GenerationId, is_uuid, uuid_bytes
from tract.domain.results import moment
from tract.errors import ContentValidationError, TurnStateError
from tract.formats.reading import decode_content
from tract.log.codec import decode_event
from tract.log.protocol import Query, Row

MOST = 10_000
"""Calls that one call of `generations` returns at the most."""
AT_ONCE = 256
"""Events that are read together."""
LOOK_SECONDS = 1.0
"""After so many without a change a follower looks whether the owner is still there."""
_STATUS = 11
"""Where the status stands in a row of `generations.one`, behind the event's columns."""
_NO_SUCH = "there is no generation of that id in this tract"


async def generations(t: TractCore, limit: int = 20, *, cursor: str | None = None) -> tuple[GenerationInfo, ...]:
    """Return the model calls of this tract, newest first, those that run included.

    A call whose process is gone is shown as interrupted, with the text that
    had arrived, before anybody recorded that.

    Args:
        t: The tract.
        limit: The most calls to return, at least 1.
        cursor: Id of the last call of the page before; goes on behind it.

    Raises:
        ContentValidationError: *limit* makes no sense, or *cursor* is no generation.
    """
    if type(limit) is not int or not 1 <= limit <= MOST:
        raise ContentValidationError("limit", f"it must be a whole number from 1 to {MOST}")
    if cursor is not None and not is_uuid(cursor):
        raise ContentValidationError("cursor", "it must be the id of a generation")
    tract, file = t.place.tract, t.collaborators.shared.store.where

    def load(seen: Presence, query: Query) -> list[GenerationInfo]:
        before = None
        if cursor is not None:
            found = query("generations.by_id", uuid_bytes(cursor), tract)
            if not found:
                raise ContentValidationError("cursor", _NO_SUCH)
            before = found[0][0]
        return [_generation(query, row, file, seen) for row in query("generations.listed", tract, before, limit)]

    return tuple(await read_with_presence(t.read, t.collaborators.clock, load))


def _generation(query: Query, row: Row, file: str, seen: Presence) -> GenerationInfo:
    *columns, status, question, answer, finish_reason, ended, until, content = row
    event, started = started_by(tuple(columns), file)
    text = _text(content)
    if status == "running":
        text = partial_text(query, uuid_bytes(started.generation))
        if has_ended(event, until, seen):
            status, finish_reason, question = "interrupted", "interrupted", None
    options = _json(query, started.options) or {}
    asked = started.question if question is None else CommitId(question.hex())
    return GenerationInfo(
        id=started.generation,
        tract_id=event.tract,
        verb=started.verb,
        branch=started.branch,
        base=started.base,
        question=asked,
        answer=None if answer is None else CommitId(answer.hex()),
        status=status,
        text=text,
        finish_reason=finish_reason,
        model=_model(query, started.config),
        started=moment(event.recorded_at),
        ended=None if ended is None else moment(ended),
        operation_id=event.operation,
        actor=event.actor,
        tools=tuple(_json(query, started.tools) or ()),
        tool_choice=options.get("tool_choice"),
        response_format=options.get("response_format"),
    )


def _model(query: Query, config: BlobId | None) -> str | None:
    data = _blob(query, config)
    return None if data is None else decode_config(data).model


def _json(query: Query, id: BlobId | None) -> Any:
    data = _blob(query, id)
    return None if data is None else msgspec.json.decode(data)


def _blob(query: Query, id: BlobId | None) -> bytes | None:
    """Return what a blob holds; None where there is none, or it was erased."""
    rows = [] if id is None else query("log.blob", bytes.fromhex(id))
    return rows[0][0] if rows else None


def _text(content: bytes | None) -> str:
    if content is None:
        return ""
    decoded = decode_content(DialogueContent.content_type, content)
    assert isinstance(decoded, DialogueContent)
    return decoded.text if isinstance(decoded.text, str) else ""


def follow(t: TractCore, generation: str, *, after: int = 0) -> "Following":
    """Return an answer as it comes, to iterate with `async for`.

    In any task of any process that has the file open: no gap and no repeat. It
    ends when the call ends, however, or its process dies; then `generation`
    says how, and has all that was given. What arrives is read ahead of the
    caller of `stream`: where that one leaves on purpose, the branch keeps what
    it saw, which may be less.

    Args:
        t: The tract.
        generation: The call's id, from `generations()` or a turn's
            `generation`.
        after: How many characters to leave out: the cursor of the last
            delta that was seen, to go on from there.

    Raises:
        ContentValidationError: It is no generation of this tract, now or at
            the first iteration, or *after* makes no sense.
    """
    if not is_uuid(generation):
        raise ContentValidationError("generation", "it must be the id of a generation")
    if type(after) is not int or after < 0:
        raise ContentValidationError("after", "it must be a number of characters, 0 or more")
    return Following(t, GenerationId(generation), after)


class Following:
    """An answer on its way, seen from anywhere; iterate it for its deltas."""

    def __init__(self, t: TractCore, generation: GenerationId, after: int) -> None:
        self._t = t
        self._key = uuid_bytes(generation)
        self._cursor = after
        self._ended: GenerationInfo | None = None

    @property
    def cursor(self) -> int:
        """How many characters of the answer were given or left out so far."""
        return self._cursor

    @property
    def generation(self) -> GenerationInfo:
        """The call as it ended, after the last delta.

        Raises:
            TurnStateError: It was not followed to its end.
        """
        if self._ended is None:
            raise TurnStateError("follow the answer to its end first; generations() says how it stands")
        return self._ended

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        while True:
            mark = self._t.mark()
            text, ended = await read_with_presence(self._t.read, self._t.collaborators.clock, self._look)
            if text:
                self._cursor += len(text)
                return Delta(text, self._cursor)
            if ended is not None:
                self._ended = ended
                raise StopAsyncIteration
            # That a process died is written by nobody.
            with anyio.move_on_after(LOOK_SECONDS):
                await self._t.changed(mark)

    def _look(self, seen: Presence, query: Query) -> tuple[str, GenerationInfo | None]:
        """Return what comes behind the cursor and, once nothing more can come, how the call ended."""
        rows = query("generations.one", self._key, self._t.place.tract)
        if not rows:
            raise ContentValidationError("generation", _NO_SUCH)
        if rows[0][_STATUS] == "running":
            text = partial_text(query, self._key, self._cursor)
            if text:
                return text, None
        info = _generation(query, rows[0], self._t.collaborators.shared.store.where, seen)
        return ("", None) if info.status == "running" else (info.text[self._cursor :], info)


def events(t: TractCore, *, after: int = 0) -> AsyncIterator[Event]:
    """Return the events of this tract's family, to iterate with `async for`, without end.

    First those that are there, then each that anybody appends, in this
    process or another, in the order of the log. One of a type that only a
    later version knows comes as well: its body has `tag`, `schema` and, as
    the JSON that is stored, `data`.

    Args:
        t: The tract.
        after: The position of the last event that was seen, 0 for all.

    Raises:
        ContentValidationError: *after* is no position.
        ClosedError: The tract was closed, also in the midst of waiting.
        CorruptLogError: An event has not its shape.
        NewerEventError: A later version changed what events of its type hold.
    """
    if type(after) is not int or after < 0:
        raise ContentValidationError("after", "it must be the position of an event, or 0")
    return _Events(t, after)


class _Events:
    """The log of a family, from a position on."""

    def __init__(self, t: TractCore, after: int) -> None:
        self._t = t
        self._position = after
        self._read: deque[Event] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._read:
            mark = self._t.mark()
            position = self._position
            found, seen = await self._t.read(partial(self._look, position))
            # Moved on only here: a wait that is cancelled loses nothing, and of
            # two tasks that read the same, one hands it on.
            if self._position == position:
                self._position = seen
                self._read.extend(found)
            if not self._read:
                await self._t.changed(mark)
        return self._read.popleft()

    def _look(self, position: int, query: Query) -> tuple[list[Event], int]:
        """Return what comes next, and the position up to which that is all."""
        file = self._t.collaborators.shared.store.where
        rows = query("log.stream_events_after", uuid_bytes(self._t.place.stream), position, AT_ONCE)
        # Other families' events need not be looked at again.
        seen = rows[-1][0] if len(rows) == AT_ONCE else max(position, query("log.last_position")[0][0])
        return [decode_event(row, file=file) for row in rows], seen
