"""Story: of all who say how a model is asked, the nearest to the call is heard, setting by setting."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tract import AsyncTract, LLMConfig, ModelReply, OperationConfigs
from tract.errors import ConfigError
from tract.testing import ScriptedLLM
from tract.testing.server import Reply, serve

FIELDS: dict[str, tuple[Any, ...]] = {
    "model": ("m0", "m1", "m2", "m3", "m4"),
    "temperature": (0.0, 0.1, 0.2, 0.3, 0.4),
    "top_p": (0.0, 0.1, 0.2, 0.3, 0.4),
    "max_tokens": (10, 11, 12, 13, 14),
    "stop_sequences": (["s0"], ["s1"], ["s2"], ["s3"], []),
    "frequency_penalty": (0.0, 0.1, 0.2, 0.3, 0.4),
    "presence_penalty": (0.0, 0.1, 0.2, 0.3, 0.4),
    "top_k": (10, 11, 12, 13, 14),
    "seed": (0, 1, 2, 3, 4),
    "extra": ({"o": 0}, {"o": 1}, {"o": 2}, {"o": 3}, {"o": None}),
}
"""By field a value for each who may say it: tract, handle, operation, the call's config, the call itself."""


class Layers(NamedTuple):
    """What each says who may say how a model is asked, the farthest from the call first."""

    tract: dict[str, Any]
    handle: dict[str, Any]
    operation: dict[str, Any]
    llm_config: dict[str, Any]
    call: dict[str, Any]


def merged(layers: Layers) -> dict[str, Any]:
    """What is asked with, in terms of dicts alone."""
    found: dict[str, Any] = {}
    for layer in layers:
        extra = {**found.get("extra", {}), **layer.get("extra", {})}
        found |= layer
        if extra:
            found["extra"] = extra
    return found


async def asked(layers: Layers) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What a client is given, what the response says and what the log holds, of a call with all these layers."""
    llm = ScriptedLLM([ModelReply("Hello.", model="answering")])
    async with AsyncTract.open(llm=llm, llm_config=LLMConfig(**layers.handle)) as t:
        async with await t.worktree("main", name="beside") as beside:
            # Not with `t`: what a handle configures goes before what itself was opened with.
            await beside.configure(
                llm_config=LLMConfig(**layers.tract), operations=OperationConfigs(chat=LLMConfig(**layers.operation))
            )
        response = await t.chat("Hi", llm_config=LLMConfig(**layers.llm_config), **layers.call)
        (info, *_) = await t.log(1)
    assert info.generation_config is not None
    return llm.requests[0].config.to_dict(), response.generation_config.to_dict(), info.generation_config.to_dict()


def said(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What `asked` gives of what was asked with: the log has the model that answered."""
    answered = {**config, "model": "answering"}
    return config, answered, answered


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("nearest", range(5))
async def test_of_those_who_set_a_field_the_nearest_to_the_call_is_heard(field: str, nearest: int) -> None:
    values = FIELDS[field]
    layers = Layers(*({field: values[place]} if place <= nearest else {} for place in range(5)))
    if field != "model":
        layers.tract["model"] = "tiny"
    assert await asked(layers) == said(merged(layers))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("only", range(5))
async def test_a_field_that_one_of_them_sets_is_sent_and_recorded(field: str, only: int) -> None:
    layers = Layers({}, {}, {}, {}, {})
    layers.tract["model"] = "tiny"
    layers[only][field] = FIELDS[field][only]
    assert await asked(layers) == said(merged(layers))


def layer(place: int) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, st.SearchStrategy[Any]] = {name: st.just(values[place]) for name, values in FIELDS.items()}
    fields["extra"] = st.dictionaries(st.sampled_from("abc"), st.just(place), min_size=1)
    return st.fixed_dictionaries({}, optional=fields)


@settings(max_examples=40)
@given(st.tuples(*(layer(place) for place in range(5))))
async def test_what_is_asked_with_is_a_merge_of_dicts(given_by: Any) -> None:
    layers = Layers(*given_by)
    layers.tract.setdefault("model", "tiny")
    assert await asked(layers) == said(merged(layers))


@pytest.mark.parametrize("verb", ["chat", "generate", "stream"])
async def test_every_turn_is_asked_with_the_config_for_chat(verb: str) -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm, model="tiny", operations=OperationConfigs(chat=LLMConfig(seed=1))) as t:
        match verb:
            case "chat":
                await t.chat("Hi", temperature=0.5)
            case "generate":
                await t.user("Hi")
                await t.generate(temperature=0.5)
            case "stream":
                async with t.stream("Hi", temperature=0.5) as stream:
                    await stream.finish()
    assert llm.requests[0].config == LLMConfig(model="tiny", seed=1, temperature=0.5)


async def test_a_config_for_another_operation_changes_no_turn() -> None:
    llm = ScriptedLLM(["Hello."])
    others = OperationConfigs(**{name: LLMConfig(model=name) for name in ("merge", "compress", "orchestrate", "collapse")})
    async with AsyncTract.open(llm=llm, model="tiny", operations=others) as t:
        await t.chat("Hi")
    assert llm.requests[0].config == LLMConfig(model="tiny")


async def test_a_setting_of_the_call_that_is_none_says_nothing() -> None:
    llm = ScriptedLLM(["Hello."])
    async with AsyncTract.open(llm=llm, model="tiny") as t:
        await t.chat("Hi", llm_config=LLMConfig(seed=1), seed=None, model=None)
    assert llm.requests[0].config == LLMConfig(model="tiny", seed=1)


async def test_open_takes_a_model_or_a_config_and_not_both() -> None:
    with pytest.raises(ConfigError) as refused:
        await AsyncTract.open(model="tiny", llm_config=LLMConfig(seed=1))
    assert refused.value.field == "model"


async def test_all_that_was_resolved_is_sent_over_http_and_stands_on_the_commit_with_the_model_that_answered() -> None:
    chat = LLMConfig(model="large", temperature=0.5, stop_sequences=["END"], extra={"reasoning_effort": "low", "min_p": 0.1})
    async with serve([Reply("Hello.", model="large-2026")]) as server:
        options: dict[str, Any] = {"base_url": server.base_url, "api_key": "sk-test"}
        async with AsyncTract.open(model="tiny", operations=OperationConfigs(chat=chat), **options) as t:
            response = await t.chat(
                "Hi",
                llm_config=LLMConfig(top_p=0.5, seed=3, extra={"min_p": 0.2}),
                max_tokens=50,
                frequency_penalty=0.5,
                presence_penalty=-0.5,
                top_k=4,
            )
            messages = (await t.compile("HEAD~1")).to_openai()
    assert server.requests[0].body == {
        "model": "large",
        "messages": messages,
        "temperature": 0.5,
        "top_p": 0.5,
        "max_tokens": 50,
        "stop": ["END"],
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "top_k": 4,
        "seed": 3,
        "reasoning_effort": "low",
        "min_p": 0.2,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert response.generation_config == LLMConfig(
        model="large-2026",
        temperature=0.5,
        top_p=0.5,
        max_tokens=50,
        stop_sequences=["END"],
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        top_k=4,
        seed=3,
        extra={"reasoning_effort": "low", "min_p": 0.2},
    )


async def test_no_option_of_a_provider_changes_what_is_asked_and_how_it_is_answered() -> None:
    options = {"messages": [], "stream": False, "stream_options": None, "stop": "no", "logprobs": True}
    config = LLMConfig(model="tiny", extra=options)
    async with serve([Reply("Hello.")]) as server, AsyncTract.open(base_url=server.base_url, llm_config=config) as t:
        await t.chat("Hi", stop_sequences="END")
    body = server.requests[0].body
    assert (body["messages"], body["stream"], body["stream_options"]) == (
        [{"role": "user", "content": "Hi"}],
        True,
        {"include_usage": True},
    )
    assert (body["stop"], body["logprobs"], body["model"]) == (["END"], True, "tiny")
