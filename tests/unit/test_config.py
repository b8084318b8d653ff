import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from tests.strategies import llm_configs
from tract.domain.config import LLMConfig
from tract.domain.operation_configs import OperationConfigs
from tract.errors import ConfigError

FULL: dict[str, Any] = {
    "model": "gpt-x",
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 100,
    "stop_sequences": ["END"],
    "frequency_penalty": -1.0,
    "presence_penalty": 1.5,
    "top_k": 40,
    "seed": -3,
    "extra": {"logit_bias": {"50256": -100}},
}


def test_a_config_becomes_a_dict_and_a_config_again() -> None:
    assert LLMConfig.from_dict(FULL).to_dict() == FULL


def test_what_is_not_set_is_not_in_the_dict() -> None:
    assert LLMConfig(seed=0).to_dict() == {"seed": 0}


def test_no_options_may_be_said_as_none() -> None:
    assert LLMConfig(extra=None) == LLMConfig()


def test_a_whole_number_is_the_same_temperature_as_the_float() -> None:
    assert LLMConfig(temperature=1) == LLMConfig(temperature=1.0)


class Measure(float):
    """A number of another library."""


def test_a_number_of_another_library_is_one_of_python() -> None:
    assert type(LLMConfig(temperature=Measure(0.5)).temperature) is float


def test_a_zero_with_a_sign_is_written_as_zero() -> None:
    assert json.dumps(LLMConfig(frequency_penalty=-0.0).to_dict()) == '{"frequency_penalty": 0.0}'


def test_one_string_is_one_stop() -> None:
    assert LLMConfig(stop_sequences="END").stop_sequences == ("END",)


def test_what_overrides_wins_and_the_rest_stays() -> None:
    base = LLMConfig(model="a", temperature=0.1)
    assert base.override(LLMConfig(temperature=0)) == LLMConfig(model="a", temperature=0.0)


def test_extra_options_are_joined_key_by_key() -> None:
    base = LLMConfig(extra={"a": 1, "b": 1})
    assert base.override(LLMConfig(extra={"b": 2})).extra == {"a": 1, "b": 2}


def test_overriding_with_nothing_changes_nothing() -> None:
    assert LLMConfig.from_dict(FULL).override(None) == LLMConfig.from_dict(FULL)


def test_equal_configs_have_equal_hashes() -> None:
    assert hash(LLMConfig.from_dict(FULL)) == hash(LLMConfig.from_dict(copy.deepcopy(FULL)))


def test_extra_cannot_be_changed_from_outside() -> None:
    extra = {"options": {"a": 1}}
    config = LLMConfig(extra=extra)
    extra["options"]["a"] = 2
    assert config.extra == {"options": {"a": 1}}


NESTED = {"a": {"b": [1, {"c": 2}]}}


@pytest.mark.parametrize(
    "change",
    [
        lambda extra: extra.update(a=1),
        lambda extra: extra.__setitem__("a", 1),
        lambda extra: extra.pop("a"),
        lambda extra: extra["a"].clear(),
        lambda extra: extra["a"].setdefault("x", 1),
        lambda extra: extra["a"].__delitem__("b"),
        lambda extra: extra["a"].__ior__({"b": 1}),
        lambda extra: extra["a"].popitem(),
        lambda extra: extra["a"]["b"].append(3),
        lambda extra: extra["a"]["b"].__setitem__(0, 3),
        lambda extra: extra["a"]["b"].__iadd__([3]),
        lambda extra: extra["a"]["b"].__imul__(2),
        lambda extra: extra["a"]["b"].sort(),
        lambda extra: extra["a"]["b"][1].update(c=3),
    ],
)
def test_extra_is_read_only_at_any_depth(change: Callable[[Any], object]) -> None:
    config = LLMConfig(extra=NESTED)
    with pytest.raises(TypeError, match="read-only"):
        change(config.extra)
    assert config == LLMConfig(extra=NESTED)


def test_what_is_read_only_is_equal_to_plain_json_and_writes_as_such() -> None:
    extra = LLMConfig(extra=NESTED).extra
    assert extra == NESTED
    assert json.loads(json.dumps(extra["a"])) == NESTED["a"]
    assert repr(extra) == repr(NESTED)


def test_the_dict_of_a_config_can_be_changed_and_the_config_stays() -> None:
    config = LLMConfig(extra=NESTED)
    config.to_dict()["extra"]["a"]["b"].append(3)
    copy.deepcopy(config.extra)["a"]["b"].append(3)
    assert config == LLMConfig(extra=NESTED)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_config_can_be_pickled(protocol: int) -> None:
    config = LLMConfig(model="m", stop_sequences=("a",), extra=NESTED)
    read = pickle.loads(pickle.dumps(config, protocol))
    assert read == config
    with pytest.raises(TypeError, match="read-only"):
        read.extra["a"]["b"].append(3)


def test_a_config_is_shown_by_what_is_set_alone() -> None:
    assert repr(LLMConfig(model="scripted", temperature=0.2)) == "LLMConfig(model='scripted', temperature=0.2)"
    assert str(LLMConfig()) == "LLMConfig()"
    assert repr(OperationConfigs(chat=LLMConfig(seed=0))) == "OperationConfigs(chat=LLMConfig(seed=0))"


@given(llm_configs())
def test_what_a_config_is_shown_as_makes_it_again(config: LLMConfig) -> None:
    assert eval(repr(config)) == config


def test_a_config_survives_a_deep_copy() -> None:
    config = LLMConfig.from_dict(FULL)
    assert copy.deepcopy(config) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", 5),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("top_p", 1.1),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("stop_sequences", ("",)),
        ("stop_sequences", (1,)),
        ("stop_sequences", {"a", "b"}),
        ("stop_sequences", {"a": "b"}),
        ("stop_sequences", b"a"),
        ("frequency_penalty", -2.1),
        ("presence_penalty", 2.1),
        ("top_k", 0),
        ("seed", 2**63),
        ("extra", 5),
        ("extra", {"a": float("inf")}),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refusal:
        LLMConfig(**{field: value})
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "key", ["api_key", "apiKey", "API-KEY", "token", "access_token", "Authorization", "password", "client_secret"]
)
def test_a_key_that_looks_like_a_credential_is_refused_at_any_depth(key: str) -> None:
    with pytest.raises(ConfigError, match="credential"):
        LLMConfig(extra={"headers": [{key: "x"}]})


def test_options_that_contain_themselves_are_refused() -> None:
    extra: dict[str, Any] = {}
    extra["again"] = {"more": [extra]}
    with pytest.raises(ConfigError, match=r"extra: .*deep"):
        LLMConfig(extra=extra)


@pytest.mark.parametrize("key", ["max_completion_tokens", "logit_bias", "keyboard", "tokenizer"])
def test_a_key_that_only_resembles_one_is_kept(key: str) -> None:
    assert LLMConfig(extra={key: 1}).extra == {key: 1}


def test_an_extra_option_with_the_name_of_a_field_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"extra\.seed"):
        LLMConfig(extra={"seed": 1})


CREDENTIALS = (
    "session_token aws_session_token hf_token openai_key api_keys jwt cookie pwd passphrase x-auth signature "
    "aws_access_key_id secretKey X-API-Key OPENAI_API_KEY_2 auth_token1 accesstoken sessionToken apikeys private_key_pem "
    "client_secret_value auth_header credentials_json apiKeyValue"
)


@pytest.mark.parametrize("key", CREDENTIALS.split(" "))
def test_a_credential_of_any_provider_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="credential"):
        LLMConfig(extra={key: "x"})


HARMLESS = "prompt_cache_key max_reasoning_tokens max_completion_tokens maxOutputTokens reasoning_effort logit_bias eos_token "
HARMLESS += (
    "eos_token_id stop_token_ids keep_alive author session_id response_id monkey top_logprobs accessibility tokens_per_key_frame"
)


@pytest.mark.parametrize("key", HARMLESS.split(" "))
def test_an_option_that_only_sounds_like_a_credential_is_kept(key: str) -> None:
    assert LLMConfig(extra={key: 1}).extra == {key: 1}


@pytest.mark.parametrize("field", ["model", "stop_sequences"])
def test_text_that_cannot_be_written_is_refused(field: str) -> None:
    given: dict[str, Any] = {field: "a\ud800"}
    with pytest.raises(ConfigError) as refused:
        LLMConfig(**given)
    assert refused.value.field == field
