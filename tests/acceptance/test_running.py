"""Story: a model is given tools, and works with them until it has its answer."""

import asyncio
import contextvars
import threading
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.acceptance.looping import call, calling, counting, opened, spoken, until_spoken
from tests.acceptance.reading import state, texts
from tract import AsyncTract, LLMConfig, ModelRequest, RunStep, TokenBudget, TokenUsage, ToolCall
from tract.errors import (
    BatchError,
    BudgetExceededError,
    ConfigError,
    ContentValidationError,
    ModelAnswerError,
    ModelConnectionError,
    ModelNotConfiguredError,
    TurnInProgressError,
    TurnStateError,
)
from tract.testing import ScriptedLLM


@frozen
class Found:
    city: str
    on: date


async def look(city: str) -> Found:
    """Look up a city."""
    return Found(city, date(2026, 1, 2))


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def fail() -> str:
    """Fail."""
    raise ValueError("it broke")


async def test_a_run_asks_calls_and_asks_again_until_nothing_is_called() -> None:
    async with opened(calling(call("look", '{"city": "Oslo"}')), calling(call("add", '{"a": 2}')), "Three in Oslo.") as t:
        result = await t.run("How many?", tools=[look, add])
        assert (result.text, result.finish_reason, result.is_finished, len(result.steps)) == ("Three in Oslo.", "stop", True, 3)
        assert await spoken(t) == [
            ("user", "How many?"),
            ("assistant", "look"),
            ("tool", '{"city":"Oslo","on":"2026-01-02"}'),
            ("assistant", "add"),
            ("tool", "3"),
            ("assistant", "Three in Oslo."),
        ]
        assert (await t.compile()).repairs == ()


async def test_each_step_says_what_was_called_and_what_came_of_it() -> None:
    async with opened(calling(call("add", '{"a": 2}'), call("fail", id="c2")), "Done.") as t:
        result = await t.run("Add", tools=[add, fail])
        first, second = result.steps
        assert [(outcome.call.id, outcome.text, outcome.status) for outcome in first.results] == [
            ("c1", "3", "ok"),
            ("c2", "Error: ValueError: it broke", "error"),
        ]
        assert (first.number, second.number, second.results) == (1, 2, ())
        assert second.response == result.response
        assert {outcome.commit_info.id for outcome in first.results} == {info.id for info in (await t.log())[1:3]}


async def test_what_a_run_brought_can_be_read() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        result = await t.run("Add", tools=[add])
        assert str(result) == "Done."
        assert str(result.steps[0]) == f"1: {result.steps[0].results[0].commit_info.id[:8]} add (ok): 3"
        assert str(result.steps[1]) == "2: Done."


async def test_the_model_is_told_of_the_tools_and_sees_the_results() -> None:
    model = ScriptedLLM([calling(call("add", '{"a": 2}')), "Done."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.run("Add", tools=[add], temperature=0.5)
        first, second = model.requests
        assert [tool["function"]["name"] for tool in first.tools] == ["add"]
        assert (first.tools, first.config) == (second.tools, second.config)
        assert second.config == LLMConfig(model="tiny", temperature=0.5)
        assert second.messages == (await t.compile("HEAD~1")).to_openai()


class Colour(StrEnum):
    RED = "red"


class Word(str):
    """A string of a class of the caller's, such as those of parsers."""

    __slots__ = ()


class Ratio(float):
    """A float of a class of the caller's, such as those of numpy."""


class Count(int):
    """An int of a class of the caller's."""


class Dumps:
    def model_dump(self, mode: str) -> dict[str, str]:
        return {"mode": mode}


RESULTS: list[tuple[object, str, str]] = [
    ("", "", "ok"),
    (" verbatim \n", " verbatim \n", "ok"),
    (None, "null", "ok"),
    ({"b": 1, "a": [2.5, True]}, '{"a":[2.5,true],"b":1}', "ok"),
    ({1: (2, 3)}, '{"1":[2,3]}', "ok"),
    (Colour.RED, "red", "ok"),
    (Dumps(), '{"mode":"json"}', "ok"),
    (Word("word"), "word", "ok"),
    ([Word("word"), Ratio(0.5), Count(2)], '["word",0.5,2]', "ok"),
    (object(), "Error: The tool returned what cannot be written as JSON: TypeError: a object is not JSON", "error"),
]


@pytest.mark.parametrize(("value", "text", "status"), RESULTS)
async def test_a_string_is_the_result_verbatim_and_anything_else_its_json(value: object, text: str, status: str) -> None:
    def give() -> Any:
        return value

    async with opened(calling(call("give")), "Done.") as t:
        result = await t.run("Give", tools=[give])
        (outcome,) = result.steps[0].results
        assert (outcome.text, outcome.status) == (text, status)
        assert (await spoken(t))[2] == ("tool", text)


@pytest.mark.parametrize("value", [float("nan"), 2**70, "\ud800", {"a": "\ud800"}])
async def test_what_cannot_be_stored_is_an_error_result(value: object) -> None:
    def give() -> Any:
        return value

    async with opened(calling(call("give")), "Done.") as t:
        (outcome,) = (await t.run("Give", tools=[give])).steps[0].results
        assert outcome.status == "error"
        assert outcome.text.startswith("Error: The tool returned what cannot be written as JSON: ContentValidationError")


BAD_CALLS: list[tuple[ToolCall, str]] = [
    (call("nothing"), "Error: There is no tool of this name; there are: add."),
    (call("add", "{not json"), "Error: The tool 'add' does not take these arguments"),
    (call("add", '{"a": "2"}'), "Error: The tool 'add' does not take these arguments"),
    (call("add", '{"c": 2}'), "Error: The tool 'add' does not take these arguments"),
]


@pytest.mark.parametrize(("asked", "text"), BAD_CALLS)
async def test_a_call_that_makes_no_sense_is_reported_to_the_model(asked: ToolCall, text: str) -> None:
    async with opened(calling(asked), "Sorry.") as t:
        result = await t.run("Add", tools=[add])
        (outcome,) = result.steps[0].results
        assert outcome.status == "error"
        assert outcome.text.startswith(text)
        assert result.text == "Sorry."


async def test_an_error_whose_text_no_file_takes_is_reported_all_the_same() -> None:
    async def broken() -> str:
        raise ValueError("\ud800")

    async with opened(calling(call("broken")), "Sorry.") as t:
        (outcome,) = (await t.run("Go", tools=[broken])).steps[0].results
        assert outcome.text == "Error: ValueError: ?"


class SpeechlessError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


async def test_an_error_that_cannot_be_read_is_reported_by_its_name() -> None:
    async def broken() -> str:
        raise SpeechlessError

    async with opened(calling(call("broken")), "Sorry.") as t:
        (outcome,) = (await t.run("Go", tools=[broken])).steps[0].results
        assert outcome.text == "Error: SpeechlessError"


async def test_a_long_result_is_recorded_as_a_short_one_is() -> None:
    def read() -> str:
        return "word " * 40_000

    async with opened(calling(call("read")), "Done.") as t:
        (outcome,) = (await t.run("Go", tools=[read])).steps[0].results
        assert (outcome.text, outcome.commit_info.tokens) == ("word " * 40_000, (await t.compile()).token_counts[2])


async def test_the_status_of_a_result_is_stored() -> None:
    async with opened(calling(call("fail")), "Done.") as t:
        result = await t.run("Go", tools=[fail])
        detail = await t.show(result.steps[0].results[0].commit_info.id)
        assert getattr(detail.content, "status", None) == "error"


async def test_a_tool_that_raises_a_cancellation_of_its_own_has_failed_and_the_run_goes_on() -> None:
    async def cancelled() -> str:
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting.cancel()
        return await waiting

    async with opened(calling(call("cancelled"), call("add", '{"a": 1}', "c2")), "Done.") as t:
        result = await t.run("Go", tools=[cancelled, add])
        assert [outcome.text for outcome in result.steps[0].results] == ["Error: CancelledError", "2"]


async def test_a_tool_that_cancels_its_own_task_has_failed_and_the_run_goes_on() -> None:
    async def cancelling() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return "never"

    async with opened(calling(call("cancelling"), call("add", '{"a": 1}', "c2")), "Done.") as t:
        result = await t.run("Go", tools=[cancelling, add])
        assert [outcome.text for outcome in result.steps[0].results] == ["Error: CancelledError", "2"]


async def test_a_tool_that_cancels_its_task_behind_its_back_ends_the_run_with_an_error_of_ours() -> None:
    async def cancelling() -> str:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        return "done"

    async with opened(calling(call("cancelling")), "Done.") as t:
        with pytest.raises(TurnStateError, match="cancelled"):
            await t.run("Go", tools=[cancelling])
        assert (await t.run(tools=[cancelling])).text == "Done."
        assert (await spoken(t))[2] == ("tool", "done")


class Stopped(BaseException):
    """What no run may keep to itself."""


async def stop() -> str:
    """Stop on the event loop."""
    raise Stopped


def stop_thread() -> str:
    """Stop in a thread."""
    raise Stopped


@pytest.mark.parametrize("tool", [stop, stop_thread])
async def test_what_is_no_exception_leaves_the_run_by_itself(tool: Any) -> None:
    async with opened(calling(call(tool.__name__)), "Done.") as t:
        with pytest.raises(Stopped):
            await t.run("Go", tools=[tool])
        assert await spoken(t) == [("user", "Go"), ("assistant", tool.__name__), ("tool", "[no result recorded]")]


async def test_tools_of_one_answer_run_at_once_and_results_stand_in_the_order_they_came() -> None:
    second_is_done = asyncio.Event()

    async def first() -> str:
        await second_is_done.wait()
        return "one"

    async def second() -> str:
        second_is_done.set()
        return "two"

    async with asyncio.timeout(5), opened(calling(call("first"), call("second", id="c2")), "Done.") as t:
        result = await t.run("Go", tools=[first, second])
        assert [outcome.text for outcome in result.steps[0].results] == ["one", "two"]
        assert [text for role, text in await spoken(t) if role == "tool"] == ["two", "one"]


async def test_no_more_tools_run_at_a_time_than_the_caller_allows() -> None:
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1

    async with opened(calling(*(call("work", id=f"c{number}") for number in range(9))), "Done.") as t:
        await t.run("Go", tools=[work], max_concurrency=3)
        assert most == 3


async def test_plain_functions_run_in_threads_with_the_context_of_the_caller() -> None:
    both, who = threading.Barrier(2), contextvars.ContextVar("who", default="nobody")

    def meet(name: str) -> str:
        both.wait(10)
        assert threading.current_thread() is not threading.main_thread()
        return f"{name} {who.get()}"

    who.set("ada")
    async with opened(calling(call("meet", '{"name": "a"}'), call("meet", '{"name": "b"}', "c2")), "Done.") as t:
        result = await t.run("Go", tools=[meet])
        assert [outcome.text for outcome in result.steps[0].results] == ["a ada", "b ada"]


async def test_calls_that_share_an_id_get_each_its_own_result() -> None:
    first_may_end = asyncio.Event()

    async def echo(word: str) -> str:
        if word == "slow":
            await asyncio.sleep(0)
            first_may_end.set()
        return word

    asked = calling(call("echo", '{"word": "slow"}'), call("echo", '{"word": "fast"}'))
    async with opened(asked, "Done.") as t:
        await t.run("Go", tools=[echo])
        assert [text for role, text in await spoken(t) if role == "tool"] == ["slow", "fast"]


async def test_ids_that_come_again_in_every_step_are_no_matter() -> None:
    async def echo(word: str) -> str:
        return word

    steps = [calling(call("echo", f'{{"word": "{word}"}}')) for word in ("one", "two", "three")]
    async with opened(*steps, "Done.") as t:
        result = await t.run("Go", tools=[echo])
        assert [step.results[0].text for step in result.steps[:-1]] == ["one", "two", "three"]
        assert [text for role, text in await spoken(t) if role == "tool"] == ["one", "two", "three"]
        assert (await t.compile()).repairs == ()


async def test_a_result_is_on_the_branch_before_the_next_tool_has_one() -> None:
    seen: list[list[tuple[str, str]]] = []

    async def first() -> str:
        return "one"

    async def second() -> str:
        await until_spoken(t, ("tool", "one"))
        seen.append(await spoken(t))
        return "two"

    async with asyncio.timeout(5), opened(calling(call("first"), call("second", id="c2")), "Done.") as t:
        await t.run("Go", tools=[first, second])
        assert seen[0][2:] == [("tool", "one"), ("tool", "[no result recorded]")]


async def test_a_run_iterated_gives_one_step_after_the_other() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        run = t.run("Go", tools=[add])
        heads = []
        async for step in run:
            heads.append((step.number, await t.head()))
        log = await t.log()
        assert heads == [(1, log[1].id), (2, log[0].id)]
        assert run.result.text == "Done."
        assert [step async for step in run] == []


async def test_nothing_happens_between_two_steps_and_leaving_leaves_a_whole_step() -> None:
    model = ScriptedLLM([calling(call("add", '{"a": 2}')), "Done."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        async for _ in t.run("Go", tools=[add]):
            break
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(model.requests) == 1
        assert await spoken(t) == [("user", "Go"), ("assistant", "add"), ("tool", "3")]
        assert (await t.run(tools=[add])).text == "Done."


async def test_a_run_that_nobody_awaits_does_nothing() -> None:
    model = ScriptedLLM(["Done."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        t.run("Go")
        await asyncio.sleep(0)
        assert (model.requests, await t.head()) == ([], None)


async def test_between_two_steps_the_branch_is_free() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        async for step in t.run("Go", tools=[add]):
            if step.number == 1:
                await t.user("Be quick.")
        assert [role for role, _ in await spoken(t)] == ["user", "assistant", "tool", "user", "assistant"]


async def test_a_run_awaited_in_the_midst_of_its_steps_does_the_rest() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        run = t.run("Go", tools=[add])
        async for _ in run:
            break
        result = await run
        assert (result.text, len(result.steps)) == ("Done.", 2)
        assert await run == result


async def test_each_step_is_told_once_it_is_recorded() -> None:
    told: list[tuple[int, int]] = []

    async def on_step(step: RunStep) -> None:
        told.append((step.number, len(await t.log())))

    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        await t.run("Go", tools=[add], on_step=on_step)
        assert told == [(1, 3), (2, 4)]


async def test_what_is_told_of_steps_may_write_to_the_branch() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        await t.run("Go", tools=[add], on_step=lambda step: t.user("More.") if step.number == 1 else None)
        assert (await texts(t))[3] == "More."


async def test_an_exception_of_what_is_told_of_steps_leaves_a_whole_step() -> None:
    def on_step(step: RunStep) -> None:
        raise LookupError

    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        run = t.run("Go", tools=[add], on_step=on_step)
        with pytest.raises(LookupError):
            await run
        assert await spoken(t) == [("user", "Go"), ("assistant", "add"), ("tool", "3")]
        with pytest.raises(TurnStateError):
            await run
        assert (await t.run(tools=[add])).text == "Done."


async def test_what_is_told_of_steps_cannot_end_the_loop_in_silence() -> None:
    def on_step(step: RunStep) -> None:
        raise StopAsyncIteration

    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            async for _ in t.run("Go", tools=[add], on_step=on_step):
                pass
        assert (await t.run(tools=[add])).text == "Done."


async def test_at_the_most_steps_the_result_says_so_and_the_run_can_go_on() -> None:
    async with AsyncTract.open(llm=ScriptedLLM(counting(3, "look_around")), model="tiny") as t:

        async def look_around() -> str:
            return "walls"

        result = await t.run("Go", tools=[look_around], max_steps=2)
        assert (result.finish_reason, result.is_finished, len(result.steps)) == ("max_steps", False, 2)
        assert str(result) == "(stopped at max_steps; run() without a text goes on)"
        assert (await spoken(t))[-1] == ("tool", "walls")
        result = await t.run(tools=[look_around], max_steps=2)
        assert (result.text, result.is_finished, len(result.steps)) == ("Done.", True, 2)


async def test_usage_is_that_of_all_model_calls_of_the_run() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        result = await t.run("Go", tools=[add])
        first, second = (step.response.usage or TokenUsage() for step in result.steps)
        assert result.usage is not None
        assert result.usage.prompt == (first.prompt or 0) + (second.prompt or 0)
        report = await t.usage(by="verb")
        assert [(each.group, each.calls) for each in report.sums] == [(("run",), 2)]


async def test_model_calls_of_a_run_are_recorded_as_such() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        await t.run("Go", tools=[add])
        assert [(info.verb, info.status) for info in await t.generations()] == [("run", "completed")] * 2


async def test_a_forced_call_is_forced_once() -> None:
    model = ScriptedLLM([calling(call("add", '{"a": 2}')), "Done."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.run("Go", tools=[add], tool_choice="required")
        assert [request.tool_choice for request in model.requests] == ["required", None]


async def test_the_last_answer_has_the_form_that_was_asked_for() -> None:
    async with opened(calling(call("add", '{"a": 2}')), '{"city": "Oslo", "on": "2026-01-02"}') as t:
        result = await t.run("Go", tools=[add], response_format=Found)
        assert [step.response.parsed for step in result.steps] == [None, Found("Oslo", date(2026, 1, 2))]
        again = await t.run(response_format=Found)
        assert again.response == result.response


async def test_an_answer_without_the_form_fails_and_the_question_can_be_asked_again() -> None:
    async with opened("Oslo.", '{"city": "Oslo", "on": "2026-01-02"}') as t:
        with pytest.raises(ModelAnswerError):
            await t.run("Go", response_format=Found)
        assert (await t.run(response_format=Found)).response.parsed == Found("Oslo", date(2026, 1, 2))
        assert len(await t.log()) == 2


async def test_tools_may_come_one_by_one() -> None:
    async with opened(calling(call("add", '{"a": 2}')), "Done.") as t:
        assert (await t.run("Go", tools=(tool for tool in [add, fail]))).steps[0].results[0].text == "3"


async def test_a_run_without_tools_is_one_turn() -> None:
    async with opened("Hello.") as t:
        result = await t.run("Hi", message="why", metadata={"n": 1})
        assert (result.text, len(result.steps)) == ("Hello.", 1)
        question = (await t.log())[1]
        assert (question.message, question.metadata) == ("why", {"n": 1})


async def test_a_question_that_stands_on_the_branch_is_answered() -> None:
    async with opened("Hello.") as t:
        await t.user("Hi")
        assert (await t.run()).text == "Hello."
        assert await texts(t) == ["Hi", "Hello."]


async def test_a_failed_model_call_leaves_the_branch_behind_the_last_whole_step() -> None:
    async with opened(calling(call("add", '{"a": 2}')), ModelConnectionError(), "Done.") as t:
        with pytest.raises(ModelConnectionError):
            await t.run("Go", tools=[add])
        assert await spoken(t) == [("user", "Go"), ("assistant", "add"), ("tool", "3")]
        assert (await t.run(tools=[add])).text == "Done."


async def test_tool_results_are_beyond_every_budget() -> None:
    async def long() -> str:
        return "word " * 500

    async with opened(calling(call("long")), "Done.", budget=TokenBudget(100, "reject")) as t:
        result = await t.run("Go", tools=[long], max_steps=1)
        assert result.steps[0].results[0].status == "ok"
        with pytest.raises(BudgetExceededError):
            await t.run(tools=[long])


async def test_a_tool_cannot_add_to_the_branch_of_its_run() -> None:
    async def write() -> str:
        await t.user("never")
        return "written"

    async with opened(calling(call("write")), "Done.") as t:
        (outcome,) = (await t.run("Go", tools=[write])).steps[0].results
        assert outcome.text.startswith("Error: TurnInProgressError")
        assert "never" not in await texts(t)


async def test_a_plain_function_cannot_add_to_the_branch_either() -> None:
    def write() -> str:
        anyio.from_thread.run(t.user, "never")
        return "written"

    async with opened(calling(call("write")), "Done.") as t:
        (outcome,) = (await t.run("Go", tools=[write])).steps[0].results
        assert outcome.text.startswith("Error: TurnInProgressError")


async def test_a_tool_may_read_the_branch_and_write_to_another() -> None:
    async def write() -> int:
        await other.user("noted")
        return len((await t.compile()).messages)

    async with opened(calling(call("write")), "Done.") as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other:
            result = await t.run("Go", tools=[write])
            assert result.steps[0].results[0].text == "4"
        assert await texts(t, "other") == ["Be kind.", "noted"]


async def test_a_tool_may_run_a_model_on_another_branch() -> None:
    async def ask(question: str) -> Any:
        return (await other.run(question)).text

    async with opened(calling(call("ask", '{"question": "How?"}')), "So.", "Done.") as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        async with await t.worktree("other") as other:
            result = await t.run("Go", tools=[ask])
        assert (result.steps[0].results[0].text, result.text) == ("So.", "Done.")
        assert await texts(t, "other") == ["Be kind.", "How?", "So."]


async def test_a_tool_cannot_run_a_model_on_the_branch_of_its_run() -> None:
    async def again() -> Any:
        return (await t.run("More")).text

    async with asyncio.timeout(5), opened(calling(call("again")), "Done.") as t:
        (outcome,) = (await t.run("Go", tools=[again])).steps[0].results
        assert outcome.text.startswith("Error: TurnInProgressError")


async def test_a_run_stays_on_its_branch_wherever_the_handle_goes() -> None:
    async def leave() -> str:
        await t.switch("other")
        return "left"

    async with opened(calling(call("leave")), "Done.") as t:
        await t.system("Be kind.")
        await t.branch("other", switch=False)
        await t.run("Go", tools=[leave])
        assert t.current_branch == "other"
        assert [len(await texts(t, name)) for name in ("main", "other")] == [5, 1]


async def test_what_no_model_can_answer_is_refused_and_leaves_nothing_behind() -> None:
    async with opened("never") as t:
        with pytest.raises(ContentValidationError, match="nothing to answer"):
            await t.run()
        assert await t.head() is None


async def test_without_a_model_a_run_says_so_and_records_nothing() -> None:
    async with AsyncTract.open() as t:
        before = await state(t)
        with pytest.raises(ModelNotConfiguredError):
            await t.run("Go")
        assert await state(t) == before


async def test_a_schema_without_a_function_cannot_be_run() -> None:
    schema: Mapping[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    async with opened("never") as t:
        with pytest.raises(ConfigError, match=r"tools\[1\]"):
            t.run("Go", tools=[add, schema])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_steps": 0}, "max_steps"),
    ({"max_steps": True}, "max_steps"),
    ({"max_concurrency": 0}, "max_concurrency"),
    ({"on_step": 1}, "on_step"),
    ({"timeout": 0}, "timeout"),
]


@pytest.mark.parametrize(("arguments", "field"), REFUSED)
async def test_arguments_out_of_range_are_named(arguments: dict[str, Any], field: str) -> None:
    async with opened("never") as t:
        with pytest.raises(ContentValidationError) as caught:
            t.run("Go", **arguments)
        assert caught.value.field == field


async def test_a_run_inside_a_batch_is_refused() -> None:
    async with opened("never") as t, t.batch():
        await t.user("Hi")
        with pytest.raises(BatchError):
            await t.run()


async def test_a_run_inside_a_stream_on_its_branch_is_refused() -> None:
    async with opened("Hello.", "never") as t, t.stream("Hi"):
        with pytest.raises(TurnInProgressError):
            await t.run("Go")


async def test_an_iterated_run_belongs_to_one_task() -> None:
    def reply(request: ModelRequest) -> Any:
        return hold()

    async def hold() -> str:
        await asyncio.sleep(0)
        return "Done."

    async with AsyncTract.open(llm=ScriptedLLM(reply), model="tiny") as t:
        run = t.run("Go")
        done = await asyncio.gather(anext(run), anext(run), return_exceptions=True)
        assert [type(each) for each in done] == [RunStep, TurnStateError]
