"""Story: an answer is wanted in a form, and comes as a value of it or not at all."""

from typing import Any

import pytest
from attrs import field, frozen

from tests.acceptance.reading import state, texts
from tests.acceptance.scripting import opened
from tract import AsyncTract, DialogueContent, ModelReply, ParsedResponse, ToolCall
from tract.errors import ConfigError, ModelAnswerError, OperationMismatchError
from tract.testing import ScriptedLLM
from tract.testing.server import Reply, serve

ID = "01928c5e-0000-7000-8000-000000000001"


def positive(_: object, __: object, value: int) -> None:
    if value <= 0:
        raise ValueError(value)


def stripped(text: str) -> str:
    return text.strip()


@frozen
class Weather:
    city: str = field(converter=stripped)
    degrees: int = field(validator=positive)


RAIN = '{"city": " Bonn ", "degrees": 9}'


def forecast(city: str) -> str:
    """Tell what the weather will be."""
    return city


CALL = ModelReply(None, tool_calls=(ToolCall("a", "forecast", '{"city": "Bonn"}'),))


async def test_an_answer_is_an_instance_of_the_class_that_was_asked_for() -> None:
    async with opened([RAIN]) as t:
        response = await t.chat("How is it?", response_format=Weather)
        assert (type(response), response.parsed) == (ParsedResponse, Weather("Bonn", 9))
        assert (response.text, await texts(t)) == (RAIN, ["How is it?", RAIN])


async def test_a_stream_has_the_instance_when_it_is_read() -> None:
    async with opened([RAIN]) as t:
        async with t.stream("How is it?", response_format=Weather) as answer:
            assert "".join([delta async for delta in answer]) == RAIN
        assert answer.response.parsed == Weather("Bonn", 9)


async def test_a_stream_that_was_left_has_no_instance() -> None:
    async with opened([RAIN]) as t:
        async with t.stream("How is it?", response_format=Weather) as answer:
            await anext(answer)
        assert (answer.response.parsed, answer.response.finish_reason) == (None, "cancelled")


async def test_by_a_schema_an_answer_is_json() -> None:
    async with opened(["[1, 2]"]) as t:
        assert (await t.chat("Numbers?", response_format={"type": "array"})).parsed == [1, 2]


async def test_without_a_form_nothing_is_read() -> None:
    async with opened([RAIN]) as t:
        assert (await t.chat("How is it?")).parsed is None


WRONG = {
    "no JSON": ModelReply("It rains."),
    "another shape": ModelReply('{"city": "Bonn"}'),
    "what a validator refuses": ModelReply('{"city": "Bonn", "degrees": -1}'),
    "cut by length": ModelReply('{"city": "Bo', finish_reason="length"),
    "cut by length behind its end": ModelReply(RAIN, finish_reason="length"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_another_answer_is_kept_whole_beside_the_branch(what: str) -> None:
    async with opened([WRONG[what], RAIN]) as t:
        await t.system("Be brief.")
        before = await state(t)
        with pytest.raises(ModelAnswerError) as caught:
            await t.chat("How is it?", response_format=Weather)
        assert await state(t) == before
        kept = (await t.show(caught.value.partial or "")).content
        assert kept == DialogueContent("assistant", WRONG[what].text)
        assert (await t.generations())[0].text == WRONG[what].text
        assert (await t.chat("How is it?", response_format=Weather)).parsed == Weather("Bonn", 9)
        assert await texts(t) == ["Be brief.", "How is it?", RAIN]


async def test_what_another_answer_cost_is_counted() -> None:
    async with opened(["It rains."]) as t:
        with pytest.raises(ModelAnswerError):
            await t.chat("How is it?", response_format=Weather)
        total = (await t.usage()).total
        assert (total.calls, total.unreported) == (1, 0)


async def test_an_answer_that_was_read_to_its_end_may_be_kept_on_the_branch_all_the_same() -> None:
    async with opened(["It rains."]) as t:
        with pytest.raises(ModelAnswerError) as caught:
            await t.chat("How is it?", response_format=Weather, keep_partial=True)
        assert await texts(t) == ["How is it?", "It rains."]
        assert caught.value.is_on_branch
        assert "where it was" not in str(caught.value)


async def test_no_word_of_the_answer_is_in_the_error() -> None:
    async with opened(['{"city": "Bonn", "degrees": "secret"}']) as t:
        with pytest.raises(ModelAnswerError, match="at degrees: expected `int`") as caught:
            await t.chat("How is it?", response_format=Weather)
    assert "secret" not in str(caught.value)


async def test_an_answer_that_calls_a_tool_is_not_read() -> None:
    async with opened([CALL, RAIN]) as t:
        response = await t.chat("How is it?", tools=[forecast], response_format=Weather)
        assert (response.parsed, response.tool_calls) == (None, CALL.tool_calls)
        await t.tool_result("a", "rain")
        assert (await t.generate(tools=[forecast], response_format=Weather)).parsed == Weather("Bonn", 9)


async def test_where_no_tool_was_offered_a_call_is_not_the_form() -> None:
    async with opened([CALL]) as t:
        with pytest.raises(ModelAnswerError):
            await t.chat("How is it?", response_format=Weather)
        assert await t.head() is None


async def test_a_repeated_call_gives_the_instance_again(path: str) -> None:
    async with opened([RAIN], path) as t:
        first = await t.chat("How is it?", response_format=Weather, operation_id=ID)
    async with opened([], path) as t:
        assert await t.chat("How is it?", response_format=Weather, operation_id=ID) == first
        assert first.parsed == Weather("Bonn", 9)


async def test_a_repeated_call_that_wants_another_form_is_another_call() -> None:
    async with opened([RAIN]) as t:
        await t.chat("How is it?", response_format=Weather, operation_id=ID)
        with pytest.raises(OperationMismatchError):
            await t.chat("How is it?", response_format={"type": "json_object"}, operation_id=ID)


async def test_what_is_no_form_is_refused_before_anything_is_recorded() -> None:
    wrong: Any = int
    model = ScriptedLLM([])
    async with AsyncTract.open(llm=model, model="tiny") as t:
        with pytest.raises(ConfigError, match="response_format"):
            await t.chat("How is it?", response_format=wrong)
        assert (await t.head(), await t.generations(), model.requests) == (None, (), [])


async def test_the_form_that_was_asked_for_is_read_after_reopening(path: str) -> None:
    async with opened([RAIN], path) as t:
        await t.chat("How is it?", response_format=Weather)
        sent = (await t.generations())[0].response_format
    async with opened([], path) as t:
        assert (await t.generations())[0].response_format == sent
        assert sent is not None
        assert sent["json_schema"]["name"] == "Weather"


async def test_over_http_the_form_is_sent_and_the_answer_read() -> None:
    async with serve([Reply(RAIN)]) as server, AsyncTract.open(base_url=server.base_url, model="tiny") as t:
        response = await t.chat("How is it?", response_format=Weather)
    assert response.parsed == Weather("Bonn", 9)
    assert server.requests[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Weather",
            "schema": {
                "title": "Weather",
                "type": "object",
                "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
                "required": ["city", "degrees"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
