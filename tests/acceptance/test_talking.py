"""Story: a model is asked; question and answer are recorded together, or the branch stays where it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, previews, state, texts
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
    HeadMovedError,
    ModelConnectionError,
    ModelError,
    ModelNotConfiguredError,
    ModelResponseError,
    TurnInProgressError,
)
from tract.testing import Cut, ScriptedLLM

CALL = ToolCall("call-1", "look_up", '{"at":  1.0}')


class Held:
    """A model that says some words, then waits until it is let go."""

    def __init__(self, before: tuple[str, ...] = ("Half ",), after: tuple[str, ...] = ("done.",)) -> None:
        self.has_begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self._before, self._after = before, after

    def __call__(self, request: ModelRequest) -> AsyncIterator[str]:
        return self._deltas()

    async def _deltas(self) -> AsyncIterator[str]:
        for delta in self._before:
            yield delta
        self.has_begun.set()
        await self.go_on.wait()
        for delta in self._after:
            yield delta


def opened(replies: Any, where: str = ":memory:", **options: Any) -> Any:
    return AsyncTract.open(where, llm=ScriptedLLM(replies), **{"model": "tiny", **options})


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
        with pytest.raises(ContentValidationError):
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


@pytest.mark.parametrize("usage", [{"prompt": -1}, {"prompt": "1"}, {"prompt": True}, {"dollars": 1}])
async def test_usage_that_makes_no_sense_is_refused(t: AsyncTract, usage: dict[str, Any]) -> None:
    await t.user("Hi")
    before = await state(t)
    with pytest.raises(ContentValidationError):
        await t.record_usage(usage)
    assert await state(t) == before


Talk = Callable[[AsyncTract], Awaitable[object]]


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


# Leaving early


async def test_break_keeps_question_and_partial_answer() -> None:
    async with opened([["One ", "two ", "three."]]) as t:
        async with t.stream("Count") as stream:
            async for _ in stream:
                break
        assert await texts(t) == ["Count", "One "]
        response = stream.response
        assert (response.text, response.finish_reason, response.usage, response.commit_info.id) == (
            "One ",
            "cancelled",
            None,
            await t.head(),
        )


async def test_return_keeps_question_and_partial_answer() -> None:
    async def first_word(t: AsyncTract) -> str:
        async with t.stream("Count") as stream:
            async for delta in stream:
                return delta
        return ""

    async with opened([["One ", "two ", "three."]]) as t:
        assert (await first_word(t), await texts(t)) == ("One ", ["Count", "One "])


async def test_break_keeps_nothing_if_asked_not_to() -> None:
    async with opened([["One ", "two."]]) as t:
        async with t.stream("Count", keep_partial=False) as stream:
            async for _ in stream:
                break
        assert await t.head() is None


async def test_leaving_before_anything_arrived_leaves_the_branch() -> None:
    async with opened([["One ", "two."]]) as t:
        await t.user("before")
        before = await state(t)
        async with t.stream("Count"):
            pass
        assert await state(t) == before


async def test_leaving_after_blank_text_alone_leaves_the_branch() -> None:
    async with opened([[" \n", "two."]]) as t:
        async with t.stream("Count") as stream:
            async for _ in stream:
                break
        assert await t.head() is None


async def test_an_exception_in_the_block_leaves_the_branch_and_comes_through() -> None:
    async with opened([["One ", "two."]]) as t:
        before = await state(t)
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count") as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert await state(t) == before


async def test_an_exception_in_the_block_keeps_the_partial_answer_if_asked_to() -> None:
    async with opened([["One ", "two."]]) as t:
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count", keep_partial=True) as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert await texts(t) == ["Count", "One "]


async def test_a_time_out_leaves_the_branch() -> None:
    held = Held()
    async with opened(held) as t:
        before = await state(t)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await t.chat("Hi")
        assert (held.has_begun.is_set(), await state(t)) == (True, before)


@pytest.mark.parametrize(("keep_partial", "kept"), [(None, []), (False, []), (True, ["Hi", "Half "])])
async def test_a_cancelled_task_keeps_what_it_was_told_to(keep_partial: bool | None, kept: list[str]) -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi", keep_partial=keep_partial))
        await held.has_begun.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert await texts(t) == kept


async def test_a_task_that_is_cancelled_twice_still_leaves_the_branch_free() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        turn.cancel()
        await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        await t.user("free")
        assert await texts(t) == ["free"]


async def test_a_turn_cancelled_at_its_very_start_leaves_the_branch_free() -> None:
    async with opened(lambda _: "Hello.") as t:
        for steps in range(12):
            turn = asyncio.create_task(t.chat("Hi"))
            for _ in range(steps):
                await asyncio.sleep(0)
            turn.cancel()
            await asyncio.wait([turn])
        await t.user("free")
        assert (await texts(t))[-1] == "free"


# Several at once


async def test_two_turns_on_one_branch_follow_one_another() -> None:
    running, most = 0, 0

    async def reply(request: ModelRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return f"Answer to {request.messages[-1]['content']}"

    async with opened(reply) as t:
        await asyncio.gather(*(t.chat(f"{number}") for number in range(10)))
        said = await texts(t)
        assert most == 1
        assert said == [text for number in range(10) for text in (f"{number}", f"Answer to {number}")]


async def test_turns_on_two_branches_run_at_once() -> None:
    both = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        await both.wait()
        return "Hello."

    async with opened(reply) as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, asyncio.timeout(5):
            await asyncio.gather(t.chat("one"), other.chat("two"))
        assert (await texts(t, "main"), await texts(t, "other")) == (
            ["Be kind.", "one", "Hello."],
            ["Be kind.", "two", "Hello."],
        )


async def test_an_append_of_another_task_waits_behind_the_turn() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("later"))
        await t.status()
        assert not append.done()
        held.go_on.set()
        await asyncio.gather(turn, append)
        assert await texts(t) == ["Hi", "Half done.", "later"]


async def test_an_append_of_another_handle_waits_behind_the_turn(path: str) -> None:
    held = Held()
    async with opened(held, path) as t, AsyncTract.open(path) as other:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(other.user("later"))
        await other.status()
        held.go_on.set()
        await asyncio.gather(turn, append)
        assert await texts(t) == ["Hi", "Half done.", "later"]


async def test_an_append_that_waited_goes_before_the_next_turn_of_the_same_task() -> None:
    held = Held()
    replies = iter([held(ModelRequest([], LLMConfig())), "Second."])

    async def two_turns(t: AsyncTract) -> None:
        await t.chat("one")
        await t.chat("two")

    async with opened(lambda _: next(replies)) as t:
        turns = asyncio.create_task(two_turns(t))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("between"))
        await t.status()
        held.go_on.set()
        await asyncio.gather(turns, append)
        assert await texts(t) == ["one", "Half done.", "between", "two", "Second."]


async def test_a_task_that_talks_and_one_that_writes_lose_nothing() -> None:
    async def talk(t: AsyncTract) -> None:
        for number in range(20):
            await t.chat(f"question {number}")

    async def write(t: AsyncTract) -> None:
        for number in range(20):
            await t.user(f"note {number}")

    async with opened(lambda _: "Answer.") as t:
        await asyncio.gather(talk(t), write(t))
        said = await texts(t)
        assert sorted(filter(None, said)) == sorted(
            [text for number in range(20) for text in (f"question {number}", f"note {number}", "Answer.")]
        )


async def test_an_append_to_another_branch_does_not_wait() -> None:
    held = Held()
    async with opened(held) as t:
        await t.branch("other", switch=False)
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        async with await t.worktree("other") as other:
            await other.user("at once")
        held.go_on.set()
        await turn
        assert (await texts(t), await texts(t, "other")) == (["Hi", "Half done."], ["at once"])


async def test_a_waiting_append_that_is_cancelled_writes_nothing() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        append = asyncio.create_task(t.user("later"))
        await t.status()
        append.cancel()
        held.go_on.set()
        await turn
        with pytest.raises(asyncio.CancelledError):
            await append
        assert await texts(t) == ["Hi", "Half done."]


async def test_an_edit_during_a_turn_puts_the_answer_on_top() -> None:
    held = Held()
    async with opened(held) as t:
        slot = await t.system("Be kind.")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        async with await t.worktree("main", name="second") as other:
            edited = await other.edit(slot.id, "Be brief.")
            pinned = await other.pin(slot.id)
        held.go_on.set()
        response = await turn
        answer, question, *rest = await t.log()
        assert (answer, answer.parents, question.parents) == (response.commit_info, (question.id,), (pinned.id,))
        assert [info.id for info in rest] == [pinned.id, edited.id, slot.id]
        assert await texts(t) == ["Be brief.", "Hi", "Half done."]


async def test_an_annotation_during_generate_puts_the_answer_on_top() -> None:
    held = Held()
    async with opened(held) as t:
        slot = await t.user("Hi")
        turn = asyncio.create_task(t.generate())
        await held.has_begun.wait()
        pinned = await t.pin(slot.id)
        held.go_on.set()
        assert ((await turn).commit_info.parents, await texts(t)) == ((pinned.id,), ["Hi", "Half done."])


async def test_what_is_on_top_after_an_edit_has_the_totals_of_its_context() -> None:
    held = Held()
    async with AsyncTract.open(llm=ScriptedLLM(held, reports_usage=False), model="tiny") as t:
        slot = await t.system("Be kind.")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await t.edit(slot.id, "Be so very brief that nobody understands a word.")
        held.go_on.set()
        await turn
        assert (await t.status()).token_count == (await t.compile()).token_count


async def test_an_append_of_another_process_during_a_turn_keeps_the_answer_off_the_branch(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        base = await t.user("before")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        held.go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        error = caught.value
        assert (error.branch, error.expected, error.actual) == ("main", base.id, await t.head())
        assert await texts(t) == ["before", "meanwhile"]
        assert error.answer is not None
        await t.branch("taken", at=error.answer)
        assert await texts(t) == ["before", "Hi", "Half done."]


async def test_an_edit_of_another_process_during_a_turn_puts_the_answer_on_top(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        await t.user("before")
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.edit("HEAD", "edited"))
        held.go_on.set()
        await turn
        assert await texts(t) == ["edited", "Hi", "Half done."]


async def test_a_cancelled_turn_whose_branch_moved_still_ends_as_cancelled(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(t.chat("Hi", keep_partial=True))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        turn.cancel()
        await asyncio.wait([turn])
        assert turn.cancelled()
        assert await texts(t) == ["meanwhile"]


async def test_an_exception_in_the_block_is_not_replaced_when_the_branch_moved(path: str) -> None:
    async with opened([["One ", "two."]], path) as t:
        with pytest.raises(ZeroDivisionError):
            async with t.stream("Count", keep_partial=True) as stream:
                async for _ in stream:
                    await from_elsewhere(path, lambda other: other.user("meanwhile"))
                    raise ZeroDivisionError


async def test_breaking_off_when_the_branch_moved_says_where_the_partial_answer_is(path: str) -> None:
    async with opened([["One ", "two."]], path) as t:
        with pytest.raises(HeadMovedError) as caught:
            async with t.stream("Count") as stream:
                async for _ in stream:
                    await from_elsewhere(path, lambda other: other.user("meanwhile"))
                    break
        assert caught.value.answer is not None
        assert await texts(t, caught.value.answer) == ["Count", "One "]


async def test_the_first_turn_of_an_unborn_branch_loses_to_a_commit_of_another_process(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        held.go_on.set()
        with pytest.raises(HeadMovedError) as caught:
            await turn
        assert (caught.value.expected, await texts(t)) == (None, ["meanwhile"])


# From inside a turn


INSIDE: list[Talk] = [
    lambda t: t.user("x"),
    lambda t: t.tool_result("c", "x"),
    lambda t: t.commit("x"),
    lambda t: t.chat("x"),
    lambda t: t.generate(),
]


@pytest.mark.parametrize("call", INSIDE, ids=["user", "tool_result", "commit", "chat", "generate"])
async def test_adding_to_the_branch_from_inside_a_stream_block_is_refused(call: Talk) -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                with pytest.raises(TurnInProgressError):
                    await call(t)
        assert await texts(t) == ["Hi", "Hello."]


@pytest.mark.parametrize("call", INSIDE, ids=["user", "tool_result", "commit", "chat", "generate"])
async def test_adding_to_the_branch_from_inside_the_model_is_refused(call: Talk) -> None:
    async def reply(request: ModelRequest) -> str:
        with pytest.raises(TurnInProgressError):
            await call(t)
        return "Hello."

    async with opened(reply) as t:
        await t.chat("Hi")
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_task_started_inside_the_block_is_inside_too() -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            with pytest.raises(TurnInProgressError):
                await asyncio.create_task(t.user("x"))
            async for _ in stream:
                pass


async def test_after_the_block_the_task_may_add_again() -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                pass
        await t.user("after")
        assert await texts(t) == ["Hi", "Hello.", "after"]


async def test_after_the_last_delta_the_task_may_add_inside_the_block() -> None:
    async with opened(["Hello."]) as t:
        async with t.stream("Hi") as stream:
            async for _ in stream:
                pass
            await t.user("after")
        assert await texts(t) == ["Hi", "Hello.", "after"]


async def test_reading_and_editing_from_inside_a_block_is_allowed() -> None:
    async with opened(["Hello."]) as t:
        slot = await t.user("one")
        async with t.stream("Hi") as stream:
            async for _ in stream:
                await t.edit(slot.id, "ONE")
                assert await texts(t) == ["ONE"]
        assert await texts(t) == ["ONE", "Hi", "Hello."]


async def test_another_branch_can_be_written_from_inside_a_block() -> None:
    async with opened(["Hello."]) as t:
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other, t.stream("Hi") as stream:
            async for _ in stream:
                await other.user("noted")
        assert (await texts(t), await texts(t, "other")) == (["Hi", "Hello."], ["noted"])


async def test_switching_during_a_turn_does_not_carry_the_answer_along() -> None:
    async with opened(["Hello there."]) as t:
        await t.branch("other", switch=False)
        async with t.stream("Hi") as stream:
            async for _ in stream:
                if t.current_branch == "main":
                    await t.switch("other")
        assert (await texts(t, "main"), await t.head()) == (["Hi", "Hello there."], None)


# Closing


async def test_closing_during_a_turn_cancels_and_records_it(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi"))
    await held.has_begun.wait()
    async with asyncio.timeout(2):
        await t.aclose()
    await asyncio.wait([turn])
    assert turn.cancelled()
    async with opened(["Hello."], path) as t:
        assert (await t.head(), (await t.chat("Hi")).text) == (None, "Hello.")


async def test_closing_during_a_turn_that_keeps_its_part_keeps_it(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi", keep_partial=True))
    await held.has_begun.wait()
    await t.aclose()
    await asyncio.wait([turn])
    async with AsyncTract.open(path) as t:
        assert await texts(t) == ["Hi", "Half "]


async def test_closing_from_inside_the_block_ends(path: str) -> None:
    t = await opened([["One ", "two."]], path)
    async with asyncio.timeout(2):
        try:
            async with t.stream("Count") as stream:
                async for _ in stream:
                    await t.aclose()
                    break
        except ClosedError:
            pass
    async with opened(["Hello."], path) as t:
        await t.chat("Hi")
        assert (await texts(t))[-2:] == ["Hi", "Hello."]


async def test_closing_frees_those_who_wait_behind_a_turn(path: str) -> None:
    held = Held()
    t = await opened(held, path)
    turn = asyncio.create_task(t.chat("Hi"))
    await held.has_begun.wait()
    behind = asyncio.create_task(t.chat("next"))
    append = asyncio.create_task(t.user("later"))
    await t.status()
    async with asyncio.timeout(2):
        await t.aclose()
        results = await asyncio.gather(turn, behind, append, return_exceptions=True)
    assert [isinstance(result, (asyncio.CancelledError, ClosedError)) for result in results] == [True] * 3


async def test_a_closed_tract_does_not_talk() -> None:
    t = await opened(["Hello."])
    await t.aclose()
    with pytest.raises(ClosedError):
        await t.chat("Hi")


async def test_a_turn_of_one_handle_outlives_the_closing_of_another(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        other = await AsyncTract.open(path)
        turn = asyncio.create_task(t.chat("Hi"))
        await held.has_begun.wait()
        await other.aclose()
        held.go_on.set()
        assert (await turn).text == "Half done."


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
