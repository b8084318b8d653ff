"""One suite for every `LLMClient`: what a turn relies on, whoever answers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tract.domain.config import LLMConfig
from tract.domain.events import UsageFigures
from tract.domain.exchange import Attempt, ModelReply, ModelRequest
from tract.domain.messages import ToolCall
from tract.errors import ClosedError, ModelConnectionError
from tract.llm.openai_client import OpenAIClient
from tract.llm.protocol import LLMClient
from tract.testing import Cut, ScriptedLLM
from tract.testing.server import Behaviour, CutAfter, Reply, serve

Connect = Callable[[Sequence[ModelReply | Cut]], AbstractAsyncContextManager[LLMClient]]

USAGE = UsageFigures(prompt=11, completion=7, cached=4, reasoning=2)
CALLS = (
    ToolCall("call_a", "search", '{"query": "flights",  "limit": 1e1}'),
    ToolCall("call_a", "book", "not JSON \N{SNOWMAN}"),
)
REQUEST = ModelRequest([{"role": "user", "content": "Hi"}], LLMConfig(model="tiny"))


@asynccontextmanager
async def scripted(replies: Sequence[ModelReply | Cut]) -> AsyncIterator[LLMClient]:
    client = ScriptedLLM(replies)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def over_http(replies: Sequence[ModelReply | Cut]) -> AsyncIterator[LLMClient]:
    async with serve([behaviour_of(reply) for reply in replies]) as server:
        client = OpenAIClient(base_url=server.base_url)
        try:
            yield client
        finally:
            await client.aclose()


def behaviour_of(reply: ModelReply | Cut) -> Behaviour:
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
