"""What the test server can be told to do, and what that is in bytes.

OpenAI's Chat Completions, streamed and whole. Pure. Imports `domain` and the
other modules of `testing`.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from tract.domain.events import UsageFigures
from tract.domain.messages import ToolCall
from tract.testing.scripted import words_of
from tract.testing.usage import usage_of


class Waitable(Protocol):
    """An `anyio.Event` or an `asyncio.Event`."""

    async def wait(self) -> Any:
        """Return once the event has happened."""
        ...


@frozen
class Reply:
    """A whole answer.

    Attributes:
        text: Streamed word by word; None for null.
        tool_calls: Streamed in fragments.
        usage: What it costs; by default as `tract.testing.usage` counts it.
        finish_reason: By default stop, or tool_calls where there are any.
        model: Who answers; by default the model of the request.
        reasoning: Streamed word by word before the text, as `reasoning_content`.
        refusal: Streamed word by word after the text.
    """

    text: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: UsageFigures | None = None
    finish_reason: str | None = None
    model: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


@frozen
class Fail:
    """A status with a JSON body or a text, such as an error of OpenAI's."""

    status: int = 500
    headers: Mapping[str, str] = MappingProxyType({})
    body: Mapping[str, Any] | str | None = None


@frozen
class CutAfter:
    """A stream whose connection is closed after these texts."""

    deltas: Sequence[str] = ()


@frozen
class Hold:
    """A stream that waits for *event* after *deltas*, then ends with *then*.

    Without deltas it waits before the first byte. A client that goes away
    meanwhile is counted in `Server.disconnects`.
    """

    event: Waitable
    deltas: Sequence[str] = ()
    then: Reply = Reply("")


@frozen
class Stall:
    """A stream that goes silent after *deltas* until the client leaves.

    Without deltas it does so after the headers: the answer has begun, and
    nothing of it comes.
    """

    deltas: Sequence[str] = ()


@frozen
class Paced:
    """A stream whose deltas are sent when the test yields them, and no earlier.

    Attributes:
        deltas: What the test gives out.
        then: How it ends.
    """

    deltas: AsyncIterable[str]
    then: Reply = Reply("")


@frozen
class Flood:
    """A stream with more in it than the sockets between hold.

    A client that reads slowly holds it back: what was sent stands in
    `Server.sent`, and `Server.held_back` waits for the moment.

    Attributes:
        delta: What is said again and again.
        count: How often; with the usual delta 16 MB in all.
    """

    delta: str = "flood " * 10_000
    count: int = 280


@frozen
class Raw:
    """A stream of exactly these bytes, for what is no chunk, or no event.

    Attributes:
        pieces: Bytes to send, events to wait for, and `HangUp()` where the
            connection is closed in the middle.
    """

    pieces: Sequence["bytes | Waitable | HangUp"]


@frozen
class Chunks:
    """A stream of exactly these chunks, for what odd servers send.

    Attributes:
        chunks: JSON values, each the data of one event.
        done: Whether `[DONE]` ends it.
    """

    chunks: Sequence[Any]
    done: bool = True


Stream: TypeAlias = Reply | CutAfter | Hold | Stall | Paced | Flood | Raw | Chunks
Behaviour: TypeAlias = str | Fail | Stream


class HangUp:
    """A step of a stream: the connection is closed."""


class Silence:
    """A step of a stream: nothing comes any more, and the connection stays."""


@frozen
class Repeated:
    """A step of a stream: the same bytes many times, which a slow client holds back."""

    data: bytes
    count: int


Step: TypeAlias = bytes | Waitable | AsyncIterable[bytes] | Repeated | Silence | HangUp


def steps(body: Mapping[str, Any], behaviour: Stream) -> list[Step]:
    """Return what is sent, and where it waits or breaks off."""
    match behaviour:
        case Raw(pieces):
            return list(pieces)
        case Stall(deltas):
            return [*(_begun(body, deltas) if deltas else [b""]), Silence()]
        case Paced(deltas, then):
            return [*_opening(body, ""), _paced(body, deltas), *_answer(body, then, is_open=True)]
        case Flood(delta, count):
            return [
                *_opening(body, ""),
                Repeated(_chunk(body, {"content": delta}), count),
                *_answer(body, Reply(""), is_open=True),
            ]
        case Chunks(chunks, done):
            return [*map(_event, chunks), *([b"data: [DONE]\n\n"] if done else [])]
        case CutAfter(deltas):
            return [*_begun(body, deltas), HangUp()]
        case Hold(event, deltas, then):
            before = _begun(body, deltas) if deltas else []
            return [*before, event, *_answer(body, then, is_open=bool(deltas))]
        case Reply():
            return list(_answer(body, behaviour, is_open=False))


def _answer(body: Mapping[str, Any], reply: Reply, *, is_open: bool) -> Iterator[bytes]:
    if not is_open:
        yield from _opening(body, None if reply.text is None else "", reply.model)
    for field, text in (("reasoning_content", reply.reasoning), ("content", reply.text), ("refusal", reply.refusal)):
        for word in words_of(text or ""):
            yield _chunk(body, {field: word}, model=reply.model)
    for index, call in enumerate(reply.tool_calls):
        for fragment in _fragments(index, call):
            yield _chunk(body, {"tool_calls": [fragment]}, model=reply.model)
    yield _chunk(body, {}, _finish_reason(reply), reply.model)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _event({**_head(body, reply.model, "chat.completion.chunk"), "choices": [], "usage": _usage(body, reply)})
    yield b"data: [DONE]\n\n"


def _opening(body: Mapping[str, Any], content: str | None, model: str | None = None) -> Iterator[bytes]:
    yield _chunk(body, {"role": "assistant", "content": content}, model=model)


def _begun(body: Mapping[str, Any], deltas: Iterable[str]) -> list[bytes]:
    return [*_opening(body, ""), *_texts(body, deltas)]


async def _paced(body: Mapping[str, Any], deltas: AsyncIterable[str]) -> AsyncIterator[bytes]:
    async for delta in deltas:
        yield _chunk(body, {"content": delta})


def _texts(body: Mapping[str, Any], deltas: Iterable[str]) -> Iterator[bytes]:
    for delta in deltas:
        yield _chunk(body, {"content": delta})


def _fragments(index: int, call: ToolCall) -> Iterator[dict[str, Any]]:
    """Split a call as OpenAI does: id and name at once, the arguments in pieces."""
    yield {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    for start in range(0, len(call.arguments), 8):
        yield {"index": index, "function": {"arguments": call.arguments[start : start + 8]}}


def whole(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """Return the JSON of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    said = {"reasoning_content": reply.reasoning, "refusal": reply.refusal}
    message |= {field: text for field, text in said.items() if text is not None}
    if reply.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(reply)}
    return {**_head(body, reply.model, "chat.completion"), "choices": [choice], "usage": _usage(body, reply)}


def _chunk(
    body: Mapping[str, Any], delta: Mapping[str, Any], finish_reason: str | None = None, model: str | None = None
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({**_head(body, model, "chat.completion.chunk"), "choices": [choice]})


def _head(body: Mapping[str, Any], model: str | None, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-test", "object": kind, "created": 0, "model": model or body.get("model")}


def _event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    said = f"{reply.text or ''}{reply.refusal or ''}"
    told = reply.usage or usage_of(body["messages"], body.get("tools") or (), said, reply.tool_calls, reply.reasoning)
    prompt, completion = told.prompt or 0, told.completion or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": told.cached},
        "completion_tokens_details": {"reasoning_tokens": told.reasoning},
    }
