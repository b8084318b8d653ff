"""One suite for every `LLMClient`: what a turn relies on, whoever answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeAlias

import pytest
from attrs import evolve, frozen

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import ToolCall
from tract.errors import ClosedError, ModelConnectionError, ModelTimeoutError
from tract.llm.openai_client import OpenAIClient
from tract.llm.protocol import LLMClient
from tract.testing import Cut, ScriptedLLM
from tract.testing.server import Behaviour, CutAfter, Received, Reply, Stall, serve


@frozen
class Silence:
    """An answer that goes silent for ever.

    Attributes:
        deltas: What arrives before; None where the answer does not even begin.
    """

    deltas: tuple[str, ...] | None


Script: TypeAlias = ModelReply | Cut | Silence
Arrived: TypeAlias = list[dict[str, Any]]
"""What a request asks for, as it came to whoever answers it."""


class Connect(Protocol):
    """Makes a client whose model gives *replies* in order and notes what arrives."""

    def __call__(self, replies: Sequence[Script], arrived: Arrived | None = None) -> AbstractAsyncContextManager[LLMClient]: ...


USAGE = UsageFigures(prompt=11, completion=7, cached=4, reasoning=2)
CALLS = (
    ToolCall("call_a", "search", '{"query": "flights",  "limit": 1e1}'),
    ToolCall("call_a", "book", "not JSON \N{SNOWMAN}"),
)
REQUEST = ModelRequest([{"role": "user", "content": "Hi"}], LLMConfig(model="tiny"))


def what_is_asked(messages: Sequence[Any], tools: Sequence[Any], choice: Any, form: Any) -> dict[str, Any]:
    return {"messages": [*messages], "tools": [*tools], "tool_choice": choice, "response_format": form}


@asynccontextmanager
async def scripted(replies: Sequence[Script], arrived: Arrived | None = None) -> AsyncIterator[LLMClient]:
    waiting = iter(replies)

    async def reply_to(request: ModelRequest) -> Any:
        if arrived is not None:
            arrived.append(what_is_asked(request.messages, request.tools, request.tool_choice, request.response_format))
        reply = next(waiting)
        if not isinstance(reply, Silence):
            return reply
        return await for_ever() if reply.deltas is None else then_nothing(reply.deltas)

    client = ScriptedLLM(reply_to)
    try:
        yield client
    finally:
        await client.aclose()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def then_nothing(deltas: Sequence[str]) -> AsyncIterator[str]:
    for delta in deltas:
        yield delta
    await for_ever()


@asynccontextmanager
async def over_http(replies: Sequence[Script], arrived: Arrived | None = None) -> AsyncIterator[LLMClient]:
    waiting, is_over = iter(replies), asyncio.Event()

    async def behave(request: Received) -> Behaviour:
        body = request.body
        if arrived is not None:
            asked = body["messages"], body.get("tools", ()), body.get("tool_choice"), body.get("response_format")
            arrived.append(what_is_asked(*asked))
        reply = next(waiting)
        if reply == Silence(None):
            await is_over.wait()
        return behaviour_of(reply)

    async with serve(behave) as server:
        client = OpenAIClient(base_url=server.base_url, max_retries=0)
        try:
            yield client
        finally:
            is_over.set()
            await client.aclose()


def behaviour_of(reply: Script) -> Behaviour:
    if isinstance(reply, Silence):
        return Stall(reply.deltas or ())
    if isinstance(reply, Cut):
        assert isinstance(reply.deltas, list)
        return CutAfter(reply.deltas)
    return Reply(reply.text, reply.tool_calls, reply.usage, reply.finish_reason, reply.model, reply.reasoning, reply.refusal)


@pytest.fixture(params=[scripted, over_http], ids=["ScriptedLLM", "OpenAIClient"])
def connect(request: pytest.FixtureRequest) -> Connect:
    made: Connect = request.param
    return made


async def streamed(client: LLMClient) -> tuple[list[str], ModelReply]:
    async with client.stream(REQUEST) as answer:
        return [text async for text in answer], answer.reply


async def test_a_text_arrives_in_deltas_that_make_up_the_reply(connect: Connect) -> None:
    async with connect([ModelReply("Good morning,\n to you")]) as client:
        deltas, reply = await streamed(client)
    assert deltas == ["Good ", "morning,\n ", "to ", "you"]
    assert reply.text == "Good morning,\n to you"


async def test_complete_gives_the_reply_that_stream_gives(connect: Connect) -> None:
    said = ModelReply("Hello there", usage=USAGE, tool_calls=CALLS)
    async with connect([said, said]) as client:
        _, by_stream = await streamed(client)
        assert await client.complete(REQUEST) == by_stream


async def test_a_reply_that_leaves_nothing_open_arrives_as_it_is(connect: Connect) -> None:
    said = ModelReply("Hello", "tiny-2", "length", CALLS, USAGE, (Attempt(1, USAGE),))
    async with connect([said]) as client:
        assert await client.complete(REQUEST) == said


async def test_a_reply_of_tool_calls_alone_has_no_text(connect: Connect) -> None:
    async with connect([ModelReply(None, tool_calls=CALLS)]) as client:
        deltas, reply = await streamed(client)
    assert (deltas, reply.text, reply.tool_calls) == ([], None, CALLS)


async def test_null_content_stays_null_without_tool_calls(connect: Connect) -> None:
    async with connect([ModelReply(None)]) as client:
        assert (await client.complete(REQUEST)).text is None


async def test_an_empty_text_stays_empty(connect: Connect) -> None:
    async with connect([ModelReply("")]) as client:
        deltas, reply = await streamed(client)
    assert (deltas, reply.text) == ([], "")


async def test_any_text_comes_through_unchanged(connect: Connect) -> None:
    text = "\u2028 tab\t \x00 data: [DONE]\r\n\r\n \U0001f600 <|endoftext|> "
    async with connect([ModelReply(text)]) as client:
        deltas, reply = await streamed(client)
    assert "".join(deltas) == reply.text == text


async def test_reasoning_stands_on_the_reply_and_in_no_delta(connect: Connect) -> None:
    async with connect([ModelReply("Four.", reasoning="Two and two \n make 4.")]) as client:
        deltas, reply = await streamed(client)
    assert ("".join(deltas), reply.text, reply.reasoning) == ("Four.", "Four.", "Two and two \n make 4.")


async def test_a_refusal_is_told_in_deltas_and_is_not_the_text(connect: Connect) -> None:
    async with connect([ModelReply(None, refusal="I will not.")]) as client:
        deltas, reply = await streamed(client)
    assert (deltas, reply.text, reply.refusal) == (["I ", "will ", "not."], None, "I will not.")


async def test_the_finish_reason_follows_from_the_answer(connect: Connect) -> None:
    async with connect([ModelReply("Hello"), ModelReply(None, tool_calls=CALLS)]) as client:
        reasons = [(await client.complete(REQUEST)).finish_reason for _ in range(2)]
    assert reasons == ["stop", "tool_calls"]


async def test_usage_stands_on_the_reply_and_on_its_attempt(connect: Connect) -> None:
    async with connect([ModelReply("Hello", usage=USAGE)]) as client:
        reply = await client.complete(REQUEST)
    assert reply.usage == USAGE
    assert reply.attempts == (Attempt(1, USAGE),)


async def test_usage_that_nobody_gave_is_the_same_from_every_client(connect: Connect) -> None:
    async with connect([ModelReply("Hello there", tool_calls=CALLS)]) as client:
        reply = await client.complete(REQUEST)
    assert reply.usage == UsageFigures(prompt=8, completion=18)


async def test_the_model_is_the_one_that_was_asked_for(connect: Connect) -> None:
    async with connect([ModelReply("Hello")]) as client:
        assert (await client.complete(REQUEST)).model == "tiny"


async def test_a_stream_that_breaks_off_leaves_its_deltas_and_its_attempt(connect: Connect) -> None:
    async with connect([Cut(["Half ", "an "], ModelConnectionError())]) as client, client.stream(REQUEST) as answer:
        deltas = []
        with pytest.raises(ModelConnectionError):
            async for text in answer:
                deltas.append(text)
    assert deltas == ["Half ", "an "]
    assert answer.attempts == (Attempt(1, error="ModelConnectionError"),)


async def test_an_answer_that_broke_off_has_no_reply(connect: Connect) -> None:
    async with connect([Cut(["Half"], ModelConnectionError())]) as client, client.stream(REQUEST) as answer:
        with pytest.raises(ModelConnectionError):
            async for _ in answer:
                pass
        with pytest.raises(RuntimeError, match="not whole"):
            _ = answer.reply


async def test_an_answer_that_was_left_early_names_its_attempt(connect: Connect) -> None:
    async with connect([ModelReply("Hello there")]) as client:
        async with client.stream(REQUEST) as answer:
            async for _ in answer:
                break
        assert answer.attempts == (Attempt(1),)


async def test_an_answer_that_is_not_iterated_is_not_asked_for(connect: Connect) -> None:
    async with connect([ModelReply("Hello")]) as client:
        async with client.stream(REQUEST) as answer:
            pass
        assert answer.attempts == ()
        assert (await client.complete(REQUEST)).text == "Hello"


async def test_an_answer_that_ended_stays_ended(connect: Connect) -> None:
    async with connect([ModelReply("Hello")]) as client, client.stream(REQUEST) as answer:
        assert [text async for text in answer] == ["Hello"]
        assert [text async for text in answer] == []
        assert answer.reply.text == "Hello"


async def test_closing_twice_is_nothing(connect: Connect) -> None:
    async with connect([ModelReply("Hello")]) as client:
        await client.complete(REQUEST)
        await client.aclose()
        await client.aclose()


async def test_a_closed_client_refuses_calls(connect: Connect) -> None:
    async with connect([ModelReply("Hello")]) as client:
        await client.aclose()
        with pytest.raises(ClosedError):
            await client.complete(REQUEST)


TOOLS = tuple(
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"\N{SNOWMAN}": {}}}}}
    for name in ("search", "book")
)
FORM = {"type": "json_schema", "json_schema": {"name": "Trip", "strict": True, "schema": {"type": "object"}}}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "book"}}], ids=["word", "mapping"])
async def test_what_is_offered_and_asked_for_arrives_as_given(connect: Connect, choice: str | Mapping[str, Any]) -> None:
    request = evolve(REQUEST, tools=TOOLS, tool_choice=choice, response_format=FORM)
    arrived: Arrived = []
    async with connect([ModelReply("Hello")], arrived) as client:
        await client.complete(request)
    assert arrived == [what_is_asked(REQUEST.messages, TOOLS, choice, FORM)]


async def test_where_nothing_is_offered_nothing_arrives(connect: Connect) -> None:
    arrived: Arrived = []
    async with connect([ModelReply("Hello")], arrived) as client:
        await client.complete(REQUEST)
    assert arrived == [what_is_asked(REQUEST.messages, (), None, None)]


async def test_reasoning_and_refusal_stand_on_the_reply_of_complete(connect: Connect) -> None:
    async with connect([ModelReply(None, reasoning="It is \n secret.", refusal="I will not.")]) as client:
        reply = await client.complete(REQUEST)
    assert (reply.text, reply.reasoning, reply.refusal) == (None, "It is \n secret.", "I will not.")


# The last is long enough for its delta to arrive on a busy machine.
SILENCES = {
    "before the answer": (Silence(None), 0.05),
    "in an answer that began": (Silence(()), 0.05),
    "after a delta": (Silence(("Half ",)), 0.5),
}
each_silence = pytest.mark.parametrize(("silence", "seconds"), SILENCES.values(), ids=SILENCES)


@each_silence
async def test_silence_for_longer_than_allowed_is_a_time_out(connect: Connect, silence: Silence, seconds: float) -> None:
    request, deltas = evolve(REQUEST, timeout=seconds), list[str]()
    async with connect([silence]) as client, client.stream(request) as answer:
        with pytest.raises(ModelTimeoutError):
            async for text in answer:
                deltas.append(text)
    assert deltas == list(silence.deltas or ())
    assert answer.attempts == (Attempt(1, error="ModelTimeoutError"),)


async def test_complete_keeps_to_the_time_of_a_request_too(connect: Connect) -> None:
    async with connect([Silence(None)]) as client:
        with pytest.raises(ModelTimeoutError):
            await client.complete(evolve(REQUEST, timeout=0.05))


async def test_the_time_that_a_reader_takes_is_no_silence_of_the_model(connect: Connect) -> None:
    async with connect([ModelReply("Hello there")]) as client, client.stream(evolve(REQUEST, timeout=0.5)) as answer:
        deltas = []
        async for text in answer:
            deltas.append(text)
            await asyncio.sleep(0.6 if len(deltas) == 1 else 0)
    assert deltas == ["Hello ", "there"]


async def test_a_call_that_is_cancelled_within_its_time_is_cancelled(connect: Connect) -> None:
    async with connect([Silence(("Half ",))]) as client, client.stream(evolve(REQUEST, timeout=60)) as answer:
        assert await anext(aiter(answer)) == "Half "
        reading = asyncio.ensure_future(anext(aiter(answer)))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert answer.attempts == (Attempt(1),)


async def test_a_script_that_raises_a_time_out_of_its_own_raises_that() -> None:
    client = ScriptedLLM([TimeoutError("mine"), Cut(["Half "], TimeoutError("mine"))])
    for _ in range(2):
        with pytest.raises(TimeoutError, match="mine"):
            await client.complete(evolve(REQUEST, timeout=60))


async def test_a_script_whose_own_time_runs_out_raises_that() -> None:
    async def reply_to(_: ModelRequest) -> str:
        async with asyncio.timeout(0):
            await for_ever()
        return "never"

    with pytest.raises(TimeoutError):
        await ScriptedLLM(reply_to).complete(evolve(REQUEST, timeout=60))
