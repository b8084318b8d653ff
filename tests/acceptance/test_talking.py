"""Story: a model is asked; question and answer are recorded together, or the branch stays where it was."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from tests.acceptance.reading import previews, state, texts
from tests.acceptance.scripting import Talk, opened
from tract import (
    AsyncTract,
    Attempt,
    CommitOperation,
    DialogueContent,
    InstructionContent,
    LLMConfig,
    ModelReply,
    ModelRequest,
    TokenUsage,
    ToolCall,
)
from tract.errors import (
    BranchNotFoundError,
    ClosedError,
    ConfigError,
    ContentValidationError,
    ModelConnectionError,
    ModelError,
    ModelNotConfiguredError,
    ModelResponseError,
    RefusedError,
    TurnInProgressError,
    TurnStateError,
)
from tract.testing import Cut, ScriptedLLM

CALL = ToolCall("call-1", "look_up", '{"at":  1.0}')


async def test_chat_records_question_and_answer(path: str) -> None:
    async with opened(["Hello there."], path) as t:
        response = await t.chat("Hi")
    async with AsyncTract.open(path) as t:
        answer, question = await t.log()
        assert (await t.show(question.id)).content == DialogueContent("user", "Hi")
        assert (await t.show(answer.id)).content == DialogueContent("assistant", "Hello there.")
        assert (answer, await t.head()) == (response.commit_info, response.commit_info.id)


async def test_a_response_says_everything_about_the_answer() -> None:
    usage = TokenUsage(prompt=9, completion=4, cached=2, reasoning=1)
    reply = ModelReply("Hello.", model="tiny-2026", finish_reason="length", usage=usage, attempts=(Attempt(1),))
    sent = LLMConfig(model="tiny", temperature=0.5, max_tokens=7)
    async with opened([reply], model=None, llm_config=sent) as t:
        response = await t.chat("Hi")
        assert (
            response.text,
            str(response),
            response.usage,
            response.generation_config,
            response.tool_calls,
            response.finish_reason,
            response.parsed,
        ) == ("Hello.", "Hello.", usage, LLMConfig(model="tiny-2026", temperature=0.5, max_tokens=7), (), "length", None)
        assert response.commit_info.generation_config == response.generation_config


async def test_the_model_gets_the_context_and_the_question() -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm, llm_config=LLMConfig(model="tiny", seed=1)) as t:
        await t.system("Be kind.")
        hidden = await t.user("hidden")
        await t.skip(hidden.id)
        await t.chat("Hi", llm_config=LLMConfig(seed=2), timeout=3.0)
    (request,) = llm.requests
    assert request == ModelRequest(
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        LLMConfig(model="tiny", seed=2),
        timeout=3.0,
    )


async def test_the_config_of_one_call_does_not_stay() -> None:
    llm = ScriptedLLM(["a", "b"])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.chat("1", llm_config=LLMConfig(model="large"))
        await t.chat("2")
    assert [request.config for request in llm.requests] == [LLMConfig(model="large"), LLMConfig(model="tiny")]


async def test_a_question_can_be_any_content_with_message_and_metadata() -> None:
    async with opened(["Yes."]) as t:
        await t.chat(InstructionContent("Say yes."), message="why", metadata={"n": 1})
        question = (await t.log())[1]
        assert ((await t.show(question.id)).content, question.message, question.metadata) == (
            InstructionContent("Say yes."),
            "why",
            {"n": 1},
        )


async def test_without_a_question_message_and_metadata_are_with_the_answer() -> None:
    async with opened([ModelReply("Yes.", reasoning="Hm."), "No."]) as t:
        await t.user("Is it?")
        response = await t.generate(message="why", metadata={"n": 1})
        async with t.stream(message="again", metadata={"n": 2}) as turn:
            async for _ in turn:
                pass
        assert [(each.message, each.metadata) for each in (response.commit_info, turn.response.commit_info)] == [
            ("why", {"n": 1}),
            ("again", {"n": 2}),
        ]
        log = await t.log()
        assert [(each.content_type, each.metadata) for each in log] == [
            ("dialogue", {"n": 2}),
            ("dialogue", {"n": 1}),
            ("reasoning", None),
            ("dialogue", None),
        ]


async def test_metadata_that_is_no_json_is_refused_before_a_model_is_asked() -> None:
    llm = ScriptedLLM([])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.user("Is it?")
        with pytest.raises(ContentValidationError) as caught:
            await t.generate(metadata={"n": object()})
        assert (caught.value.field, llm.requests, list(await t.generations())) == ("metadata", [], [])


async def test_generate_answers_what_stands_there() -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        question = await t.user("Hi")
        response = await t.generate()
        assert (response.text, response.commit_info.parents) == ("Hello.", (question.id,))
    assert [list(request.messages) for request in llm.requests] == [[{"role": "user", "content": "Hi"}]]


async def test_a_stream_hands_on_each_delta_and_then_has_the_response() -> None:
    async with opened([["One ", "two ", "three."]]) as t:
        async with t.stream("Count") as stream:
            deltas = [delta async for delta in stream]
        assert (deltas, stream.response.text, stream.text) == (["One ", "two ", "three."], "One two three.", "One two three.")
        assert await texts(t) == ["Count", "One two three."]


async def test_a_stream_without_a_text_answers_what_stands_there() -> None:
    async with opened(["Hello."]) as t:
        await t.user("Hi")
        async with t.stream() as stream:
            assert [delta async for delta in stream] == ["Hello."]
        assert await texts(t) == ["Hi", "Hello."]


async def test_the_response_is_not_there_before_the_end() -> None:
    async with opened(["Hello there."]) as t, t.stream("Hi") as stream:
        with pytest.raises(TurnStateError):
            _ = stream.response
        async for _ in stream:
            pass


async def test_the_question_is_not_on_the_branch_while_the_model_is_asked() -> None:
    async with opened(["Hello there."]) as t:
        first = await t.system("Be kind.")
        async with t.stream("Hi") as stream:
            async for _ in stream:
                assert await t.head() == first.id


async def test_tool_calls_are_recorded_as_the_model_made_them() -> None:
    async with opened([ModelReply(None, tool_calls=(CALL,)), "Seat 12A."]) as t:
        response = await t.chat("Which seat?")
        assert (response.text, response.tool_calls, response.finish_reason) == ("", (CALL,), "tool_calls")
        assert (await t.show("HEAD")).content == DialogueContent("assistant", None, tool_calls=(CALL,))
        await t.tool_result("call-1", "12A")
        assert (await t.generate()).text == "Seat 12A."


async def test_reported_usage_counts_from_then_on_with_what_comes_on_top() -> None:
    reply = ModelReply("Hello.", model="tiny-2026", usage=TokenUsage(prompt=100, completion=10))
    async with opened([reply]) as t:
        await t.chat("Hi")
        at_answer = await t.status()
        more = await t.user("And more")
        after = await t.status()
        context = await t.compile()
        assert (at_answer.token_count, at_answer.token_source) == (110, "reported:tiny-2026")
        assert (after.token_count, after.token_source) == (110 + (more.tokens or 0), "reported:tiny-2026")
        assert (context.token_count, context.token_source) == (after.token_count, after.token_source)


async def test_reasoning_tokens_do_not_come_back_into_the_context() -> None:
    reply = ModelReply("Hello.", usage=TokenUsage(prompt=100, completion=50, reasoning=40))
    async with opened([reply]) as t:
        await t.chat("Hi")
        assert (await t.status()).token_count == 110


async def test_without_reported_usage_tokens_are_counted() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(["Hello."], reports_usage=False), model="tiny") as t:
        response = await t.chat("Hi")
        assert (response.usage, (await t.status()).token_source) == (None, "counted:o200k_base")


async def test_usage_of_a_call_made_elsewhere_can_be_recorded(t: AsyncTract) -> None:
    await t.user("Hi")
    await t.assistant("Hello.", generation_config=LLMConfig(model="elsewhere"))
    await t.record_usage({"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42})
    status = await t.status()
    assert (status.token_count, status.token_source) == (42, "reported:elsewhere")


@pytest.mark.parametrize("usage", [{"prompt": -1}, {"prompt": "1"}, {"prompt": True}, {"dollars": 1}, {"prompt": 2**70}, 5, "x"])
async def test_usage_that_makes_no_sense_is_refused(t: AsyncTract, usage: Any) -> None:
    await t.user("Hi")
    before = await state(t)
    with pytest.raises(ContentValidationError):
        await t.record_usage(usage)
    assert await state(t) == before


@pytest.mark.parametrize("generation", ["", "x", "x" * 36, "00000000-0000-7000-8000-000000000000", 5])
async def test_usage_of_a_generation_that_never_was_is_refused(t: AsyncTract, generation: Any) -> None:
    with pytest.raises(ContentValidationError) as caught:
        await t.record_usage({"prompt": 1}, generation=generation)
    assert caught.value.field == "generation"


async def read_stream(t: AsyncTract) -> None:
    async with t.stream("Hi") as stream:
        async for _ in stream:
            pass


TALK: list[Talk] = [lambda t: t.chat("Hi"), lambda t: t.generate(), read_stream]
every_way = pytest.mark.parametrize("talk", TALK, ids=["chat", "generate", "stream"])


@every_way
async def test_without_a_client_nothing_is_recorded(t: AsyncTract, talk: Talk) -> None:
    await t.user("before")
    before = await state(t)
    with pytest.raises(ModelNotConfiguredError):
        await talk(t)
    assert await state(t) == before


@every_way
async def test_without_a_model_nothing_is_recorded_or_sent(talk: Talk) -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(ModelNotConfiguredError):
            await talk(t)
        assert (await state(t), llm.requests) == (before, [])


async def test_configure_llm_is_enough_to_talk(t: AsyncTract) -> None:
    await t.configure_llm(ScriptedLLM(["Hello."]), config=LLMConfig(model="tiny"))
    assert ((await t.chat("Hi")).text, t.config) == ("Hello.", LLMConfig(model="tiny"))


async def test_a_client_that_is_none_is_refused(t: AsyncTract) -> None:
    with pytest.raises(ConfigError):
        await t.configure_llm("client")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.chat("Hi", llm_config={"model": "x"}),
        lambda t: t.generate(llm_config={"model": "x"}),
        lambda t: t.configure_llm(ScriptedLLM(["Hello."]), config={"model": "x"}),
    ],
    ids=["chat", "generate", "configure_llm"],
)
async def test_a_config_that_is_none_is_refused(call: Talk) -> None:
    async with opened(["Hello."]) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(RefusedError):
            await call(t)
        assert await state(t) == before


async def test_a_stream_is_entered_once() -> None:
    async with opened(["Hello.", "Again."]) as t:
        stream = t.stream("Hi")
        async with stream:
            async for _ in stream:
                pass
        with pytest.raises(TurnStateError):
            async with stream:
                pass
        assert (await texts(t), stream.response.text) == (["Hi", "Hello."], "Hello.")


async def test_iterating_a_stream_that_was_not_entered_says_so() -> None:
    async with opened(["Hello."]) as t:
        with pytest.raises(TurnStateError):
            async for _ in t.stream("Hi"):
                pass
        assert await t.head() is None


async def test_streams_of_two_branches_may_end_in_any_order() -> None:
    async with opened(lambda _: ["One ", "two."]) as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, AsyncExitStack() as stack:
            ours = await stack.enter_async_context(t.stream("ours"))
            async with other.stream("theirs") as theirs:
                async for _ in ours:
                    pass
                with pytest.raises(TurnInProgressError):
                    await other.user("x")
                async for _ in theirs:
                    pass
            await t.user("after")
        assert (await texts(t), await texts(t, "other")) == (["ours", "One two.", "after"], ["theirs", "One two."])


async def test_a_generator_that_holds_a_stream_and_is_closed_frees_the_branch() -> None:
    async def words(t: AsyncTract) -> AsyncGenerator[str, None]:
        async with t.stream("Hi") as stream:
            async for delta in stream:
                yield delta

    async with opened([["One ", "two."]]) as t:
        async with aclosing(words(t)) as said:
            assert await anext(said) == "One "
        await t.user("free")
        assert await texts(t) == ["free"]


async def test_a_client_of_the_callers_is_not_closed_with_the_tract() -> None:
    llm = ScriptedLLM(["a", "b"])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.chat("1")
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        assert (await t.chat("2")).text == "b"


@pytest.mark.parametrize("question", ["", "  ", 5, {"content_type": "dialogue"}, "\ud800"])
async def test_a_malformed_question_records_nothing(question: Any) -> None:
    async with opened(["Hello."]) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(ContentValidationError):
            await t.chat(question)
        assert await state(t) == before


async def test_generate_on_a_branch_without_commits_is_refused() -> None:
    async with opened(["Hello."]) as t:
        with pytest.raises(ContentValidationError):
            await t.generate()
        assert (await t.head(), (await t.chat("Hi")).text) == (None, "Hello.")


async def test_generate_where_nothing_compiles_is_refused_and_nothing_is_recorded() -> None:
    async with opened(["Hello."]) as t:
        await t.skip((await t.user("Hi")).id)
        with pytest.raises(ContentValidationError, match="there is nothing to answer"):
            await t.generate()
        assert (await t.generations(), (await t.chat("Ho")).text) == ((), "Hello.")


async def test_a_failed_call_leaves_the_branch_and_names_what_was_kept() -> None:
    async with opened([Cut(["Half ", "an answer"], ModelConnectionError("cut"))]) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("Hi")
        error = caught.value
        assert await state(t) == before
        assert error.question is not None
        assert error.partial is not None
        assert error.generation is not None
        assert (await t.show(error.question)).content == DialogueContent("user", "Hi")
        assert (await t.show(error.partial)).content == DialogueContent("assistant", "Half an answer")
        assert await texts(t, error.partial) == ["before", "Hi", "Half an answer"]


async def test_a_call_that_fails_before_the_first_word_has_no_partial_answer() -> None:
    async with opened([ModelConnectionError("refused")]) as t:
        with pytest.raises(ModelConnectionError) as caught:
            await t.chat("Hi")
        assert (caught.value.partial, caught.value.question is None, await t.head()) == (None, False, None)


async def test_a_retry_does_not_double_the_question() -> None:
    async with opened([ModelConnectionError("refused"), Cut(["Half"], ModelConnectionError("cut")), "Hello."]) as t:
        for _ in range(2):
            with pytest.raises(ModelConnectionError):
                await t.chat("Hi")
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_failed_generate_names_no_question() -> None:
    async with opened([ModelConnectionError("refused")]) as t:
        await t.user("Hi")
        with pytest.raises(ModelConnectionError) as caught:
            await t.generate()
        assert caught.value.question is None


@pytest.mark.parametrize(
    "reply",
    [
        ModelReply(None),
        ModelReply(""),
        ModelReply(" \n"),
        ModelReply(None, tool_calls=(ToolCall("a", "no good", "{}"),)),
        ModelReply("Let me look.", tool_calls=(ToolCall("", "look", "{}"),)),
        ModelReply("Let me look.", tool_calls=(CALL, ToolCall("a", "x" * 65, "{}"))),
    ],
    ids=["null", "empty", "blank", "name-with-space", "no-id", "long-name"],
)
async def test_an_answer_that_is_none_is_an_error_and_leaves_the_branch(reply: ModelReply) -> None:
    async with opened([reply]) as t:
        await t.user("before")
        before = await state(t)
        with pytest.raises(ModelResponseError) as caught:
            await t.chat("Hi")
        assert await state(t) == before
        assert caught.value.question is not None
        assert (await t.show(caught.value.question)).content == DialogueContent("user", "Hi")


async def test_an_exception_of_the_clients_own_goes_through_and_leaves_the_branch() -> None:
    async with opened([Cut(["Half"], ZeroDivisionError())]) as t:
        before = await state(t)
        with pytest.raises(ZeroDivisionError):
            await t.chat("Hi")
        assert await state(t) == before


async def test_a_client_that_was_closed_leaves_the_branch() -> None:
    llm = ScriptedLLM(["Hello."])
    await llm.aclose()
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        with pytest.raises(ClosedError):
            await t.chat("Hi")
        assert await t.head() is None


async def test_the_log_shows_a_conversation_in_order() -> None:
    async with opened(["a1", "a2"]) as t:
        await t.system("s")
        await t.chat("q1")
        await t.chat("q2")
        assert await previews(t) == ["instruction: s", "dialogue: q1", "dialogue: a1", "dialogue: q2", "dialogue: a2"]
        assert {info.operation for info in await t.log()} == {CommitOperation.APPEND}


async def test_a_model_error_can_be_caught_by_its_root() -> None:
    async with opened([ModelConnectionError("refused")]) as t:
        with pytest.raises(ModelError):
            await t.chat("Hi")


async def test_chat_on_a_branch_that_is_not_there_is_refused(t: AsyncTract) -> None:
    with pytest.raises(BranchNotFoundError):
        await t.worktree("nowhere")
