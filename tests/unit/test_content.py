from typing import Any

import pytest

from tract.domain.content import (
    CONTENT_TYPES,
    ArtifactContent,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    SessionContent,
    ToolIOContent,
)
from tract.domain.messages import ABSENT, ToolCall
from tract.errors import ContentValidationError

CALL = ToolCall("call_1", "search", "{}")


def test_there_are_eight_content_types() -> None:
    assert list(CONTENT_TYPES) == [
        "instruction",
        "dialogue",
        "tool_io",
        "reasoning",
        "artifact",
        "output",
        "freeform",
        "session",
    ]


def test_a_text_that_was_not_given_is_absent_and_not_null() -> None:
    assert DialogueContent("user").text is ABSENT


def test_absent_null_and_empty_text_are_three_different_things() -> None:
    absent, null, empty = DialogueContent("user"), DialogueContent("user", None), DialogueContent("user", "")
    assert absent != null != empty != absent


def test_a_list_of_tool_calls_is_kept_as_a_tuple() -> None:
    assert DialogueContent("assistant", None, None, [CALL]).tool_calls == (CALL,)


def test_a_payload_does_not_change_with_the_value_it_was_made_from() -> None:
    payload = {"a": [1]}
    content = FreeformContent(payload)
    payload["a"].append(2)
    assert content.payload == {"a": [1]}


def test_a_null_payload_is_a_payload() -> None:
    assert ToolIOContent(payload=None, call_id="call_1").payload is None


def test_a_tool_result_needs_no_tool_name() -> None:
    assert ToolIOContent(text="", call_id="call_1").tool_name is None


@pytest.mark.parametrize("role", ["tool", "developer", "", None, 5])
def test_a_dialogue_with_another_role_is_refused(role: Any) -> None:
    with pytest.raises(ContentValidationError, match=r"role: it must be one of system, user, assistant\."):
        DialogueContent(role, "hi")


@pytest.mark.parametrize("role", ["user", "system"])
def test_only_an_assistant_calls_tools(role: str) -> None:
    with pytest.raises(ContentValidationError, match="tool_calls: only an assistant"):
        DialogueContent(role, "hi", tool_calls=(CALL,))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (ToolCall("", "search", "{}"), "tool_calls[1].id"),
        (ToolCall("call_1", "two words", "{}"), "tool_calls[1].name"),
        (ToolCall("call_1", "x" * 65, "{}"), "tool_calls[1].name"),
        (ToolCall("call_1", "search\n", "{}"), "tool_calls[1].name"),
        (ToolCall("call_1", "search", {}), "tool_calls[1].arguments"),  # type: ignore[arg-type]
        (ToolCall("call_1", "search", "\ud800"), "tool_calls[1].arguments"),
    ],
)
def test_a_malformed_tool_call_is_refused_with_its_place(call: ToolCall, field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        DialogueContent("assistant", None, tool_calls=(CALL, call))
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        (InstructionContent, {"text": None}, "text"),
        (InstructionContent, {"text": "\udc00"}, "text"),
        (DialogueContent, {"role": "user", "text": 5}, "text"),
        (DialogueContent, {"role": "user", "text": "hi", "name": ""}, "name"),
        (DialogueContent, {"role": "assistant", "tool_calls": "search"}, "tool_calls"),
        (ToolIOContent, {"text": "42"}, "call_id"),
        (ToolIOContent, {"text": "42", "call_id": ""}, "call_id"),
        (ToolIOContent, {"text": "42", "call_id": 7}, "call_id"),
        (ToolIOContent, {"text": "42", "call_id": "c", "direction": "both"}, "direction"),
        (ToolIOContent, {"text": "{}", "call_id": "c", "direction": "call"}, "tool_name"),
        (ToolIOContent, {"text": "42", "call_id": "c", "tool_name": "a.b"}, "tool_name"),
        (ToolIOContent, {"text": None, "call_id": "c"}, "text"),
        (ToolIOContent, {"call_id": "c"}, "payload"),
        (ToolIOContent, {"call_id": "c", "text": "42", "payload": 42}, "payload"),
        (ToolIOContent, {"call_id": "c", "payload": {1: 2}}, "payload"),
        (ToolIOContent, {"call_id": "c", "text": "", "status": ""}, "status"),
        (ReasoningContent, {"text": b"bytes"}, "text"),
        (ArtifactContent, {"artifact_type": "", "content": "x"}, "artifact_type"),
        (ArtifactContent, {"artifact_type": "code", "content": None}, "content"),
        (ArtifactContent, {"artifact_type": "code", "content": "x", "language": ""}, "language"),
        (OutputContent, {"text": "x", "format": "html"}, "format"),
        (FreeformContent, {"payload": float("nan")}, "payload"),
        (FreeformContent, {"payload": object()}, "payload"),
        (SessionContent, {"session_type": "pause", "summary": ""}, "session_type"),
        (SessionContent, {"session_type": "end", "summary": None}, "summary"),
        (SessionContent, {"session_type": "end", "summary": "", "decisions": "one"}, "decisions"),
        (SessionContent, {"session_type": "end", "summary": "", "next_steps": ["a", 2]}, "next_steps[1]"),
    ],
)
def test_a_malformed_field_is_refused_by_name(kind: type[Any], fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        kind(**fields)
    assert refusal.value.field == field


def test_a_refusal_does_not_repeat_the_text() -> None:
    with pytest.raises(ContentValidationError) as refusal:
        InstructionContent("my secret diary \ud800")
    assert "diary" not in str(refusal.value)
