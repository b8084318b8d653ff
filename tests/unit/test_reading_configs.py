"""What becomes an `LLMConfig`: mappings, requests of providers, objects of other libraries; and what it becomes."""

import copy
import dataclasses
import json
from collections import namedtuple
from types import MappingProxyType, SimpleNamespace
from typing import Any

import attrs
import pydantic
import pytest
from hypothesis import given

from tests.strategies import llm_configs
from tract import LLMConfig
from tract.core.contexts import decode_config
from tract.domain import canonical
from tract.domain.config import stored_config
from tract.domain.plumbing import PLUMBING
from tract.errors import ConfigError


@given(llm_configs())
def test_a_config_reads_back_from_its_dict(config: LLMConfig) -> None:
    again = LLMConfig.from_dict(config.to_dict())
    assert (again, again.to_dict()) == (config, config.to_dict())


@given(llm_configs())
def test_a_config_reads_back_from_json(config: LLMConfig) -> None:
    assert LLMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(llm_configs())
def test_a_config_reads_back_from_what_is_stored(config: LLMConfig) -> None:
    stored = canonical.encode(config.to_dict())
    assert canonical.encode(decode_config(stored).to_dict()) == stored


@given(llm_configs())
def test_equal_configs_hash_alike(config: LLMConfig) -> None:
    again = LLMConfig.from_dict(config.to_dict())
    assert (hash(again), {config: 1}[again]) == (hash(config), 1)


@pytest.mark.parametrize("one", [1.0, True])
def test_configs_that_are_equal_by_numbers_hash_alike(one: object) -> None:
    given, other = LLMConfig(extra={"a": [1, {"b": 0}]}), LLMConfig(extra={"a": [one, {"b": -0.0}]})
    assert (given == other, hash(given) == hash(other)) == (True, True)


@given(llm_configs())
def test_a_copy_is_equal_however_deep(config: LLMConfig) -> None:
    assert copy.copy(config) == copy.deepcopy(config) == copy.deepcopy({"a": [config]})["a"][0] == config


@given(llm_configs())
def test_no_option_stands_in_the_place_of_a_field(config: LLMConfig) -> None:
    assert config.to_dict().get("extra", {}).keys() & {field.name for field in attrs.fields(LLMConfig)} == set()


@given(llm_configs())
def test_an_object_of_our_own_is_itself(config: LLMConfig) -> None:
    assert LLMConfig.from_obj(config) is config


ALIASED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"stop": "END"}, {"stop_sequences": ["END"]}),
    ({"stop": ["END", "STOP"]}, {"stop_sequences": ["END", "STOP"]}),
    ({"stop_sequences": "END"}, {"stop_sequences": ["END"]}),
    ({"stop_sequences": "END", "stop": "STOP"}, {"stop_sequences": ["END"]}),
    ({"stop": "STOP", "stop_sequences": None}, {"stop_sequences": ["STOP"]}),
    ({"stop": "STOP", "stop_sequences": []}, {"stop_sequences": []}),
    ({"max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"max_output_tokens": 5}, {"max_tokens": 5}),
    ({"max_output_tokens": 6, "max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"max_output_tokens": 6, "max_completion_tokens": None}, {"max_tokens": 6}),
    ({"max_completion_tokens": 5, "max_output_tokens": 6, "max_tokens": 7}, {"max_tokens": 7}),
    ({"temperature": 1, "seed": None, "top_p": None}, {"temperature": 1.0}),
]


@pytest.mark.parametrize(("values", "read"), ALIASED)
def test_a_field_is_known_by_its_other_names_unless_its_own_is_there(values: dict[str, Any], read: dict[str, Any]) -> None:
    before = copy.deepcopy(values)
    assert LLMConfig.from_dict(values).to_dict() == read
    assert values == before


@pytest.mark.parametrize("name", sorted(PLUMBING))
def test_what_belongs_to_a_request_alone_is_dropped(name: str) -> None:
    assert LLMConfig.from_dict({"model": "tiny", name: "x"}) == LLMConfig(model="tiny")


def test_a_whole_request_leaves_its_settings() -> None:
    request: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_object"},
        "n": 1,
        "metadata": {"a": "b"},
        "temperature": 0,
        "stop": "END",
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "extra_headers": {"Authorization": "Bearer x"},
    }
    assert LLMConfig.from_dict(request) == LLMConfig(
        model="tiny", temperature=0, stop_sequences="END", max_tokens=9, extra={"reasoning_effort": "low"}
    )


def test_other_keys_are_options_and_extra_wins_over_them() -> None:
    values = {"verbosity": "low", "logit_bias": {"1": 2}, "extra": {"verbosity": "high", "stop": "s", "messages": None}}
    read = {"verbosity": "high", "logit_bias": {"1": 2}, "stop": "s", "messages": None}
    assert LLMConfig.from_dict(values).extra == read


def test_an_option_that_is_null_is_not_set() -> None:
    assert LLMConfig.from_dict({"verbosity": None, "api_key": None, "extra": None}) == LLMConfig()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("extra.api_key", {"api_key": "sk-1"}),
        ("extra.Authorization", {"headers": {"Authorization": "Bearer x"}}),
        ("extra.seed", {"extra": {"seed": 1}}),
        ("extra", {"extra": "low"}),
        ("extra", {1: 2}),
        ("extra", {"option": object()}),
        ("max_tokens", {"max_completion_tokens": 0}),
        ("stop_sequences", {"stop": ""}),
        ("stop_sequences", {"stop": [1]}),
        ("temperature", {"temperature": "warm"}),
        ("values", ["model"]),
        ("values", "tiny"),
        ("values", None),
    ],
)
def test_what_is_no_config_is_refused_by_name(field: str, values: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        LLMConfig.from_dict(values)
    assert refused.value.field == field


@pytest.mark.parametrize("values", [{"stop": "END"}, {"reasoning_effort": "low"}, {"messages": []}])
def test_a_stored_config_has_its_own_fields_alone(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        stored_config(values)
    assert refused.value.field == next(iter(values))


@attrs.frozen
class Attrs:
    model: str = "tiny"
    stop: str = "END"
    verbosity: str | None = None
    effort: str = "low"
    _secret: str = "x"


@attrs.define(slots=False)
class MutableAttrs:
    model: str = "tiny"
    stop: list[str] = attrs.Factory(lambda: ["END"])
    effort: str = "low"


@dataclasses.dataclass
class Dataclass:
    model: str = "tiny"
    stop: tuple[str, ...] = ("END",)
    max_tokens: int | None = None
    effort: str = "low"


class Pydantic(pydantic.BaseModel):
    model: str = "tiny"
    stop: list[str] = ["END"]
    seed: int | None = None
    effort: str = "low"


class LikePydantic:
    """Told from a plain object by the method, not by the package that it comes from."""

    def model_dump(self) -> dict[str, Any]:
        return {"model": "tiny", "stop": "END", "effort": "low", "stream": True}


DECLARED = [
    Attrs(),
    MutableAttrs(),
    Dataclass(),
    Pydantic(),
    LikePydantic(),
    MappingProxyType({"model": "tiny", "stop": "END", "effort": "low"}),
]


@pytest.mark.parametrize("value", DECLARED, ids=lambda value: type(value).__name__)
def test_all_fields_of_a_declared_class_are_read_as_those_of_a_mapping(value: object) -> None:
    assert LLMConfig.from_obj(value) == LLMConfig(model="tiny", stop_sequences="END", extra={"effort": "low"})


class Plain:
    """An object with more to it than settings."""

    model = "tiny"

    def __init__(self) -> None:
        self.stop = "END"
        self.max_output_tokens = 9
        self.extra = {"effort": "low"}
        self.logger = object()
        self.messages: list[object] = []
        self.top_p = None

    @property
    def temperature(self) -> float:
        return 0.5


class Slotted:
    __slots__ = ("model", "other", "temperature")

    def __init__(self) -> None:
        self.model = "tiny"


Pair = namedtuple("Pair", ["model", "seed"])  # noqa: PYI024 - the plain one, as callers have it


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (
            Plain(),
            LLMConfig(model="tiny", temperature=0.5, stop_sequences="END", max_tokens=9, extra={"effort": "low"}),
        ),
        (Slotted(), LLMConfig(model="tiny")),
        (SimpleNamespace(seed=1, note="x"), LLMConfig(seed=1)),
        (Pair("tiny", 3), LLMConfig(model="tiny", seed=3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_a_plain_object_the_attributes_count_that_are_known(value: object, read: LLMConfig) -> None:
    assert LLMConfig.from_obj(value) == read


class Dumps:
    def model_dump(self) -> list[str]:
        return ["model"]


@pytest.mark.parametrize(
    "value",
    [None, 5, "tiny", ["tiny"], slice(1, 2), object(), SimpleNamespace(note="x"), Plain, Pydantic, Dumps(), lambda: None],
)
def test_what_describes_no_config_is_refused(value: object) -> None:
    with pytest.raises(ConfigError) as refused:
        LLMConfig.from_obj(value)
    assert refused.value.field == "value"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (SimpleNamespace(temperature=3), "temperature"),
        (attrs.make_class("Keyed", ["api_key"])("sk-1"), "extra.api_key"),
        (dataclasses.make_dataclass("Nested", ["tools_of_mine"])(object()), "extra"),
    ],
    ids=["range", "credential", "no JSON"],
)
def test_what_is_wrong_with_an_object_is_said_by_name(value: object, field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        LLMConfig.from_obj(value)
    assert refused.value.field == field
