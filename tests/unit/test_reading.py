import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec
import pytest
from attrs import frozen
from hypothesis import given

from tests.strategies import contents, registered
from tract.domain.content import (
    CONTENT_TYPES,
    Content,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    RegisteredContent,
    ToolIOContent,
)
from tract.domain.messages import Message, ToolCall
from tract.errors import ContentValidationError
from tract.formats.anthropic_reading import from_anthropic
from tract.formats.openai import from_openai
from tract.formats.reading import content_from, decode_content, encode_content

CALL = {"id": "call_1", "name": "find", "arguments": "{}"}


@given(contents | registered)
def test_what_is_stored_reads_back_equal(content: Content) -> None:
    assert decode_content(content.content_type, encode_content(content)) == content


@given(contents | registered)
def test_what_was_read_back_is_stored_as_the_same_bytes(content: Content) -> None:
    stored = encode_content(content)
    assert encode_content(decode_content(content.content_type, stored)) == stored


@given(contents)
def test_the_stored_json_is_a_dict_that_a_caller_could_give(content: Content) -> None:
    assert content_from(json.loads(encode_content(content))) == content


@given(contents | registered)
def test_a_content_is_taken_as_it_is(content: Content) -> None:
    assert content_from(content) is content


def test_an_absent_text_is_left_out_of_the_stored_json() -> None:
    assert encode_content(DialogueContent("user")) == b'{"content_type":"dialogue","name":null,"role":"user","tool_calls":[]}'


def test_a_null_text_is_stored_as_null() -> None:
    stored = encode_content(DialogueContent("user", None))
    assert stored == b'{"content_type":"dialogue","name":null,"role":"user","text":null,"tool_calls":[]}'


def test_a_float_in_a_payload_is_stored_in_canonical_form() -> None:
    assert encode_content(FreeformContent(1e16)) == b'{"content_type":"freeform","payload":1e+16}'


def test_a_stored_key_that_is_not_known_is_ignored() -> None:
    assert decode_content("instruction", b'{"content_type":"instruction","later":1,"text":"hi"}') == InstructionContent("hi")


@frozen
class SummaryContent:
    """A type that a later version could have of its own."""

    content_type: ClassVar[str] = "summary"
    text: str


@pytest.fixture
def later_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with a type whose name callers could register before."""
    types: Any = MappingProxyType({**CONTENT_TYPES, "summary": SummaryContent})
    monkeypatch.setattr("tract.domain.content.CONTENT_TYPES", types)
    monkeypatch.setattr("tract.formats.reading._DECODERS", {"summary": msgspec.json.Decoder(SummaryContent)})


@pytest.mark.usefixtures("later_version")
def test_a_registered_type_outlives_a_later_type_of_its_name() -> None:
    stored = b'{"content_type":"summary","data":{"n":1},"message":{"content":"x","role":"user"}}'
    assert decode_content("summary", stored) == RegisteredContent("summary", {"n": 1}, Message("user", "x"))


@pytest.mark.usefixtures("later_version")
def test_a_later_type_is_read_as_what_it_is() -> None:
    assert decode_content("summary", b'{"content_type":"summary","text":"x"}') == SummaryContent("x")  # type: ignore[comparison-overlap]


def test_a_stored_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(ContentValidationError, match="content_type"):
        decode_content("hologram", b"{}")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"text":5}', b"{}", b'{"text":"\xff"}'])
def test_stored_bytes_of_another_shape_are_refused(data: bytes) -> None:
    with pytest.raises(ContentValidationError):
        decode_content("instruction", data)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_string_is_a_dialogue_of_its_role(role: str) -> None:
    assert content_from("hi", role=role) == DialogueContent(role, "hi")


def test_a_string_without_a_role_is_the_user_s() -> None:
    assert content_from("hi") == DialogueContent("user", "hi")


def test_a_string_of_the_system_is_an_instruction() -> None:
    assert content_from("Be brief.", role="system") == InstructionContent("Be brief.")


def test_a_string_of_a_tool_is_refused_with_advice() -> None:
    with pytest.raises(ContentValidationError, match=r"role: .*use tool_result\(call_id, content\)"):
        content_from("42", role="tool")


def test_a_string_of_an_unknown_role_is_refused() -> None:
    with pytest.raises(ContentValidationError, match="role: it must be one of"):
        content_from("hi", role="robot")


def test_a_dict_becomes_the_content_of_its_type() -> None:
    given_dict = {"content_type": "tool_io", "tool_name": "find", "text": "42", "call_id": "call_1"}
    assert content_from(given_dict) == ToolIOContent("find", text="42", call_id="call_1")


def test_the_role_does_not_matter_to_a_dict() -> None:
    assert content_from({"content_type": "instruction", "text": "x"}, role="tool") == InstructionContent("x")


def test_the_given_dict_is_left_as_it_was() -> None:
    given_dict = {"content_type": "instruction", "text": "x"}
    content_from(given_dict)
    assert given_dict == {"content_type": "instruction", "text": "x"}


def test_tool_calls_may_be_dicts_and_instances() -> None:
    call = ToolCall("call_1", "find", "{}")
    content = content_from({"content_type": "dialogue", "role": "assistant", "text": None, "tool_calls": [CALL, call]})
    assert content == DialogueContent("assistant", None, tool_calls=(call, call))


def dialogue(**fields: Any) -> dict[str, Any]:
    return {"content_type": "dialogue", "role": "assistant", **fields}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "content_type"),
        ({"text": "hi"}, "content_type"),
        ({"content_type": "hologram"}, "content_type"),
        ({"content_type": None}, "content_type"),
        ({"content_type": ["instruction"]}, "content_type"),
        ({"content_type": "instruction"}, "text"),
        ({"content_type": "instruction", "text": 5}, "text"),
        ({"content_type": "instruction", "text": None}, "text"),
        ({"content_type": "instruction", "text": "x", "role": "system"}, "role"),
        ({"content_type": "instruction", "text": "x", 7: "y"}, "7"),
        ({"content_type": "dialogue", "text": "hi"}, "role"),
        (dialogue(role="tool"), "role"),
        (dialogue(role=["user"]), "role"),
        (dialogue(name=5), "name"),
        (dialogue(tool_calls="find"), "tool_calls"),
        (dialogue(tool_calls=CALL), "tool_calls"),
        (dialogue(tool_calls=["find"]), "tool_calls[0]"),
        (dialogue(tool_calls=[CALL, {**CALL, "name": "two words"}]), "tool_calls[1].name"),
        (dialogue(tool_calls=[CALL, {**CALL, "name": None}]), "tool_calls[1].name"),
        (dialogue(tool_calls=[{**CALL, "id": 5}]), "tool_calls[0].id"),
        (dialogue(tool_calls=[{**CALL, "arguments": {}}]), "tool_calls[0].arguments"),
        (dialogue(tool_calls=[{**CALL, "type": "function"}]), "tool_calls[0].type"),
        (dialogue(tool_calls=[{"id": "call_1", "name": "find"}]), "tool_calls[0].arguments"),
        ({"content_type": "tool_io", "text": "42"}, "call_id"),
        ({"content_type": "tool_io", "text": "42", "call_id": 5}, "call_id"),
        ({"content_type": "freeform"}, "payload"),
        ({"content_type": "freeform", "payload": {1, 2}}, "payload"),
        ({"content_type": "session", "session_type": "end", "summary": "x", "decisions": ["a", 3]}, "decisions[1]"),
    ],
)
def test_a_malformed_dict_is_refused_with_the_field_s_name(value: dict[Any, Any], field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        content_from(value)
    assert refusal.value.field == field


@pytest.mark.parametrize("value", [None, 5, b"hi", ["hi"], object()])
def test_anything_else_is_refused_with_its_type(value: object) -> None:
    with pytest.raises(ContentValidationError, match=f"not {type(value).__name__}"):
        content_from(value)


def test_a_registered_content_under_a_name_of_our_own_is_not_taken_in() -> None:
    with pytest.raises(ContentValidationError, match=r"^content_type: it is the name of a type of Tract's own"):
        content_from(RegisteredContent("dialogue", {}, Message("user", "x")))


SECRET = "My password is hunter2"
UNKNOWN_KEYS: list[Callable[[], Any]] = [
    lambda: content_from({"content_type": "instruction", "text": "x", SECRET: 1}),
    lambda: content_from({"content_type": "dialogue", "role": "user", "text": [{"type": "text", "text": "x", SECRET: 1}]}),
    lambda: from_openai([{"role": "user", "content": "x", SECRET: 1}]),
    lambda: from_anthropic({"messages": [{"role": "user", "content": "x", SECRET: 1}]}),
]


@pytest.mark.parametrize("give", UNKNOWN_KEYS)
def test_a_key_that_is_no_name_is_refused_without_its_words(give: Callable[[], Any]) -> None:
    with pytest.raises(ContentValidationError, match=r"\(a key\): it is not a (field|key) that is known here") as refusal:
        give()
    assert SECRET not in str(refusal.value)
