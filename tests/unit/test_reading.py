import json
from typing import Any

import pytest
from hypothesis import given

from tests.strategies import contents, registered
from tract.domain.content import Content, DialogueContent, FreeformContent, InstructionContent, ToolIOContent
from tract.domain.messages import ToolCall
from tract.errors import ContentValidationError
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
