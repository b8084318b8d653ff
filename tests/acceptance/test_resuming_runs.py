"""Story: a run was stopped, by whatever, and the next one goes on from there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.looping import call, calling, counting, opened, spoken, until_spoken
from tests.acceptance.reading import from_elsewhere, state, texts
from tests.children import running
from tract import AsyncTract, ModelReply, ModelRequest
from tract.errors import ConfigError, HeadMovedError, ModelConnectionError, OperationMismatchError, TurnStateError
from tract.testing import ScriptedLLM

ID = "01928c5e-0000-7000-8000-000000000001"


class Tools:
    """Two tools, the second of which waits until it is let go; and how often each was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.has_begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def quick(self) -> str:
        """Be quick."""
        self.calls.append("quick")
        return "quickly"

    async def slow(self) -> str:
        """Be slow."""
        self.calls.append("slow")
        self.has_begun.set()
        await self.go_on.wait()
        return "slowly"

    @property
    def both(self) -> list[Any]:
        return [self.quick, self.slow]


async def cancelled_in_a_tool(t: AsyncTract, tools: Tools, **arguments: Any) -> None:
    """Run until quick has its result and slow has begun, and cancel that."""
    task = asyncio.create_task(run(t, tools, **arguments))
    await tools.has_begun.wait()
    await until_spoken(t, ("tool", "quickly"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    tools.go_on.set()


async def run(t: AsyncTract, tools: Tools, **arguments: Any) -> object:
    return await t.run("Go", tools=tools.both, **arguments)


BOTH = calling(call("quick", id="q"), call("slow", id="s"))


async def test_a_cancelled_run_goes_on_without_calling_again_what_has_a_result() -> None:
    tools = Tools()
    async with opened(BOTH, "Done.") as t:
        await cancelled_in_a_tool(t, tools)
        assert (await spoken(t))[2:] == [("tool", "quickly"), ("tool", "[no result recorded]")]
        result = await t.run(tools=tools.both)
        assert tools.calls == ["quick", "slow", "slow"]
        assert (await spoken(t))[2:] == [("tool", "quickly"), ("tool", "slowly"), ("assistant", "Done.")]
        assert [(step.number, len(step.results)) for step in result.steps] == [(0, 1), (1, 0)]
        assert (await t.compile()).repairs == ()


async def test_a_run_does_not_go_on_without_a_tool_that_was_called() -> None:
    tools = Tools()
    async with opened(BOTH, "Done.") as t:
        await cancelled_in_a_tool(t, tools)
        before = await spoken(t)
        with pytest.raises(ConfigError, match="tools: calls of slow stand on the branch without a result: give their tools"):
            await t.run(tools=[tools.quick])
        assert await spoken(t) == before
        assert (await t.run(tools=[tools.slow])).text == "Done."


async def test_a_call_of_a_tool_that_never_was_stands_in_no_runs_way() -> None:
    tools = Tools()
    async with opened(calling(call("slow", id="s"), call("fast", id="f")), "Done.") as t:
        task = asyncio.create_task(run(t, tools))
        await tools.has_begun.wait()
        task.cancel()
        await asyncio.wait([task])
        tools.go_on.set()
        assert (await t.run(tools=[tools.slow])).text == "Done."


async def test_of_calls_that_share_an_id_those_are_made_that_have_no_result() -> None:
    calls: list[str] = []
    has_begun, go_on = asyncio.Event(), asyncio.Event()

    async def echo(word: str) -> str:
        calls.append(word)
        if word == "two" and not go_on.is_set():
            has_begun.set()
            await asyncio.Event().wait()
        return word

    asked = calling(*(call("echo", f'{{"word": "{word}"}}') for word in ("one", "two", "three")))
    async with opened(asked, "Done.") as t:
        task = asyncio.ensure_future(anext(t.run("Go", tools=[echo])))
        await has_begun.wait()
        task.cancel()
        await asyncio.wait([task])
        go_on.set()
        await t.run(tools=[echo])
        assert calls == ["one", "two", "two", "three"]
        assert [text for role, text in await spoken(t) if role == "tool"] == ["one", "two", "three"]


async def test_the_step_that_is_finished_bears_the_answer_that_called() -> None:
    tools = Tools()
    async with opened(BOTH, "Done.") as t:
        await cancelled_in_a_tool(t, tools)
        result = await t.run(tools=tools.both)
        response = result.steps[0].response
        assert (response.tool_calls, response.finish_reason) == (BOTH.tool_calls, "tool_calls")
        assert response.usage is not None
        assert result.usage == result.response.usage


async def test_calls_that_nobody_answered_are_made_whoever_asked_for_them() -> None:
    async with opened(calling(call("quick")), "Done.") as t:
        tools = Tools()
        await t.chat("Go")
        assert (await t.run(tools=[tools.quick])).text == "Done."
        assert tools.calls == ["quick"]


async def test_calls_without_tools_are_not_answered_with_errors() -> None:
    async with opened(calling(call("quick")), "never") as t:
        await t.chat("Go")
        before = await state(t)
        with pytest.raises(ConfigError, match="tools"):
            await t.run()
        assert await state(t) == before


async def test_a_question_goes_on_top_of_calls_without_a_result() -> None:
    tools = Tools()
    async with opened(calling(call("quick")), "Never mind.") as t:
        await t.chat("Go")
        await t.run("Stop", tools=[tools.quick])
        assert tools.calls == []
        assert [text for _, text in await spoken(t)] == ["Go", "quick", "[no result recorded]", "Stop", "Never mind."]


async def test_a_finished_run_is_returned_without_asking_again() -> None:
    model = ScriptedLLM([BOTH, "Done."])
    tools = Tools()
    tools.go_on.set()
    async with AsyncTract.open(llm=model, model="tiny") as t:
        first = await t.run("Go", tools=tools.both)
        before = await state(t)
        again = await t.run(tools=tools.both)
        assert (again.response, again.steps, again.usage, again.is_finished) == (first.response, (), None, True)
        assert [step async for step in t.run()] == []
        assert (await state(t), len(model.requests)) == (before, 2)


async def test_an_answer_that_was_written_by_hand_or_edited_counts_as_it_stands() -> None:
    async with opened("Hello.") as t:
        await t.user("Hi")
        written = await t.assistant("By hand.")
        result = await t.run()
        assert (result.text, result.response.commit_info.id, result.finish_reason) == ("By hand.", written.id, None)
        await t.chat("Hi")
        await t.edit("HEAD", "Edited.")
        assert (await t.run()).text == "Edited."


async def test_what_a_model_thinks_is_neither_an_answer_nor_in_its_way() -> None:
    thinking = [
        ModelReply(None, tool_calls=(call("quick"),), reasoning="First this."),
        ModelReply("Done.", reasoning="Now that."),
    ]
    tools = Tools()
    async with opened(*thinking) as t:
        first = await t.run("Go", tools=[tools.quick])
        assert [step.response.reasoning for step in first.steps] == ["First this.", "Now that."]
        for info in await t.log():
            if info.content_type == "reasoning":
                await t.annotate(info.id, "normal")
        again = await t.run(tools=[tools.quick])
        assert (again.response, again.steps, tools.calls) == (first.response, (), ["quick"])


async def test_a_question_whose_answer_failed_is_asked_again_once() -> None:
    async with opened(ModelConnectionError(), "Hello.") as t:
        await t.system("Be kind.")
        with pytest.raises(ModelConnectionError):
            await t.run("Hi", message="why", metadata={"n": 1})
        assert await texts(t) == ["Be kind."]
        assert (await t.run()).text == "Hello."
        assert await texts(t) == ["Be kind.", "Hi", "Hello."]
        question = (await t.log())[1]
        assert (question.message, question.metadata) == ("why", {"n": 1})


async def test_a_question_that_failed_on_an_empty_branch_is_asked_again() -> None:
    async with opened(ModelConnectionError(), "Hello.") as t:
        with pytest.raises(ModelConnectionError):
            await t.run("Hi")
        await t.run()
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_question_that_failed_behind_an_answer_is_asked_again() -> None:
    async with opened("Hello.", ModelConnectionError(), "Well.") as t:
        await t.run("Hi")
        with pytest.raises(ModelConnectionError):
            await t.run("How are you?")
        assert (await t.run()).text == "Well."
        assert await texts(t) == ["Hi", "Hello.", "How are you?", "Well."]


async def test_a_question_is_forgotten_once_the_branch_went_on() -> None:
    async with opened(ModelConnectionError(), "Fine.") as t:
        with pytest.raises(ModelConnectionError):
            await t.run("Hi")
        await t.user("Never mind. How are you?")
        await t.run()
        assert await texts(t) == ["Never mind. How are you?", "Fine."]


CHANGES: list[Callable[[AsyncTract], Awaitable[object]]] = [
    lambda t: t.edit("HEAD", "Hi there."),
    lambda t: t.edit("HEAD~1", "Hullo."),
    lambda t: t.pin("HEAD"),
    lambda t: t.skip("HEAD~1"),
    lambda t: t.skip("HEAD"),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_question_is_asked_again_whatever_became_of_what_stands_before_it(
    change: Callable[[AsyncTract], Awaitable[object]],
) -> None:
    async with opened("Hello.", ModelConnectionError(), "Well.") as t:
        await t.run("Hi")
        with pytest.raises(ModelConnectionError):
            await t.run("How are you?")
        await change(t)
        for _ in range(2):
            assert (await t.run()).text == "Well."
        assert (await texts(t))[-2:] == ["How are you?", "Well."]


async def test_questions_of_other_verbs_and_branches_are_not_asked_again() -> None:
    async with opened(ModelConnectionError(), ModelConnectionError(), "Hello.") as t:
        await t.user("Hi")
        with pytest.raises(ModelConnectionError):
            await t.chat("Other")
        await t.branch("other")
        with pytest.raises(ModelConnectionError):
            await t.run("Elsewhere")
        await t.switch("main")
        await t.run()
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_run_cancelled_in_its_first_model_call_asks_its_question_again() -> None:
    has_begun, held = asyncio.Event(), asyncio.Event()

    async def reply(request: ModelRequest) -> str | ModelReply:
        if not has_begun.is_set():
            has_begun.set()
            await held.wait()
        return counting(0)(request)

    async with AsyncTract.open(llm=ScriptedLLM(reply), model="tiny") as t:
        task = asyncio.create_task(run(t, Tools()))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await t.run()).text == "Done."
        assert await texts(t) == ["Go", "Done."]


async def test_a_loop_that_was_left_goes_on() -> None:
    tools = Tools()
    async with AsyncTract.open(llm=ScriptedLLM(counting(3, "quick")), model="tiny") as t:
        async for step in t.run("Go", tools=tools.both):
            if step.number == 2:
                break
        result = await t.run(tools=tools.both)
        assert (result.text, len(result.steps), tools.calls) == ("Done.", 2, ["quick"] * 3)


async def test_the_same_call_under_an_operation_id_goes_on_instead_of_asking_twice() -> None:
    tools = Tools()
    async with opened(BOTH, "Done.") as t:
        await cancelled_in_a_tool(t, tools, operation_id=ID)
        result = await t.run("Go", tools=tools.both, operation_id=ID)
        assert (result.text, tools.calls) == ("Done.", ["quick", "slow", "slow"])
        again = await t.run("Go", tools=tools.both, operation_id=ID)
        assert (again.response, again.steps) == (result.response, ())
        assert [role for role, _ in await spoken(t)] == ["user", "assistant", "tool", "tool", "assistant"]


async def test_the_operation_is_that_of_the_first_model_call() -> None:
    async with opened("Hello.") as t:
        result = await t.run("Hi", operation_id=ID)
        assert result.response.commit_info.operation_id == ID


async def test_a_failed_call_under_an_operation_id_is_made_again_by_the_same_call() -> None:
    async with opened(ModelConnectionError(), "Hello.") as t:
        with pytest.raises(ModelConnectionError):
            await t.run("Hi", operation_id=ID)
        for _ in range(2):
            assert (await t.run("Hi", operation_id=ID)).text == "Hello."
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_failed_call_under_an_operation_id_is_made_again_once_though_the_branch_went_on() -> None:
    async with opened(ModelConnectionError(), "Hello.") as t:
        await t.system("Be kind.")
        with pytest.raises(ModelConnectionError):
            await t.run("Hi", operation_id=ID)
        await t.assistant("A note.")
        for _ in range(2):
            assert (await t.run("Hi", operation_id=ID)).text == "Hello."
        assert await texts(t) == ["Be kind.", "A note.", "Hi", "Hello."]


class Late:
    """A model whose first answer comes too late, since another process moves the branch meanwhile; then it says hello."""

    def __init__(self, path: str, change: Callable[[AsyncTract], Awaitable[object]]) -> None:
        self._path = path
        self._change: Callable[[AsyncTract], Awaitable[object]] | None = change

    async def __call__(self, request: ModelRequest) -> str:
        change, self._change = self._change, None
        if change is not None:
            await from_elsewhere(self._path, change)
        return "Hello."


async def test_a_question_whose_answer_came_too_late_is_asked_again_under_its_operation_id(path: str) -> None:
    model = ScriptedLLM(Late(path, lambda other: other.user("Meanwhile.")))
    async with AsyncTract.open(path, llm=model, model="tiny") as t:
        with pytest.raises(HeadMovedError):
            await t.run("Hi", operation_id=ID)
        for _ in range(2):
            assert (await t.run("Hi", operation_id=ID)).text == "Hello."
        assert await texts(t) == ["Meanwhile.", "Hi", "Hello."]


async def test_a_failed_call_under_an_operation_id_is_made_again_though_another_run_asked_meanwhile() -> None:
    async with opened(ModelConnectionError(), "Well.", "Hello.") as t:
        with pytest.raises(ModelConnectionError):
            await t.run("Hi", operation_id=ID)
        await t.run("How are you?")
        for _ in range(2):
            assert (await t.run("Hi", operation_id=ID)).text == "Hello."
        assert await texts(t) == ["How are you?", "Well.", "Hi", "Hello."]


async def test_the_same_call_under_an_operation_id_gives_its_own_answer_whatever_came_behind_it() -> None:
    tools = Tools()
    async with opened(calling(call("quick")), "Done.", "Later.", "Last.") as t:
        first = await t.run("Go", tools=[tools.quick], operation_id=ID)
        await t.chat("And now?")
        await t.run("And then?")
        again = await t.run("Go", tools=[tools.quick], operation_id=ID)
        assert (again.response, again.steps, again.is_finished) == (first.response, (), True)
        assert tools.calls == ["quick"]


async def test_the_same_call_under_an_operation_id_does_not_ask_what_another_run_asked() -> None:
    tools = Tools()
    async with opened(calling(call("quick")), ModelConnectionError(), "Done.") as t:
        async for _ in t.run("Go", tools=[tools.quick], operation_id=ID):
            break
        with pytest.raises(ModelConnectionError):
            await t.run("Other")
        assert (await t.run("Go", tools=[tools.quick], operation_id=ID)).text == "Done."
        assert [text for _, text in await spoken(t)] == ["Go", "quick", "quickly", "Done."]


async def test_two_tasks_with_one_operation_id_ask_once() -> None:
    async with opened("Hello.") as t:
        results = await asyncio.gather(t.run("Hi", operation_id=ID), t.run("Hi", operation_id=ID))
        assert [result.text for result in results] == ["Hello."] * 2
        assert await texts(t) == ["Hi", "Hello."]


@pytest.mark.parametrize("arguments", [{"text": "Other"}, {"text": "Hi", "temperature": 0.5}, {"tools": [Tools().quick]}])
async def test_another_call_under_the_operation_id_is_refused(arguments: dict[str, Any]) -> None:
    async with opened("Hello.") as t:
        await t.run("Hi", operation_id=ID)
        before = await state(t)
        with pytest.raises(OperationMismatchError):
            await t.run(**arguments, operation_id=ID)
        assert await state(t) == before


async def test_a_run_that_another_process_runs_is_left_to_it(path: str) -> None:
    with running(path) as child:
        assert child.told() == "model 0"
        async with opened("never", where=path) as t:
            with pytest.raises(TurnStateError, match="still runs"):
                await t.run()
