"""Story: a model is offered tools, and what it calls is what it was offered."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.counting import WordCounter, words
from tests.acceptance.reading import from_elsewhere, state, texts
from tests.acceptance.scripting import opened
from tract import AsyncTract, BudgetReport, DialogueContent, ModelReply, TokenBudget, ToolCall
from tract.errors import BudgetExceededError, ConfigError, ModelAnswerError, OperationMismatchError
from tract.testing import ScriptedLLM
from tract.testing.server import Reply, serve

ID = "01928c5e-0000-7000-8000-000000000001"


def forecast(city: str, days: int = 1) -> str:
    """Tell what the weather will be.

    Args:
        city: Where.
    """
    return city * days


def clock() -> str:
    return "noon"


FORECAST: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "Tell what the weather will be.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where."},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}},
}
CALLS = (ToolCall("a", "forecast", '{ "city":"Bonn"}'), ToolCall("b", "clock", ""))


async def test_functions_are_sent_as_schemas() -> None:
    model = ScriptedLLM(["Fine."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.chat("Hi", tools=[forecast, CLOCK["function"]], tool_choice="auto")
    assert (model.requests[0].tools, model.requests[0].tool_choice) == ((FORECAST, CLOCK), "auto")


@pytest.mark.parametrize(
    "choice",
    [forecast, "forecast", {"type": "function", "function": {"name": "forecast"}}],
    ids=["function", "name", "mapping"],
)
async def test_one_tool_is_chosen_by_itself_its_name_or_a_mapping(choice: Any) -> None:
    model = ScriptedLLM([ModelReply(None, tool_calls=CALLS[:1])])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.chat("Hi", tools=[clock, forecast], tool_choice=choice)
    assert model.requests[0].tool_choice == {"type": "function", "function": {"name": "forecast"}}


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}])
async def test_another_choice_is_sent_as_it_is(choice: Any) -> None:
    model = ScriptedLLM(["Fine."])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        await t.chat("Hi", tools=[forecast], tool_choice=choice)
    assert model.requests[0].tool_choice == choice


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a tool that is none": ({"tools": [forecast, 5]}, "tools[1]"),
    "a parameter without a hint": ({"tools": [lambda city: city]}, "tools[0].city"),
    "a choice without tools": ({"tool_choice": "auto"}, "tool_choice"),
    "a choice without any tool": ({"tools": [], "tool_choice": "auto"}, "tool_choice"),
    "a name of no tool": ({"tools": [forecast], "tool_choice": "clock"}, "tool_choice"),
    "a function that is not offered": ({"tools": [forecast], "tool_choice": clock}, "tool_choice"),
    "a mapping of no tool": (
        {"tools": [forecast], "tool_choice": {"type": "function", "function": {"name": "clock"}}},
        "tool_choice",
    ),
    "a mapping without a name": ({"tools": [forecast], "tool_choice": {"type": "function", "name": "forecast"}}, "tool_choice"),
    "a mapping without a type": ({"tools": [forecast], "tool_choice": {"name": "forecast"}}, "tool_choice"),
    "a mapping that is no JSON": ({"tools": [forecast], "tool_choice": {"type": "any", "more": {1}}}, "tool_choice"),
    "a choice that is a number": ({"tools": [forecast], "tool_choice": 5}, "tool_choice"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_offered_is_refused_before_anything_is_recorded(what: str) -> None:
    options, place = REFUSED[what]
    model = ScriptedLLM([])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        for ask in (t.chat("Hi", **options), t.generate(**options)):
            with pytest.raises(ConfigError) as caught:
                await ask
            assert caught.value.field == place
        with pytest.raises(ConfigError):
            t.stream("Hi", **options)
        assert (await t.head(), await t.generations(), model.requests) == (None, (), [])


async def test_calls_are_read_back_as_they_were_made_after_reopening(path: str) -> None:
    async with opened([ModelReply("One moment.", tool_calls=CALLS)], path) as t:
        response = await t.chat("How is it?", tools=[forecast, clock], tool_choice="required")
        assert (response.tool_calls, response.finish_reason) == (CALLS, "tool_calls")
    async with AsyncTract.open(path) as t:
        assert (await t.show("HEAD")).content == DialogueContent("assistant", "One moment.", tool_calls=CALLS)
        (told,) = await t.generations()
        assert (told.tools, told.tool_choice, told.response_format) == ((FORECAST, CLOCK), "required", None)


async def test_a_call_that_offers_nothing_has_nothing_recorded_of_it() -> None:
    async with opened(["Fine."]) as t:
        await t.chat("Hi")
        (told,) = await t.generations()
        assert (told.tools, told.tool_choice, told.response_format) == ((), None, None)


Ask = Callable[[AsyncTract], Awaitable[object]]


async def chat(t: AsyncTract) -> object:
    return await t.chat("How is it?", tools=[forecast])


async def generate(t: AsyncTract) -> object:
    return await t.generate(tools=[forecast])


async def stream(t: AsyncTract) -> object:
    async with t.stream("How is it?", tools=[forecast]) as answer:
        return [delta async for delta in answer]


ODD = {
    "a tool that was not offered": ToolCall("a", "clock", "{}"),
    "arguments that are no JSON": ToolCall("a", "forecast", '{"city": "Bo'),
    "arguments that are no object": ToolCall("a", "forecast", '["Bonn"]'),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("ask", [chat, generate, stream])
async def test_another_call_is_kept_whole_beside_the_branch_and_asking_again_doubles_nothing(ask: Ask, what: str) -> None:
    async with opened([ModelReply("Let me see.", tool_calls=(ODD[what],)), "Fine."]) as t:
        await t.user("Good morning.")
        before = await state(t)
        with pytest.raises(ModelAnswerError) as caught:
            await ask(t)
        assert await state(t) == before
        kept = (await t.show(caught.value.partial or "")).content
        assert kept == DialogueContent("assistant", "Let me see.", tool_calls=(ODD[what],))
        (told,) = await t.generations()
        assert (told.id, told.status, told.answer) == (caught.value.generation, "failed", caught.value.partial)
        await ask(t)
        assert (await texts(t)).count("How is it?") <= 1
        assert (await texts(t))[-1] == "Fine."


async def test_where_no_tools_are_offered_calls_are_not_looked_at() -> None:
    async with opened([ModelReply(None, tool_calls=(ODD["arguments that are no JSON"],))]) as t:
        assert (await t.chat("How is it?")).tool_calls == (ODD["arguments that are no JSON"],)


async def test_a_repeated_call_gives_the_calls_again(path: str) -> None:
    async with opened([ModelReply(None, tool_calls=CALLS)], path) as t:
        first = await t.chat("Hi", tools=[forecast, clock], operation_id=ID)
    async with opened([], path) as t:
        assert await t.chat("Hi", tools=[forecast, clock], operation_id=ID) == first
        with pytest.raises(OperationMismatchError):
            await t.chat("Hi", tools=[forecast], operation_id=ID)


def offers(path: str) -> list[tuple[str | None, str | None]]:
    """Return which blobs hold the tools and the choice of each call."""
    told = "SELECT json_extract(data, '$.tools'), json_extract(data, '$.options') FROM events WHERE type = 'generation.started'"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(told).fetchall()


async def test_the_same_offer_is_stored_once(path: str) -> None:
    async def ask(t: AsyncTract) -> None:
        await t.configure_llm(ScriptedLLM(["Fine.", "Fine."]))
        for _ in range(2):
            await t.chat("Hi", tools=[forecast, clock], tool_choice="auto", model="tiny")

    await from_elsewhere(path, ask)
    await from_elsewhere(path, ask)
    first, *rest = offers(path)
    assert None not in first
    assert rest == [first] * 3


async def test_another_offer_is_another_blob(path: str) -> None:
    async with opened(lambda _: "Fine.", path) as t:
        await t.chat("Hi", tools=[forecast])
        await t.chat("Hi", tools=[clock])
    (one, no_choice), (other, _) = offers(path)
    assert (one != other, no_choice) == (True, None)


ONE = {"name": "x", "description": words(40)}
"""A tool whose JSON has 40 words."""


def limited(tokens: int, action: Any, **options: Any) -> Any:
    budget = TokenBudget(tokens, action)
    return AsyncTract.open(budget=budget, tokens=WordCounter(), llm=ScriptedLLM(lambda _: "ok"), model="tiny", **options)


async def test_the_tools_that_are_offered_count_towards_the_budget_of_the_turn() -> None:
    async with limited(43, "reject") as t:
        with pytest.raises(BudgetExceededError) as caught:
            await t.chat("Hi", tools=[ONE])
        assert (caught.value.tokens, await t.head(), await t.generations()) == (44, None, ())
        await t.chat("Hi")


async def test_tools_that_fit_are_offered() -> None:
    async with limited(44, "reject") as t:
        await t.chat("Hi", tools=[ONE])
        assert (await t.status()).token_source == "reported:tiny"


async def test_who_watches_the_budget_is_told_of_the_tools_as_well() -> None:
    reports: list[BudgetReport] = []

    async def listen(report: BudgetReport) -> None:
        reports.append(report)

    async with limited(20, "warn", on_budget=listen) as t:
        await t.chat("Hi", tools=[ONE])
        await t.user("Hi")
    assert [report.tokens for report in reports] == [44, 45]


async def test_over_http_tools_and_choice_are_sent_and_calls_come_back() -> None:
    async with serve([Reply(None, tool_calls=CALLS)]) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        response = await t.chat("How is it?", tools=[forecast, clock], tool_choice=forecast)
    assert response.tool_calls == CALLS
    body = server.requests[0].body
    assert (body["tools"], body["tool_choice"]) == ([FORECAST, CLOCK], {"type": "function", "function": {"name": "forecast"}})
    assert "response_format" not in body


async def test_over_http_a_call_that_was_not_offered_leaves_the_branch_where_it_was() -> None:
    async with serve([Reply(None, tool_calls=CALLS)]) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        with pytest.raises(ModelAnswerError, match=r"tool_calls\[1\]") as caught:
            await t.chat("How is it?", tools=[forecast])
        assert await t.head() is None
        assert (await t.show(caught.value.partial or "")).content == DialogueContent("assistant", tool_calls=CALLS, text=None)
        assert len(server.requests) == 1
