"""Story: a model refuses to answer; that is an error, and its words are kept where they harm nobody."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import uuid4

import pytest

from tests.acceptance.reading import state, texts
from tests.acceptance.scripting import opened
from tract import AsyncTract, DialogueContent, ModelReply, ReasoningContent, TokenUsage
from tract.errors import ModelConnectionError, ModelRefusalError, TurnStateError
from tract.testing.server import Behaviour, Chunks, Reply, Server, serve

WORDS = "I will not help with that."
Ask: TypeAlias = Callable[[AsyncTract], Awaitable[object]]


@asynccontextmanager
async def talking(*behaviours: Behaviour) -> AsyncIterator[tuple[AsyncTract, Server]]:
    async with serve(behaviours) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        yield t, server


async def by_chat(t: AsyncTract) -> None:
    await t.chat("How do I do harm?")


async def by_generate(t: AsyncTract) -> None:
    await t.generate()


async def by_stream(t: AsyncTract) -> None:
    async with t.stream("How do I do harm?") as stream:
        async for _ in stream:
            pass


each_verb = pytest.mark.parametrize("ask", [by_chat, by_generate, by_stream])


@each_verb
async def test_a_refusal_leaves_the_branch_and_keeps_its_words_off_it(ask: Ask) -> None:
    async with talking(Reply(None, refusal=WORDS)) as (t, server):
        await t.user("before")
        before = await state(t)
        with pytest.raises(ModelRefusalError) as caught:
            await ask(t)
        assert (await state(t), len(server.requests)) == (before, 1)
        assert caught.value.partial is not None
        assert (await t.show(caught.value.partial)).content == DialogueContent("assistant", WORDS)
        (info,) = await t.generations()
        assert (info.status, info.text, info.finish_reason) == ("failed", WORDS, "ModelRefusalError")
        assert (info.answer, info.question) == (caught.value.partial, caught.value.question)


@pytest.mark.parametrize("text", [None, ""])
@each_verb
async def test_an_answer_that_a_filter_withheld_is_a_refusal_without_words(ask: Ask, text: str | None) -> None:
    async with talking(Reply(text, finish_reason="content_filter")) as (t, _):
        await t.user("before")
        before = await state(t)
        with pytest.raises(ModelRefusalError, match="filter") as caught:
            await ask(t)
        assert (await state(t), caught.value.partial) == (before, None)
        assert "error.partial" not in str(caught.value)


async def test_an_answer_of_which_a_filter_withheld_the_end_stands_with_its_reason() -> None:
    async with talking(Reply("It begins", finish_reason="content_filter")) as (t, _):
        assert (await t.chat("Tell me.")).finish_reason == "content_filter"


@each_verb
async def test_who_asks_again_after_a_refusal_asks_once(ask: Ask) -> None:
    async with talking(Reply(None, refusal=WORDS), Reply("Please do not.")) as (t, _):
        await t.user("before")
        with pytest.raises(ModelRefusalError):
            await ask(t)
        await ask(t)
        said = ["before", "Please do not."] if ask is by_generate else ["before", "How do I do harm?", "Please do not."]
        assert await texts(t) == said


async def test_the_error_says_nothing_of_what_was_said() -> None:
    async with talking(Reply(None, refusal=WORDS)) as (t, _):
        with pytest.raises(ModelRefusalError) as caught:
            await by_chat(t)
        assert "help" not in f"{caught.value}{caught.value!r}"
        assert "harm" not in f"{caught.value}{caught.value!r}"


async def test_a_watcher_is_told_the_words_as_they_come_and_then_that_they_refuse() -> None:
    async with talking(Reply("Well. ", refusal=WORDS)) as (t, _):
        seen: list[str] = []
        with pytest.raises(ModelRefusalError) as caught:
            async with t.stream("How do I do harm?") as stream:
                async for delta in stream:
                    seen.append(delta)
        assert "".join(seen) == f"Well. {WORDS}"
        assert (await t.generations())[0].text == f"Well. {WORDS}"
        assert caught.value.partial is not None


class Curt:
    """A model whose refusals are not in its deltas."""

    def __init__(self, *replies: ModelReply) -> None:
        self._replies = list(replies)

    async def complete(self, request: object) -> ModelReply:
        return self._replies.pop(0)

    @asynccontextmanager
    async def stream(self, request: object) -> AsyncIterator["Curt"]:
        self.reply = self._replies.pop(0)
        yield self

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        raise StopAsyncIteration

    @property
    def attempts(self) -> tuple[()]:
        return ()

    async def aclose(self) -> None:
        """Has nothing to close."""


async def test_a_client_that_tells_of_a_refusal_at_its_end_only_loses_no_words() -> None:
    async with AsyncTract.open(llm=Curt(ModelReply(None, refusal=WORDS)), model="tiny") as t:
        with pytest.raises(ModelRefusalError) as caught:
            await by_chat(t)
        assert caught.value.partial is not None
        assert (await t.generations())[0].text == WORDS


async def test_keep_partial_puts_the_words_on_the_branch_and_the_error_comes_all_the_same() -> None:
    async with talking(Reply(None, refusal=WORDS)) as (t, _):
        with pytest.raises(ModelRefusalError):
            await t.chat("How do I do harm?", keep_partial=True)
        assert await texts(t) == ["How do I do harm?", WORDS]


async def test_keep_partial_puts_words_that_came_at_the_end_only_on_the_branch_too() -> None:
    async with AsyncTract.open(llm=Curt(ModelReply(None, refusal=WORDS)), model="tiny") as t:
        with pytest.raises(ModelRefusalError):
            await t.chat("How do I do harm?", keep_partial=True)
        assert await texts(t) == ["How do I do harm?", WORDS]


async def test_what_the_model_thought_before_it_refused_is_kept_with_the_words() -> None:
    async with talking(Reply(None, refusal=WORDS, reasoning="Harm is bad.")) as (t, _):
        with pytest.raises(ModelRefusalError) as caught:
            await by_chat(t)
        assert caught.value.partial is not None
        assert (await t.show(f"{caught.value.partial}~1")).content == ReasoningContent("Harm is bad.")


async def test_what_a_refusal_cost_is_counted() -> None:
    async with talking(Reply(None, refusal=WORDS, usage=TokenUsage(20, 7))) as (t, _):
        with pytest.raises(ModelRefusalError):
            await by_chat(t)
        total = (await t.usage()).total
        assert (total.calls, total.tokens.prompt, total.tokens.completion) == (1, 20, 7)


async def test_a_refusal_that_is_cut_is_a_cut_and_keeps_what_came() -> None:
    async with talking(Chunks([{"choices": [{"delta": {"refusal": "I will "}}]}], done=False)) as (t, _):
        with pytest.raises(ModelConnectionError) as caught:
            await by_chat(t)
        assert caught.value.partial is not None
        assert (await t.generations())[0].text == "I will "


@pytest.mark.parametrize("refusal", ["", " \n", None])
async def test_an_empty_refusal_beside_an_answer_is_none(refusal: str | None) -> None:
    async with opened([ModelReply("Hello.", refusal=refusal)]) as t:
        assert (await t.chat("Hi")).text == "Hello."


async def test_the_same_operation_again_says_that_it_ended_without_an_answer() -> None:
    operation = str(uuid4())
    async with talking(Reply(None, refusal=WORDS)) as (t, _):
        with pytest.raises(ModelRefusalError):
            await t.chat("How do I do harm?", operation_id=operation)
        with pytest.raises(TurnStateError, match="ended as failed"):
            await t.chat("How do I do harm?", operation_id=operation)
