"""What blobs hold beside contents, held in place by samples: what was said about a commit, and how a model is asked.

The samples were written from the rules of design.md and not by this code.
Contents have theirs in `renderings.json`, the requests of operations in
`test_request_samples.py`.
"""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from tract import LLMConfig, OperationConfigs
from tract.core.contexts import decode_config
from tract.domain import canonical
from tract.domain.commits import Details
from tract.domain.operation_configs import stored_operations

SAMPLES: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("blobs.json").read_text(encoding="utf-8"))


def each(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", [pytest.param(sample, id=sample["about"]) for sample in SAMPLES[name]])


@each("details")
def test_details_are_stored_as_their_frozen_bytes(sample: dict[str, Any]) -> None:
    assert canonical.encode(Details(**sample["fields"]).to_json()).decode() == sample["stored"]


@each("config")
def test_a_config_is_stored_as_its_frozen_bytes(sample: dict[str, Any]) -> None:
    assert canonical.encode(LLMConfig(**sample["fields"]).to_dict()).decode() == sample["stored"]


@each("config")
def test_a_frozen_config_is_read_as_the_equal_one(sample: dict[str, Any]) -> None:
    assert decode_config(sample["stored"].encode()) == LLMConfig(**sample["fields"])


def operations_of(sample: dict[str, Any]) -> OperationConfigs:
    return OperationConfigs(**{name: LLMConfig(**fields) for name, fields in sample["fields"].items()})


@each("operations")
def test_configs_of_operations_are_stored_as_their_frozen_bytes(sample: dict[str, Any]) -> None:
    assert canonical.encode(operations_of(sample).to_dict()).decode() == sample["stored"]


@each("operations")
def test_frozen_configs_of_operations_are_read_as_the_equal_ones(sample: dict[str, Any]) -> None:
    assert stored_operations(json.loads(sample["stored"])) == operations_of(sample)


@pytest.mark.parametrize(("kind", "name"), [(Details, "details"), (LLMConfig, "config"), (OperationConfigs, "operations")])
def test_every_field_has_a_sample_with_and_without_it(kind: type[Any], name: str) -> None:
    held = [set(json.loads(sample["stored"])) for sample in SAMPLES[name]]
    fields = {field.name for field in attrs.fields(kind)}
    assert fields == set.union(*held)
    assert set.intersection(*held) == set()
