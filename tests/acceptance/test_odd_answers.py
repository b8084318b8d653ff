"""Faults that turns had: what servers and clients may send, and how a call is left behind."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any

import pytest

from tests.acceptance.reading import state, texts
from tests.acceptance.scripting import opened
from tract import AsyncTract, Attempt, DialogueContent, Message, ModelReply, ModelRequest, TokenUsage, ToolCall
from tract.domain.events import GenerationEnded
from tract.errors import ContentValidationError
from tract.llm.counting import ApproximateCounter
from tract.log.codec import decode_event
from tract.testing import Cut, ScriptedLLM
from tract.testing.server import Reply, serve

BEYOND = TokenUsage(prompt=2**64, completion=2**70)
SENTENCE = "I stopped because the user's secret plan was told."


def calls(path: str) -> list[tuple[str, str | None]]:
    """Return how each model call stands."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT status, finish_reason FROM generations ORDER BY number").fetchall()


def usage(path: str, column: str) -> list[Any]:
    """Return one column of what was reported, in the order of the log."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(f"SELECT {column} FROM usage ORDER BY rowid")]


async def finish_reasons(t: AsyncTract) -> list[str | None]:
    """Return what the events say of how calls ended."""
    rows = await t.read(lambda query: query("log.events_after", 0, 1000))
    return [body.finish_reason for body in (decode_event(row).body for row in rows) if isinstance(body, GenerationEnded)]


ODD = [
    (ModelReply("Hello.", model=""), "stop"),
    (ModelReply("Hello.", model=" "), "stop"),
    (ModelReply("Hello.", model="tiny-\ud800"), "stop"),
    (ModelReply("Hello.", usage=BEYOND), "stop"),
    (ModelReply("Hello.", usage=TokenUsage(prompt=-1)), "stop"),
    (ModelReply("Hello.", finish_reason=SENTENCE), "other"),
    (ModelReply("Hello.", finish_reason="x" * 10_000), "other"),
    (ModelReply("Hello.", finish_reason="stop\ud800"), "other"),
]
ODD_IDS = ["no model", "blank model", "torn model", "huge usage", "negative usage", "sentence", "long word", "torn reason"]


@pytest.mark.parametrize(("reply", "reason"), ODD, ids=ODD_IDS)
async def test_an_answer_with_odd_words_around_it_is_recorded_all_the_same(
    path: str, reply: ModelReply, reason: str | None
) -> None:
    async with opened([reply], path) as t:
        response = await t.chat("Hi")
        assert (response.text, response.generation_config.model) == ("Hello.", "tiny")
        assert (await texts(t), await finish_reasons(t)) == (["Hi", "Hello."], [reason])
    assert calls(path) == [("completed", reason)]


ODD_OVER_HTTP = [
    (Reply("Hello.", model=" "), "stop"),
    (Reply("Hello.", usage=BEYOND), "stop"),
    (Reply("Hello.", finish_reason=SENTENCE), "other"),
    (Reply("Hello.", finish_reason="stop\ud800"), "other"),
]


@pytest.mark.parametrize(("reply", "reason"), ODD_OVER_HTTP, ids=["blank model", "huge usage", "sentence", "torn reason"])
async def test_an_answer_of_an_odd_server_is_recorded_all_the_same(path: str, reply: Reply, reason: str | None) -> None:
    async with serve([reply]) as server, AsyncTract.open(path, base_url=server.base_url, model="tiny") as t:
        response = await t.chat("Hi")
        assert (response.text, response.generation_config.model) == ("Hello.", "tiny")
        assert (await texts(t), await finish_reasons(t)) == (["Hi", "Hello."], [reason])
    assert calls(path) == [("completed", reason)]


class MuteOnAnswers:
    """A counter that cannot count what an assistant says."""

    name = "mute"

    def count(self, text: str) -> int:
        return ApproximateCounter().count(text)

    def count_message(self, message: Message) -> int:
        if message.role == "assistant":
            raise ZeroDivisionError
        return ApproximateCounter().count_message(message)


async def test_a_counter_that_fails_on_the_answer_fails_the_call(path: str) -> None:
    async with opened(["Hello."], path, tokens=MuteOnAnswers()) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(ZeroDivisionError):
            await t.chat("Hi")
        assert await state(t) == before
    assert calls(path) == [("failed", "ZeroDivisionError")]


async def test_a_call_whose_answer_could_not_be_counted_has_ended_when_the_error_comes() -> None:
    async with opened(["Hello."], tokens=MuteOnAnswers()) as t:
        with pytest.raises(ZeroDivisionError):
            await t.chat("Hi")
        assert await finish_reasons(t) == ["ZeroDivisionError"]


async def test_a_counter_that_failed_leaves_the_branch_free(path: str) -> None:
    async with opened(["Hello."], path, tokens=MuteOnAnswers()) as t:
        with pytest.raises(ZeroDivisionError):
            await t.chat("Hi")
        await t.user("free")
        assert await texts(t) == ["free"]


async def test_a_counter_that_fails_on_a_partial_answer_leaves_no_call_open(path: str) -> None:
    async with opened([["One ", "two."]], path, tokens=MuteOnAnswers()) as t:
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count") as stream:
                async for _ in stream:
                    break
        assert await t.head() is None
    assert [status for status, _ in calls(path)] == ["failed"]


@pytest.mark.parametrize("reply", [RuntimeError(), Cut(["Half "], RuntimeError())], ids=["at once", "half way"])
async def test_a_client_that_raises_an_error_of_its_own_fails_the_call(path: str, reply: Any) -> None:
    async with opened([reply], path) as t:
        before = await state(t)
        with pytest.raises(RuntimeError):
            await t.chat("Hi")
        assert await state(t) == before
    assert calls(path) == [("failed", "RuntimeError")]


class Unreachable(ScriptedLLM):
    """A client that fails before there is a stream."""

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[Any]:
        raise RuntimeError


async def test_a_client_that_raises_before_it_streams_leaves_no_call_open(path: str) -> None:
    async with AsyncTract.open(path, llm=Unreachable([]), model="tiny") as t:
        with pytest.raises(RuntimeError):
            await t.chat("Hi")
        assert await t.head() is None
    ((status, reason),) = calls(path)
    assert (status != "running", reason) == (True, "RuntimeError")


async def chat_edited_meanwhile(t: AsyncTract) -> None:
    """Have a turn during which the slot before it becomes much longer."""
    slot = (await t.log(100))[-1]
    async with t.stream("Hi") as stream:
        async for _ in stream:
            if len(await t.log(100, operation="edit")) == 0:
                await t.edit(slot.id, "Be so very brief that nobody at all understands a word.")


async def test_usage_of_a_turn_whose_context_was_edited_is_not_that_of_the_branch(path: str) -> None:
    async with opened(["Hello there."], path) as t:
        await t.system("Be kind.")
        await chat_edited_meanwhile(t)
        status, context = await t.status(), await t.compile()
        assert status.token_source.startswith("counted:")
        assert (status.token_count, status.token_source) == (context.token_count, context.token_source)


async def test_usage_of_a_turn_whose_context_was_edited_is_kept(path: str) -> None:
    reported = TokenUsage(prompt=1000, completion=2)
    async with opened([ModelReply("Hello there.", usage=reported)], path) as t:
        await t.system("Be kind.")
        await chat_edited_meanwhile(t)
    assert usage(path, "prompt") == [1000]


async def test_after_an_edit_during_a_turn_the_report_before_it_still_counts(path: str) -> None:
    replies = [ModelReply("First.", usage=TokenUsage(prompt=500, completion=5)), ModelReply("Second.", usage=TokenUsage(9000, 1))]
    async with opened(replies, path) as t:
        await t.system("Be kind.")
        await t.chat("one")
        await chat_edited_meanwhile(t)
        status, context = await t.status(), await t.compile()
        assert (status.token_count, status.token_source) == (context.token_count, "reported:tiny")
        assert 505 < status.token_count < 600


async def closing_cost(reply: str, *, reports_usage: bool) -> int:
    """Return what compile counts beyond status where a tool call has no result."""
    async with AsyncTract.open(llm=ScriptedLLM([reply], reports_usage=reports_usage), model="tiny") as t:
        await t.chat("Hi")
        await t.commit(DialogueContent("assistant", None, tool_calls=(ToolCall("a", "look", "{}"),)))
        await t.user("more")
        return (await t.compile()).token_count - (await t.status()).token_count


async def test_stand_ins_for_missing_results_are_counted_also_after_a_report() -> None:
    counted = await closing_cost("Hello.", reports_usage=False)
    assert (counted > 0, await closing_cost("Hello.", reports_usage=True)) == (True, counted)


async def test_a_stand_in_that_the_provider_was_sent_is_counted_by_its_report_alone() -> None:
    calls = tuple(ToolCall(f"{number}", "look", "{}") for number in range(3))
    replies = [
        ModelReply(None, tool_calls=calls, usage=TokenUsage(100, 10)),
        ModelReply("Fine.", usage=TokenUsage(160, 5)),
        ModelReply(None, tool_calls=calls, usage=TokenUsage(200, 20)),
    ]
    async with opened(replies) as t:
        await t.chat("Look around")
        one = ((await t.compile()).token_count - 110) // 3
        assert one > 0
        await t.chat("Go on")
        assert (await t.compile()).token_count == (await t.status()).token_count == 165
        await t.chat("Look again")
        assert (await t.compile()).token_count == 220 + 3 * one


async def test_requests_that_a_client_tells_of_with_its_reply_alone_are_counted() -> None:
    reply = ModelReply("Hello.", usage=TokenUsage(50, 1))
    async with AsyncTract.open(llm=Careless(attempts=(), reply=reply), model="tiny") as t:
        await t.chat("Hi")
        total = (await t.usage()).total
        assert (total.calls, total.tokens.prompt, total.tokens.completion) == (1, 50, 1)
        assert (await t.status()).token_count == 51


async def test_usage_without_a_commit_is_refused(t: AsyncTract) -> None:
    before = await state(t)
    with pytest.raises(ContentValidationError) as caught:
        await t.record_usage(TokenUsage(prompt=1, completion=1))
    assert (caught.value.field, await state(t)) == ("usage", before)


async def test_reports_on_one_call_are_numbered_upwards(path: str) -> None:
    async with opened(["Hello."], path) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                pass
        for prompt in (10, 20):
            await t.record_usage(TokenUsage(prompt=prompt, completion=1), generation=stream.generation)
    assert usage(path, "attempt") == [1, 2, 3]


@pytest.mark.parametrize("timeout", ["5", 0, -1, True, float("nan")])
async def test_a_time_out_that_is_none_is_refused_before_anything_is_recorded(path: str, timeout: Any) -> None:
    async with opened(["Hello."], path) as t:
        before = await state(t)
        with pytest.raises(ContentValidationError) as caught:
            await t.chat("x", timeout=timeout)
        assert (caught.value.field, await state(t)) == ("timeout", before)
    assert calls(path) == []


async def test_chat_without_a_question_is_refused_before_anything_is_recorded(path: str) -> None:
    async with opened(["Hello."], path) as t:
        before = await state(t)
        with pytest.raises(ContentValidationError, match="generate"):
            await t.chat(None)
        assert await state(t) == before
    assert calls(path) == []


class Careless:
    """A client of somebody's own that keeps to the protocol as far as it is told to."""

    def __init__(self, **stream: Any) -> None:
        self._stream = stream

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        yield type("Stream", (), {"__aiter__": lambda _: self._words(), **self._stream})()

    async def _words(self) -> AsyncIterator[str]:
        yield "Hello."

    async def complete(self, request: ModelRequest) -> ModelReply:
        return ModelReply("Hello.")

    async def aclose(self) -> None:
        """Has nothing to close."""


@pytest.mark.parametrize(
    "stream",
    [{"reply": ModelReply("Hello.")}, {"attempts": None, "reply": ModelReply("Hello.")}, {"attempts": (Attempt(1),)}, {}],
    ids=["no attempts", "attempts that are none", "no reply", "neither"],
)
async def test_a_client_that_does_not_keep_to_the_protocol_fails_the_call_and_leaves_none_open(
    path: str, stream: dict[str, Any]
) -> None:
    async with AsyncTract.open(path, llm=Careless(**stream), model="tiny") as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises((AttributeError, TypeError)):
            await t.chat("Hi")
        assert await state(t) == before
        assert [each.status for each in await t.generations()] == ["failed"]
        assert (await t.usage()).total.calls == 1
