"""Story: somebody mistakes what a verb takes, and reads in the error what to write instead."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tract import AsyncTract, LLMConfig
from tract.errors import ConfigError, ContentValidationError, ModelResponseError
from tract.testing import ScriptedLLM
from tract.testing.server import Fail, serve

Mistake = Callable[[Any], Awaitable[object]]


async def weather(city: str) -> str:
    return city


class Model:
    """What a pydantic model looks like from outside."""

    model_json_schema = dict


MISTAKES: dict[str, tuple[Mistake, type[Exception], str]] = {
    "a setting with a typo": (lambda t: t.chat("Hi", temprature=0.5), TypeError, "did you mean 'temperature'?"),
    "an option of the provider": (
        lambda t: t.chat("Hi", reasoning_effort="low"),
        TypeError,
        "an option of the provider goes into extra={'reasoning_effort': ...}",
    ),
    "a provider's name of a setting": (lambda t: t.run("Hi", stop="."), TypeError, "did you mean 'stop_sequences'?"),
    "one tool and no list": (lambda t: t.run("Hi", tools=weather), ConfigError, "one alone is written tools=[tool]"),
    "a tool that was called": (
        lambda t: t.chat("Hi", tools=[weather("Graz")]),
        ConfigError,
        "tools[0]: it is a coroutine; give the function itself, without calling it",
    ),
    "a tool's name": (lambda t: t.chat("Hi", tools=["weather"]), ConfigError, "or a mapping with its schema, not str"),
    "a pydantic model": (lambda t: t.chat("Hi", response_format=Model), ConfigError, "give its model_json_schema()"),
    "a list of answers": (
        lambda t: t.chat("Hi", response_format=list[int]),
        ConfigError,
        "not list[int]; give a class that has it as a field",
    ),
    "a value as a form": (lambda t: t.chat("Hi", response_format=3), ConfigError, "a mapping of OpenAI's, not int"),
    "a field of extra": (lambda t: t.query_by_config("seeds", "=", 1), ContentValidationError, "such as extra.seeds"),
    "a comparison with nothing": (
        lambda t: t.query_by_config("temperature", "<"),
        ContentValidationError,
        "value: < needs one",
    ),
    "an operator with a typo": (
        lambda t: t.query_by_config(("temperature", "=>", 1)),
        ContentValidationError,
        "what.operator: it must be one of",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
async def test_the_error_says_what_to_write_instead_and_nothing_is_recorded(what: str) -> None:
    mistake, kind, advice = MISTAKES[what]
    async with AsyncTract.open(llm=ScriptedLLM([]), model="tiny") as t:
        with pytest.raises(kind) as caught:
            await mistake(t)
        assert advice in str(caught.value)
        assert (await t.head(), await t.generations()) == (None, ())


async def test_what_belongs_to_the_request_is_no_option_of_the_provider(t: AsyncTract) -> None:
    options: dict[str, Any] = {"stream": True}
    with pytest.raises(TypeError, match=r"^chat\(\) got an unexpected keyword argument 'stream'$"):
        await t.chat("Hi", **options)


async def test_a_model_s_name_is_no_client() -> None:
    client: Any = "gpt-4"
    with pytest.raises(ConfigError, match="llm: it is a string; a model's name goes into model="):
        await AsyncTract.open(llm=client)


async def test_a_client_of_the_provider_s_package_is_none_of_ours() -> None:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="k") as sdk:
        client: Any = sdk
        with pytest.raises(ConfigError, match=r"llm: it is a client of the openai package; give tract\.OpenAIClient"):
            await AsyncTract.open(llm=client)


async def test_one_condition_needs_no_list_around_it() -> None:
    async with AsyncTract.open() as t:
        made = await t.user("Hi", generation_config=LLMConfig(temperature=0.5))
        assert await t.query_by_config(("temperature", ">", 0)) == (made,)


async def test_a_refused_request_names_the_code_and_the_parameter() -> None:
    error = {"message": "'SECRET' is not supported.", "code": "unsupported_parameter", "param": "max_tokens"}
    async with serve([Fail(400, body={"error": error})]) as server, AsyncTract.open(model="m", base_url=server.base_url) as t:
        with pytest.raises(ModelResponseError) as caught:
            await t.chat("Hi")
    told = str(caught.value)
    assert told.startswith("The provider refused the request (unsupported_parameter: max_tokens) (HTTP 400).")
    assert "the provider's own words are in __cause__" in told
    assert "SECRET" not in told
    assert "SECRET" in str(caught.value.__cause__)


async def test_words_in_the_place_of_a_code_are_not_repeated() -> None:
    error = {"message": "No.", "code": "You said SECRET", "param": "SECRET thing"}
    async with serve([Fail(400, body={"error": error})]) as server, AsyncTract.open(model="m", base_url=server.base_url) as t:
        with pytest.raises(ModelResponseError) as caught:
            await t.chat("Hi")
    assert "SECRET" not in str(caught.value)
