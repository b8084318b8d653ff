"""What is stored for ever, held in place by samples that are never regenerated.

The samples were written from the rules of design.md and not by this code. A
sample may be added; one that changes means that stores of earlier versions
would be read differently.
"""

import json
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from tests.validators import check_anthropic
from tract.domain.canonical import NotCanonicalError, encode, encode_plain
from tract.domain.commits import Commit, CommitOperation, ContentRef, Priority
from tract.domain.content import CONTENT_TYPES
from tract.domain.messages import Message, ToolCall
from tract.formats.anthropic import messages_to_anthropic
from tract.formats.openai import message_to_dict
from tract.formats.reading import decode_content, encode_content
from tract.formats.rendering import close, default_priority, render


def samples(name: str) -> Any:
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8"))


def each(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=row["about"]) for row in rows]


def holds_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(holds_float, value.values()))
    return any(map(holds_float, value)) if isinstance(value, list) else isinstance(value, float)


CANONICAL, COMMITS, RENDERINGS = samples("canonical_json"), samples("commit_ids"), samples("renderings")
ANTHROPIC = samples("anthropic")


@pytest.mark.parametrize("sample", each(CANONICAL["accepted"]))
def test_a_value_has_its_canonical_bytes(sample: dict[str, Any]) -> None:
    assert encode(json.loads(sample["json"])).hex() == sample["hex"]


@pytest.mark.parametrize("sample", each([row for row in CANONICAL["accepted"] if not holds_float(json.loads(row["json"]))]))
def test_the_fast_encoder_gives_the_same_bytes(sample: dict[str, Any]) -> None:
    assert encode_plain(json.loads(sample["json"])).hex() == sample["hex"]


@pytest.mark.parametrize("sample", each(CANONICAL["refused"]))
def test_a_value_without_a_canonical_form_is_refused(sample: dict[str, Any]) -> None:
    with pytest.raises(NotCanonicalError):
        encode(json.loads(sample["json"]))


def commit_of(fields: dict[str, Any]) -> Commit:
    content, priority = fields["content"], fields["priority"]
    return Commit(
        **{
            **fields,
            "parents": tuple(fields["parents"]),
            "targets": tuple(fields["targets"]),
            "operation": CommitOperation(fields["operation"]),
            "content": content and ContentRef(**content),
            "priority": priority and Priority(priority),
        }
    )


@pytest.mark.parametrize("sample", each(COMMITS))
def test_a_commit_is_hashed_over_its_frozen_bytes(sample: dict[str, Any]) -> None:
    assert encode(commit_of(sample["commit"]).to_json()).decode() == sample["canonical"]


@pytest.mark.parametrize("sample", each(COMMITS))
def test_a_commit_has_its_frozen_id(sample: dict[str, Any]) -> None:
    assert commit_of(sample["commit"]).id == sample["id"]


def test_there_is_a_frozen_commit_of_every_operation() -> None:
    assert {sample["commit"]["operation"] for sample in COMMITS} == {operation.value for operation in CommitOperation}


def test_there_is_a_frozen_commit_of_every_priority() -> None:
    assert {sample["commit"]["priority"] for sample in COMMITS} - {None} == {priority.value for priority in Priority}


@pytest.mark.parametrize("sample", each(RENDERINGS["contents"]))
def test_a_stored_content_renders_to_its_frozen_message(sample: dict[str, Any]) -> None:
    content = decode_content(sample["content_type"], sample["stored"].encode())
    assert message_to_dict(render(content, sample["rendering"])) == sample["message"]


@pytest.mark.parametrize("sample", each(RENDERINGS["contents"]))
def test_a_content_is_stored_as_its_frozen_bytes(sample: dict[str, Any]) -> None:
    content = decode_content(sample["content_type"], sample["stored"].encode())
    assert encode_content(content).decode() == sample["stored"]


@pytest.mark.parametrize("sample", each(RENDERINGS["contents"]))
def test_a_content_has_its_frozen_default_priority(sample: dict[str, Any]) -> None:
    assert default_priority(decode_content(sample["content_type"], sample["stored"].encode())).value == sample["priority"]


def test_there_is_a_frozen_content_of_every_type_with_every_field() -> None:
    held: dict[str, set[str]] = {}
    for sample in RENDERINGS["contents"]:
        held.setdefault(sample["content_type"], {"content_type"}).update(json.loads(sample["stored"]))
    for tag, kind in CONTENT_TYPES.items():
        assert held[tag] == {"content_type", *(field.name for field in attrs.fields(kind))}


@pytest.mark.parametrize("sample", RENDERINGS["closings"])
def test_an_unanswered_call_closes_with_its_frozen_message(sample: dict[str, Any]) -> None:
    assert message_to_dict(close(ToolCall(**sample["call"]), sample["rendering"])) == sample["message"]


@pytest.mark.parametrize("sample", each(ANTHROPIC))
def test_messages_have_their_frozen_form_for_anthropic(sample: dict[str, Any]) -> None:
    assert messages_to_anthropic(msgspec.convert(sample["messages"], list[Message])) == sample["payload"]


@pytest.mark.parametrize("sample", each(ANTHROPIC))
def test_the_frozen_form_for_anthropic_is_one_that_anthropic_takes(sample: dict[str, Any]) -> None:
    check_anthropic(sample["payload"])
