"""Story: a model thinks before it answers; what it thought is kept, and sent back only to who asks for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from tests.acceptance.reading import from_elsewhere, texts
from tests.acceptance.scripting import opened
from tract import AsyncTract, LLMConfig, ModelReply, Priority, ReasoningContent, TokenUsage, ToolCall
from tract.errors import HeadMovedError, ModelConnectionError, ModelResponseError
from tract.testing import Cut
from tract.testing.server import Behaviour, Chunks, Reply, Server, serve

THOUGHT = "Two and two make four."
USAGE = TokenUsage(prompt=50, completion=30, reasoning=25)
FOUR = ModelReply("Four.", reasoning=THOUGHT, usage=USAGE)


@asynccontextmanager
async def talking(*behaviours: Behaviour) -> AsyncIterator[tuple[AsyncTract, Server]]:
    async with serve(behaviours) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        yield t, server


async def kinds(t: AsyncTract, at: str | None = None) -> list[str | None]:
    """Return what the history consists of, oldest first."""
    return [info.content_type for info in reversed(await t.log(100, at=at))]


async def test_reasoning_is_committed_between_question_and_answer_and_skipped() -> None:
    async with talking(Reply("Four.", reasoning=THOUGHT)) as (t, _):
        response = await t.chat("What is two and two?", temperature=0.5)
        question, thought, answer = reversed(await t.log())
        assert (await t.show(thought.id)).content == ReasoningContent(THOUGHT)
        assert (thought.priority, thought.parents, answer.parents) == (Priority.SKIP, (question.id,), (thought.id,))
        assert (response.reasoning, response.text, response.commit_info) == (THOUGHT, "Four.", answer)
        assert thought.generation_config == LLMConfig(model="tiny", temperature=0.5)
        assert await texts(t) == ["What is two and two?", "Four."]


async def test_generate_and_stream_commit_it_too_and_hand_on_none_of_it() -> None:
    async with talking(*[Reply("Four.", reasoning=THOUGHT)] * 2) as (t, _):
        await t.user("What is two and two?")
        first = await t.generate()
        async with t.stream("Again?") as stream:
            deltas = [delta async for delta in stream]
        assert (first.reasoning, deltas, stream.response.reasoning) == (THOUGHT, ["Four."], THOUGHT)
        assert await kinds(t) == ["dialogue", "reasoning", "dialogue", "dialogue", "reasoning", "dialogue"]


async def test_what_a_model_thought_is_not_sent_back_to_it() -> None:
    async with talking(Reply("Four.", reasoning=THOUGHT), Reply("Six.")) as (t, server):
        await t.chat("What is two and two?")
        await t.chat("And three and three?")
        assert [message["content"] for message in server.requests[1].body["messages"]] == [
            "What is two and two?",
            "Four.",
            "And three and three?",
        ]


@pytest.mark.parametrize("reasoning", [None, "", " \n"])
async def test_without_reasoning_nothing_is_committed_for_it(reasoning: str | None) -> None:
    async with opened([ModelReply("Four.", reasoning=reasoning)]) as t:
        response = await t.chat("What is two and two?")
        assert (response.reasoning, await kinds(t)) == (None, ["dialogue", "dialogue"])


async def test_reasoning_with_half_a_letter_costs_no_answer() -> None:
    async with opened([ModelReply("Four.", reasoning="Two \ud83d", usage=USAGE)]) as t:
        assert (await t.chat("What is two and two?")).reasoning == "Two ?"


async def test_tokens_after_a_reply_are_the_prompt_and_the_answer_without_reasoning_also_after_reopening(path: str) -> None:
    async with opened([FOUR], path) as t:
        await t.chat("What is two and two?")
        status, context = await t.status(), await t.compile()
        assert (status.token_count, status.token_source) == (50 + 30 - 25, "reported:tiny")
        assert (context.token_count, context.token_source) == (55, "reported:tiny")
    async with AsyncTract.open(path) as t:
        again = await t.status()
        assert (again.token_count, again.token_source, again.slots) == (55, "reported:tiny", 2)


async def test_reasoning_that_the_provider_does_not_tell_apart_is_left_out_as_it_was_counted(path: str) -> None:
    async with opened([ModelReply("Four.", reasoning=THOUGHT, usage=TokenUsage(50, 30))], path) as t:
        await t.chat("What is two and two?")
        thought = await t.show("HEAD~1")
        assert (await t.status()).token_count == 50 + 30 - (thought.info.tokens or 0)
        assert (await t.usage()).total.tokens == TokenUsage(50, 30)
    async with AsyncTract.open(path) as t:
        assert (await t.status()).token_count == 50 + 30 - (thought.info.tokens or 0)


async def test_reasoning_that_is_longer_than_the_completion_takes_nothing_from_the_prompt() -> None:
    async with opened([ModelReply("Four.", reasoning=THOUGHT * 9, usage=TokenUsage(50, 3))]) as t:
        await t.chat("What is two and two?")
        assert (await t.status()).token_count == 50


async def test_reasoning_that_is_reported_beside_the_completion_takes_nothing_from_it() -> None:
    usage = TokenUsage(prompt=50, completion=5, reasoning=200)
    async with opened([ModelReply("Four.", reasoning=THOUGHT, usage=usage)]) as t:
        await t.chat("What is two and two?")
        assert (await t.status()).token_count == 55


async def test_an_answer_that_no_report_measures_is_counted() -> None:
    async with opened([ModelReply("Four.", reasoning=THOUGHT, usage=TokenUsage(prompt=50))]) as t:
        response = await t.chat("What is two and two?")
        assert (await t.status()).token_count == 50 + (response.commit_info.tokens or 0)


async def test_a_report_of_a_prompt_alone_on_the_first_commit_is_what_stands_there() -> None:
    async with opened([]) as t:
        await t.user("Hi")
        await t.record_usage(TokenUsage(prompt=50))
        assert (await t.status()).token_count == 50


async def test_what_comes_after_is_counted_on_top_of_the_report() -> None:
    async with opened([FOUR]) as t:
        await t.chat("What is two and two?")
        more = await t.user("more")
        assert (await t.status()).token_count == 55 + (more.tokens or 0)
        (thought,) = [info for info in await t.log() if info.content_type == "reasoning"]
        await t.annotate(thought.id, "normal")
        assert (await t.status()).token_count == 55 + (more.tokens or 0) + (thought.tokens or 0)


async def test_a_call_that_comes_again_gives_the_reasoning_too(path: str) -> None:
    operation = str(uuid4())
    async with opened([FOUR], path) as t:
        first = await t.chat("What is two and two?", operation_id=operation)
        assert await t.chat("What is two and two?", operation_id=operation) == first
    async with opened([], path) as t:
        again = await t.chat("What is two and two?", operation_id=operation)
        assert (again.reasoning, again.commit_info.id) == (THOUGHT, first.commit_info.id)


async def test_a_branch_that_was_edited_meanwhile_gets_question_reasoning_and_answer_on_top() -> None:
    async with opened([FOUR, ModelReply("Six.", usage=TokenUsage(60, 2))]) as t:
        system = await t.system("Be kind.")
        async with t.stream("What is two and two?") as stream:
            async for _ in stream:
                if not await t.log(operation="edit"):
                    await t.edit(system.id, "Be brief.")
        assert await kinds(t) == ["instruction", "instruction", "dialogue", "reasoning", "dialogue"]
        assert stream.response.reasoning == THOUGHT
        assert (await t.status()).token_source.startswith("counted:")
        await t.chat("And three and three?")
        assert await texts(t) == ["Be brief.", "What is two and two?", "Four.", "And three and three?", "Six."]


async def test_an_answer_that_is_kept_off_the_branch_has_its_reasoning_with_it(path: str) -> None:
    async with opened([["Fo", "ur."]], path) as t, opened([FOUR], path) as other:
        await t.user("before")
        async with other.stream("What is two and two?") as stream:
            with pytest.raises(HeadMovedError) as caught:
                async for _ in stream:
                    await from_elsewhere(path, lambda elsewhere: elsewhere.user("meanwhile"))
        assert caught.value.answer is not None
        await t.branch("taken", at=caught.value.answer)
        assert await kinds(t) == ["dialogue", "dialogue", "reasoning", "dialogue"]
        assert await texts(t) == ["before", "What is two and two?", "Four."]


async def test_reasoning_before_a_tool_call_stands_before_the_call() -> None:
    call = ToolCall("a", "add", '{"numbers": [2, 2]}')
    async with talking(Reply(None, tool_calls=(call,), reasoning=THOUGHT), Reply("Four.")) as (t, server):
        await t.chat("What is two and two?")
        await t.tool_result("a", "4")
        await t.generate()
        assert await kinds(t) == ["dialogue", "reasoning", "dialogue", "tool_io", "dialogue"]
        assert [message["role"] for message in server.requests[1].body["messages"]] == ["user", "assistant", "tool"]


CUT_IN_THOUGHT = Chunks([{"choices": [{"delta": {"reasoning": "Two "}}]}], done=False)


async def test_a_call_that_is_cut_while_the_model_thinks_keeps_the_question_alone() -> None:
    async with talking(*[CUT_IN_THOUGHT] * 3) as (t, server):
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("What is two and two?", keep_partial=True)
        assert (caught.value.partial, await t.head(), len(server.requests)) == (None, None, 3)
        assert await kinds(t, caught.value.question) == ["dialogue"]


async def test_a_model_that_only_thinks_has_not_answered_and_the_error_says_why() -> None:
    async with talking(Reply(None, reasoning=THOUGHT, finish_reason="length"), Reply("Four.")) as (t, _):
        with pytest.raises(ModelResponseError, match="before max_tokens was spent") as caught:
            await t.chat("What is two and two?")
        assert (caught.value.partial, await t.head()) == (None, None)
        await t.chat("What is two and two?")
        assert await texts(t) == ["What is two and two?", "Four."]


async def test_a_turn_that_is_left_in_the_midst_has_no_reasoning() -> None:
    async with opened([Cut(["Fo", "ur."], ModelConnectionError())]) as t:
        async with t.stream("What is two and two?") as stream:
            async for _ in stream:
                break
        assert (stream.response.reasoning, await kinds(t)) == (None, ["dialogue", "dialogue"])


async def test_reasoning_that_was_annotated_compiles_where_it_stands() -> None:
    async with opened([FOUR]) as t:
        await t.chat("What is two and two?")
        await t.annotate("HEAD~1", "normal")
        assert await texts(t) == ["What is two and two?", THOUGHT, "Four."]


async def test_reasoning_of_turns_at_once_goes_to_its_own_branch() -> None:
    async with opened(lambda request: ModelReply("Yes.", reasoning=f"About {request.messages[-1]['content']}")) as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other:
            await asyncio.gather(*(each.chat(f"{name}?") for name, each in (("one", t), ("two", other))))
            assert [(await each.show("HEAD~1")).content for each in (t, other)] == [
                ReasoningContent("About one?"),
                ReasoningContent("About two?"),
            ]
