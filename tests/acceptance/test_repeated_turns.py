"""Story: a turn comes again under the same operation id, and its answer is given instead of bought twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.reading import from_elsewhere, state, texts
from tests.acceptance.scripting import Dictated, Held, opened
from tests.children import streaming
from tract import AsyncTract, ChatResponse, LLMConfig, ModelReply, ToolCall
from tract.errors import ContentValidationError, HeadMovedError, ModelConnectionError, OperationMismatchError, TurnStateError
from tract.testing import Cut, ScriptedLLM

ID = "01928c5e-0000-7000-8000-000000000001"
OTHER = "01928c5e-0000-7000-8000-000000000002"
Ask = Callable[[AsyncTract], Awaitable[ChatResponse]]


async def chat(t: AsyncTract) -> ChatResponse:
    return await t.chat("Hi", operation_id=ID)


async def generate(t: AsyncTract) -> ChatResponse:
    return await t.generate(operation_id=ID)


async def stream(t: AsyncTract) -> ChatResponse:
    async with t.stream("Hi", operation_id=ID) as answer:
        deltas = [delta async for delta in answer]
    assert "".join(deltas) == answer.response.text
    return answer.response


async def finish(t: AsyncTract) -> ChatResponse:
    async with t.stream("Hi", operation_id=ID) as answer:
        return await answer.finish()


every_way = pytest.mark.parametrize("ask", [chat, generate, stream, finish])


@every_way
async def test_a_completed_turn_gives_its_first_answer_again(ask: Ask) -> None:
    model = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.system("Be kind.")
        first = await ask(t)
        before = await state(t)
        assert await ask(t) == first
        assert (await state(t), len(model.requests)) == (before, 1)


@every_way
async def test_an_answer_is_given_again_after_opening_the_store_anew(ask: Ask, path: str) -> None:
    async with opened(["Hello."], path) as t:
        await t.system("Be kind.")
        first = await ask(t)
    async with opened([], path) as t:
        assert await ask(t) == first


async def test_an_answer_is_given_again_although_the_branch_went_on() -> None:
    async with opened(["Hello.", "More."]) as t:
        first = await chat(t)
        await t.chat("Go on")
        assert await chat(t) == first
        assert await texts(t) == ["Hi", "Hello.", "Go on", "More."]


async def test_a_turn_of_tool_calls_is_given_again_whole() -> None:
    call = ToolCall("1", "look", '{"x":  1.0}')
    async with opened([ModelReply("I look.", tool_calls=(call,))]) as t:
        first = await chat(t)
        assert (first.tool_calls, await chat(t)) == ((call,), first)


async def test_a_stream_given_again_comes_in_one_piece() -> None:
    async with opened([["One ", "two."]]) as t:
        await stream(t)
        async with t.stream("Hi", operation_id=ID) as again:
            assert [delta async for delta in again] == ["One two."]


async def test_chat_and_stream_are_one_and_the_same_turn() -> None:
    async with opened(["Hello."]) as t:
        assert await chat(t) == await stream(t)


async def test_a_turn_given_again_needs_no_model() -> None:
    async with opened(["Hello."]) as t:
        first = await chat(t)
        await t.configure_llm(ScriptedLLM([]))
        assert await chat(t) == first


async def test_two_ids_are_two_turns() -> None:
    async with opened(["One.", "Two."]) as t:
        await t.chat("Hi", operation_id=ID)
        assert (await t.chat("Hi", operation_id=OTHER)).text == "Two."


async def test_without_an_id_a_turn_is_never_a_repetition() -> None:
    async with opened(["One.", "Two."]) as t:
        assert [(await t.chat("Hi")).text, (await t.chat("Hi")).text] == ["One.", "Two."]


@pytest.mark.parametrize(
    "other",
    [
        lambda t: t.chat("Other", operation_id=ID),
        lambda t: t.generate(operation_id=ID),
        lambda t: t.chat("Hi", operation_id=ID, message="why"),
        lambda t: t.chat("Hi", operation_id=ID, metadata={"a": 1}),
        lambda t: t.chat("Hi", operation_id=ID, keep_partial=True),
        lambda t: t.chat("Hi", operation_id=ID, llm_config=LLMConfig(temperature=0.5)),
        lambda t: t.user("Hi", operation_id=ID),
    ],
    ids=["question", "verb", "message", "metadata", "keep_partial", "config", "commit"],
)
async def test_an_id_with_other_arguments_is_refused(other: Callable[[AsyncTract], Awaitable[Any]]) -> None:
    async with opened(["Hello."]) as t:
        await chat(t)
        before = await state(t)
        with pytest.raises(OperationMismatchError):
            await other(t)
        assert await state(t) == before


async def test_a_turn_is_asked_on_the_branch_it_was_called_on_wherever_the_handle_goes() -> None:
    async with opened(lambda _: "Hello.") as t:
        await t.user("before")
        await t.branch("other")
        for number in range(120):
            await t.switch("main")
            switching = asyncio.create_task(t.switch("other"))
            for _ in range(number):
                await asyncio.sleep(0)
            branch = t.current_branch
            await t.chat("Hi", operation_id=f"01928c5e-0000-7000-8000-{number:012}")
            await switching
            (info,) = await t.generations(1)
            assert info.branch == branch


async def test_an_id_on_another_branch_is_refused() -> None:
    async with opened(["Hello."]) as t:
        await chat(t)
        await t.branch("other")
        with pytest.raises(OperationMismatchError):
            await chat(t)


async def test_the_id_of_a_commit_is_refused_for_a_turn() -> None:
    async with opened(["Hello."]) as t:
        await t.user("Hi", operation_id=ID)
        with pytest.raises(OperationMismatchError):
            await chat(t)


@pytest.mark.parametrize("given", ["", "1", "not-a-uuid", 7])
async def test_an_id_that_is_none_is_refused_before_anything_is_recorded(given: Any) -> None:
    async with opened(["Hello."]) as t:
        before = await state(t)
        with pytest.raises(ContentValidationError) as caught:
            await t.chat("Hi", operation_id=given)
        assert (caught.value.field, await state(t), await t.generations()) == ("operation_id", before, ())


@every_way
async def test_a_turn_that_failed_is_not_asked_again_under_its_id(ask: Ask) -> None:
    async with opened([Cut(["Half "], ModelConnectionError()), "Never."]) as t:
        await t.user("before")
        with pytest.raises(ModelConnectionError):
            await ask(t)
        before = await state(t)
        with pytest.raises(TurnStateError, match="ended as failed"):
            await ask(t)
        assert await state(t) == before


async def test_half_an_answer_that_failed_is_no_answer_although_it_was_kept() -> None:
    async with opened([Cut(["Half "], ModelConnectionError()), "Never."]) as t:
        with pytest.raises(ModelConnectionError):
            await t.chat("Hi", operation_id=ID, keep_partial=True)
        before = await state(t)
        kept = (await t.log())[0].id
        with pytest.raises(TurnStateError, match=f"ended as failed; what arrived is {kept[:8]} on the branch"):
            await t.chat("Hi", operation_id=ID, keep_partial=True)
        assert await state(t) == before


async def test_a_turn_that_was_cancelled_is_not_asked_again_under_its_id() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(chat(t))
        await held.has_begun.wait()
        turn.cancel()
        await asyncio.wait([turn])
        with pytest.raises(TurnStateError, match="ended as cancelled"):
            await chat(t)


async def test_a_stream_that_was_left_gives_what_was_kept() -> None:
    async with opened([["One ", "two."]]) as t:
        async with t.stream("Hi", operation_id=ID) as answer:
            async for _ in answer:
                break
        again = await stream(t)
        assert (again.text, again.finish_reason, again.commit_info) == ("One ", "cancelled", answer.response.commit_info)


async def test_an_answer_that_was_kept_off_the_branch_is_named_again(path: str) -> None:
    held = Held()
    async with opened(held, path) as t:
        turn = asyncio.create_task(chat(t))
        await held.has_begun.wait()
        await from_elsewhere(path, lambda other: other.user("meanwhile"))
        held.go_on.set()
        with pytest.raises(HeadMovedError) as first:
            await turn
        with pytest.raises(HeadMovedError) as again:
            await chat(t)
        assert (again.value.answer, again.value.branch) == (first.value.answer, "main")
        assert first.value.answer is not None


async def test_a_turn_that_still_runs_elsewhere_says_how_to_follow_it(path: str) -> None:
    held, said = Held(), []

    async def again(other: AsyncTract) -> None:
        with pytest.raises(TurnStateError) as caught:
            await other.chat("Hi", operation_id=ID)
        said.append(caught.value.reason)

    async with opened(held, path) as t:
        turn = asyncio.create_task(chat(t))
        await held.has_begun.wait()
        (info,) = await t.generations()
        await from_elsewhere(path, again)
        held.go_on.set()
        await turn
    assert info.id in said[0]
    assert "follow" in said[0]


@pytest.mark.parametrize("ask", [chat, stream, finish])
async def test_twins_at_once_ask_the_model_once(ask: Ask) -> None:
    model = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        first, *others = await asyncio.gather(*(ask(t) for _ in range(5)))
        assert others == [first] * 4
        assert (len(model.requests), await texts(t)) == (1, ["Hi", "Hello."])


async def test_twins_at_once_ask_the_model_once_also_from_two_handles(path: str) -> None:
    model = ScriptedLLM(["Hello."])
    async with AsyncTract.open(path, llm=model, model="tiny") as t, AsyncTract.open(path, llm=model, model="tiny") as other:
        first, second = await asyncio.gather(chat(t), chat(other))
        assert (first, len(model.requests)) == (second, 1)


async def test_a_twin_behind_a_turn_that_is_cancelled_is_told_so() -> None:
    held = Held()
    async with opened(held) as t:
        turn = asyncio.create_task(chat(t))
        await held.has_begun.wait()
        twin = asyncio.create_task(chat(t))
        await t.status()
        turn.cancel()
        with pytest.raises(TurnStateError):
            await twin
        await t.user("free")


async def test_a_turn_whose_process_died_is_not_asked_again_under_its_id(path: str) -> None:
    with streaming(path, operation=ID) as child:
        child.stream("One")
        child.kill()
    async with opened(["Never."], path) as t:
        with pytest.raises(TurnStateError, match="ended as interrupted"):
            await t.chat("Count", operation_id=ID)


async def test_a_turn_whose_process_dies_while_the_store_is_open_is_told_as_interrupted(path: str) -> None:
    async with opened(["Never."], path) as t:
        with streaming(path, operation=ID) as child:
            child.stream("One")
            with pytest.raises(TurnStateError, match="still runs"):
                await t.chat("Count", operation_id=ID)
            child.kill()
        with pytest.raises(TurnStateError, match="ended as interrupted"):
            await t.chat("Count", operation_id=ID)


async def test_a_repeated_stream_can_be_left_before_it_is_read() -> None:
    async with opened([["One ", "two."]]) as t:
        first = await chat(t)
        async with t.stream("Hi", operation_id=ID) as again:
            pass
        assert (again.response, again.text, await texts(t)) == (first, "", ["Hi", "One two."])


async def test_a_turn_that_waits_behind_another_can_be_given_again() -> None:
    model = Dictated()
    async with opened(model) as t:
        turn = asyncio.create_task(chat(t))
        model.say("Hello.")
        model.end()
        assert await turn == await chat(t)
