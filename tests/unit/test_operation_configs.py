"""`OperationConfigs` and `OperationClients`: one for each operation, or none."""

import copy
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import llm_configs
from tract import LLMConfig, OperationClients, OperationConfigs
from tract.domain import canonical
from tract.domain.operation_configs import OPERATIONS, stored_operations
from tract.errors import ConfigError
from tract.testing import ScriptedLLM

changes = st.fixed_dictionaries({}, optional={name: st.none() | llm_configs() for name in OPERATIONS})
operation_configs = changes.map(lambda given: OperationConfigs(**given))


@pytest.mark.parametrize("kind", [OperationConfigs, OperationClients])
def test_both_have_a_field_for_each_operation_and_no_other(kind: type[Any]) -> None:
    assert tuple(field.name for field in attrs.fields(kind)) == OPERATIONS


@given(operation_configs)
def test_configs_read_back_from_their_dict(configs: OperationConfigs) -> None:
    assert OperationConfigs.from_dict(json.loads(json.dumps(configs.to_dict()))) == configs


@given(operation_configs)
def test_configs_read_back_from_what_is_stored(configs: OperationConfigs) -> None:
    stored = canonical.encode(configs.to_dict())
    assert canonical.encode(stored_operations(json.loads(stored)).to_dict()) == stored


@given(operation_configs)
def test_equal_configs_hash_alike(configs: OperationConfigs) -> None:
    assert hash(OperationConfigs.from_dict(configs.to_dict())) == hash(copy.deepcopy(configs)) == hash(configs)


@given(operation_configs, changes)
def test_replacing_is_writing_over_a_dict(configs: OperationConfigs, given_now: Any) -> None:
    expected = {**configs.given(), **given_now}
    assert configs.replace(given_now).given() == {name: config for name, config in expected.items() if config is not None}


@given(operation_configs)
def test_what_is_found_is_what_is_given(configs: OperationConfigs) -> None:
    found = {name: configs.find(name) for name in OPERATIONS}
    assert configs.given() == {name: config for name, config in found.items() if config is not None}


@pytest.mark.parametrize("kind", [OperationConfigs, OperationClients])
@pytest.mark.parametrize("given_now", [{"chta": None}, {"summarise": None}])
def test_a_typo_fails_at_construction(kind: type[Any], given_now: dict[str, None]) -> None:
    with pytest.raises(TypeError):
        kind(**given_now)


@pytest.mark.parametrize("kind", [OperationConfigs, OperationClients])
def test_nothing_can_be_set_afterwards_or_by_place(kind: type[Any]) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        kind().chat = None
    with pytest.raises(TypeError):
        kind(None)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("wrong", ["tiny", {"model": "tiny"}, LLMConfig, 0, OperationConfigs()])
def test_what_is_no_config_is_refused_by_its_operation(name: str, wrong: object) -> None:
    given_now: dict[str, Any] = {name: wrong}
    with pytest.raises(ConfigError) as refused:
        OperationConfigs(**given_now)
    assert refused.value.field == f"operations.{name}"


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("wrong", ["tiny", ScriptedLLM, 0, LLMConfig()])
def test_what_is_no_client_is_refused_by_its_operation(name: str, wrong: object) -> None:
    given_now: dict[str, Any] = {name: wrong}
    with pytest.raises(ConfigError) as refused:
        OperationClients(**given_now)
    assert refused.value.field == f"clients.{name}"


def test_a_dict_is_read_as_those_of_configs_are() -> None:
    read = OperationConfigs.from_dict({"chat": {"model": "tiny", "stop": "END", "messages": []}, "merge": None})
    assert read == OperationConfigs(chat=LLMConfig(model="tiny", stop_sequences="END"))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("operations", ["chat"]),
        ("operations", None),
        ("operations.chta", {"chta": {}}),
        ("operations.chat", {"chat": "tiny"}),
        ("operations.chat.temperature", {"chat": {"temperature": 3}}),
        ("operations.merge.extra.api_key", {"merge": {"api_key": "sk-1"}}),
    ],
)
def test_what_are_no_configs_is_refused_by_name(field: str, values: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        OperationConfigs.from_dict(values)
    assert refused.value.field == field


@pytest.mark.parametrize("values", [{"chta": {}}, {"chat": {"stop": "END"}}])
def test_what_was_not_stored_by_us_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        stored_operations(values)
