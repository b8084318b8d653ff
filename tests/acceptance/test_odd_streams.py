"""Story: the server streams what no server should, stalls, dawdles or floods.

Each time the answer is right or the error is one of ours, the branch is where
it belongs, and no connection is left open.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest

from tests.acceptance.reading import state, texts
from tract import AsyncTract, LLMConfig, ModelRequest, OpenAIClient, TokenUsage
from tract.errors import ModelConnectionError, ModelError, ModelRateLimitError, ModelResponseError, ModelTimeoutError
from tract.llm.counting import ApproximateCounter
from tract.testing.server import Behaviour, Chunks, Fail, Flood, Paced, Raw, Reply, Server, Stall, serve
from tract.testing.wire import HangUp

REQUEST = ModelRequest([{"role": "user", "content": "Hi"}], LLMConfig(model="tiny"))
WHOLE = "One two."
Pieces: TypeAlias = Sequence[bytes | HangUp]


@asynccontextmanager
async def talking(*behaviours: Behaviour) -> AsyncIterator[tuple[AsyncTract, Server]]:
    async with serve(behaviours) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        async with AsyncTract.open(llm=client, model="tiny", tokens=ApproximateCounter()) as t:
            yield t, server
        await client.aclose()


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def chunk(text: str | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": reason}], **more}


ONE, TWO, END, DONE = event(chunk("One ")), event(chunk("two.")), event(chunk(None, "stop")), b"data: [DONE]\n\n"
SOUND = ONE + TWO + END + DONE

RIGHT: dict[str, Pieces] = {
    "as it should be": [SOUND],
    "lines that end with CRLF": [SOUND.replace(b"\n", b"\r\n")],
    "lines that end with CR": [SOUND.replace(b"\n", b"\r")],
    "byte by byte": [SOUND[place : place + 1] for place in range(len(SOUND))],
    "comments": [b": ping\n\n", ONE, b":\n: ping\n\n\n", TWO, END, DONE],
    "a comment within an event": [b": ping\n" + ONE, TWO, END, DONE],
    "data on several lines": [b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "One "}}]}\n\n', TWO, END, DONE],
    "a byte order mark": [b"\xef\xbb\xbf" + SOUND],
    "named events": [b"event: chunk\nid: 1\n" + ONE, b"event: chunk\nid: 2\n" + TWO, END, DONE],
    "events without data": [b"retry: 100\n\nevent: ping\n\n", ONE, b"id: 3\n\ndata:\n\n", TWO, END, DONE],
    "lines that are no fields": [ONE, b"hello\n\n", b'{"x": 1}\n\n', TWO, END, DONE],
    "a letter cut in two": [
        event(chunk("One ")),
        b'data: {"choices": [{"delta": {"content": "two."}, "x": "\xe7',
        b'\x8c\xab"}]}\n\n',
        END,
        DONE,
    ],
    "no end but a reason": [ONE, TWO, END],
    "more after the end": [ONE, TWO, END, DONE, b"data: {broken\n\n", TWO],
    "a drop behind its reason": [ONE, TWO, END, HangUp()],
    "half an event behind its reason": [ONE, TWO, END, b"data: {", HangUp()],
    "blank lines first": [b"\n\r\n", SOUND],
    "chunks without choices": [event({"choices": None}), ONE, event({}), event({"choices": []}), TWO, END, DONE],
}

WRONG: dict[str, tuple[Pieces, type[ModelError], str]] = {
    "broken JSON": ([ONE, b"data: {broken\n\n"], ModelResponseError, "One "),
    "broken JSON at once": ([b"data: {broken\n\n"], ModelResponseError, ""),
    "a missing blank line": ([ONE, TWO[:-1], END], ModelResponseError, "One "),
    "what is not UTF-8": ([ONE, b'data: {"x": "\xff"}\n\n'], ModelResponseError, "One "),
    "brackets without end": ([ONE, b"data: " + b"[" * 100_000 + b"\n\n"], ModelResponseError, "One "),
    "a number without end": ([ONE, b'data: {"x": ' + b"9" * 5000 + b"}\n\n"], ModelResponseError, "One "),
    "something else than an object": ([ONE, b"data: NaN\n\n"], ModelResponseError, "One "),
    "text that is none": ([ONE, event(chunk(7))], ModelResponseError, "One "),  # type: ignore[arg-type]
    "an error object": ([ONE, event({"error": {"message": "no", "code": None}})], ModelResponseError, "One "),
    "an error that is a text": ([ONE, event({"error": "no"})], ModelResponseError, "One "),
    "an error with a status": ([ONE, event({"error": {"message": "slow down", "code": 429}})], ModelRateLimitError, "One "),
    "an error at once": ([event({"error": {"message": "no"}})], ModelResponseError, ""),
}
"""What the server says, the error, and the text before it; each time the server then waits for the client to leave."""

CUT: dict[str, tuple[Pieces, type[ModelError], str]] = {
    "half a line at the end": ([ONE, TWO[:20]], ModelConnectionError, "One "),
    "an event that is not ended": ([ONE, TWO, END[:-1]], ModelConnectionError, WHOLE),
    "a drop without a reason": ([ONE, HangUp()], ModelConnectionError, "One "),
    "an end and nothing else": ([DONE], ModelConnectionError, ""),
    "nothing at all": ([b""], ModelConnectionError, ""),
}

each_right = pytest.mark.parametrize("pieces", RIGHT.values(), ids=RIGHT)
each_failure = pytest.mark.parametrize(
    ("pieces", "error", "before", "is_open"),
    [(*row, True) for row in WRONG.values()] + [(*row, False) for row in CUT.values()],
    ids=[*WRONG, *CUT],
)


@each_right
async def test_a_client_understands_every_legal_stream(pieces: Pieces) -> None:
    async with serve([Raw(pieces)]) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        reply = await client.complete(REQUEST)
        await client.aclose()
    assert (reply.text, reply.finish_reason) == (WHOLE, "stop")


@each_right
async def test_chat_and_stream_record_the_answer_of_every_legal_stream(pieces: Pieces) -> None:
    async with talking(Raw(pieces), Raw(pieces)) as (t, _):
        response = await t.chat("Hi")
        async with t.stream("Again") as stream:
            said = "".join([delta async for delta in stream])
        assert (response.text, said) == (WHOLE, WHOLE)
        assert await texts(t) == ["Hi", WHOLE, "Again", WHOLE]


@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/plain", "application/octet-stream"])
async def test_an_event_stream_is_told_by_its_first_bytes(kind: str) -> None:
    async with talking(Fail(200, {"content-type": kind}, SOUND.decode())) as (t, _):
        assert (await t.chat("Hi")).text == WHOLE


@pytest.mark.parametrize("space", [b"", b"\n ", b"\xef\xbb\xbf"])
async def test_a_whole_answer_is_told_by_its_first_bytes(space: bytes) -> None:
    answer = {"choices": [{"message": {"content": WHOLE}, "finish_reason": "stop"}]}
    async with talking(Raw([space, json.dumps(answer).encode()])) as (t, _):
        assert (await t.chat("Hi")).text == WHOLE


async def test_a_text_that_the_end_mark_ends_is_whole_without_a_reason() -> None:
    async with talking(Raw([ONE, TWO, DONE])) as (t, _):
        response = await t.chat("Hi")
        assert (response.text, response.finish_reason) == (WHOLE, None)


def refused(pieces: Pieces, *, is_open: bool) -> Raw:
    """The pieces; then, if it is open, a server that waits until the client has left."""
    return Raw([*pieces, asyncio.Event()] if is_open else pieces)


@each_failure
async def test_a_client_says_in_our_words_what_it_cannot_read(
    pieces: Pieces, error: type[ModelError], before: str, *, is_open: bool
) -> None:
    async with serve([refused(pieces, is_open=is_open)]) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        said = []
        async with client.stream(REQUEST) as answer:
            with pytest.raises(error) as caught:
                async for text in answer:
                    said.append(text)
        assert (type(caught.value), "".join(said)) == (error, before)
        if is_open:
            await server.disconnected()
        await client.aclose()


@each_failure
async def test_chat_leaves_the_branch_where_it_was_and_keeps_what_arrived(
    pieces: Pieces, error: type[ModelError], before: str, *, is_open: bool
) -> None:
    async with talking(refused(pieces, is_open=is_open), Reply("Hello.")) as (t, server):
        await t.user("before")
        was = await state(t)
        with pytest.raises(error) as caught:
            await t.chat("Hi")
        assert await state(t) == was
        kept = caught.value.partial
        assert (await texts(t, kept))[-1] == before if kept else not before
        if is_open:
            await server.disconnected()
        await t.chat("Hi")
        assert await texts(t) == ["before", "Hi", "Hello."]


@each_failure
async def test_a_stream_leaves_the_branch_where_it_was(
    pieces: Pieces, error: type[ModelError], before: str, *, is_open: bool
) -> None:
    async with talking(refused(pieces, is_open=is_open)) as (t, server):
        was, said = await state(t), []
        with pytest.raises(error):
            async with t.stream("Hi") as stream:
                async for delta in stream:
                    said.append(delta)
        assert (await state(t), "".join(said)) == (was, before)
        if is_open:
            await server.disconnected()


COST = {"prompt_tokens": 5, "completion_tokens": 2}
FIGURES = TokenUsage(prompt=5, completion=2)
USAGE: dict[str, tuple[list[Any], TokenUsage | None]] = {
    "last and with empty choices": ([chunk(None, "stop"), {"choices": [], "usage": COST}], FIGURES),
    "last and with a choice": ([chunk(None, "stop"), chunk(None, "stop", usage=COST)], FIGURES),
    "last and without choices": ([chunk(None, "stop"), {"usage": COST}], FIGURES),
    "last and with choices of null": ([chunk(None, "stop"), {"choices": None, "usage": COST}], FIGURES),
    "with the reason": ([chunk(None, "stop", usage=COST)], FIGURES),
    "never": ([chunk(None, "stop")], None),
    "null": ([chunk(None, "stop", usage=None), {"choices": [], "usage": None}], None),
    "null after figures": ([chunk(None, "stop", usage=COST), {"choices": [], "usage": None}], FIGURES),
    "twice, the last counts": (
        [chunk(None, "stop", usage={"prompt_tokens": 1, "completion_tokens": 1}), {"choices": [], "usage": COST}],
        FIGURES,
    ),
    "with every chunk, growing": ([chunk("", usage={**COST, "completion_tokens": 1}), chunk(None, "stop", usage=COST)], FIGURES),
    "something else": ([chunk(None, "stop"), {"choices": [], "usage": [5, 2]}], None),
    "of figures that are none": ([chunk(None, "stop", usage={"prompt_tokens": "5", "completion_tokens": 2.5})], None),
}


@pytest.mark.parametrize(("last", "usage"), USAGE.values(), ids=USAGE)
async def test_usage_is_read_wherever_it_stands(last: list[Any], usage: TokenUsage | None) -> None:
    async with talking(Chunks([chunk("Hello."), *last])) as (t, _):
        response = await t.chat("Hi")
        assert (response.text, response.usage) == ("Hello.", usage)
        source = (await t.status()).token_source
        assert source.startswith("counted:" if usage is None else "reported:")


@pytest.mark.parametrize("deltas", [(), ("Half ",)], ids=["behind the headers", "in the middle"])
async def test_a_server_that_goes_silent_is_left_after_the_time_that_was_given(deltas: tuple[str, ...]) -> None:
    async with talking(Stall(deltas)) as (t, server):
        was = await state(t)
        with pytest.raises(ModelTimeoutError) as caught:
            await t.chat("Hi", timeout=0.2)
        assert (await state(t), caught.value.partial is not None) == (was, bool(deltas))
        await server.disconnected()


@pytest.mark.parametrize("deltas", [(), ("Half ",)], ids=["behind the headers", "in the middle"])
async def test_a_call_to_a_silent_server_can_be_cancelled(deltas: tuple[str, ...]) -> None:
    async with talking(Stall(deltas)) as (t, server):
        was = await state(t)
        call = asyncio.create_task(t.chat("Hi"))
        await server.received()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.disconnected()
        assert await state(t) == was


async def test_leaving_a_stream_on_purpose_hangs_up_on_a_silent_server() -> None:
    async with talking(Stall(["Half ", "an "])) as (t, server):
        async with t.stream("Hi") as stream:
            async for delta in stream:
                if delta == "an ":
                    break
        await server.disconnected()
        assert await texts(t) == ["Hi", "Half an "]


async def test_closing_the_tract_hangs_up_on_a_silent_server() -> None:
    async with talking(Stall(["Half "])) as (t, server):
        call = asyncio.create_task(t.chat("Hi"))
        await server.received()
        await t.aclose()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.disconnected()


async def test_each_delta_is_handed_on_before_the_server_has_the_next() -> None:
    taken = asyncio.Semaphore(1)

    async def deltas() -> AsyncIterator[str]:
        for number in range(20):
            await taken.acquire()
            yield f"{number} "

    async with talking(Paced(deltas(), then=Reply("end."))) as (t, _):
        said = []
        async with t.stream("Count") as stream:
            async for delta in stream:
                said.append(delta)
                taken.release()
        assert said == [*(f"{number} " for number in range(20)), "end."]


async def test_a_consumer_that_is_slow_holds_the_server_back_and_gets_everything() -> None:
    flood = Flood()
    async with talking(flood) as (t, server):
        length = 0
        async with t.stream("Flood me") as stream:
            async for delta in stream:
                if not length:
                    await server.held_back()
                    assert server.sent < flood.count
                length += len(delta)
        assert length == len(flood.delta) * flood.count


async def test_a_consumer_that_leaves_a_flood_hangs_up() -> None:
    async with talking(Flood()) as (t, server):
        async with t.stream("Flood me", keep_partial=False) as stream:
            async for _ in stream:
                await server.held_back()
                break
        await server.disconnected()
        assert await t.head() is None
