from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import contents, dialogues, tool_calls
from tract.domain.content import Content, DialogueContent, InstructionContent, ToolIOContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import ImagePart, TextPart
from tract.errors import ContentValidationError
from tract.formats.openai import from_openai, message_to_dict, message_to_openai
from tract.formats.rendering import render

CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
TOOL = {"role": "tool", "content": "42", "tool_call_id": "call_1"}


def assistant(*calls: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def function(**fields: Any) -> dict[str, Any]:
    return {**CALL, "function": {**CALL["function"], **fields}}


def there_and_back(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message_to_openai(render(content)) for content in from_openai(messages)]


def test_real_transcripts_come_back_as_they_were(trajectories: list[list[dict[str, Any]]]) -> None:
    assert [there_and_back(messages) for messages in trajectories] == trajectories


def is_sendable(content: Content) -> bool:
    message = render(content)
    return message.role != "system" or message.name is not None or isinstance(message.content, (str, tuple))


@given(st.lists(contents.filter(is_sendable), max_size=4))
def test_what_was_sent_once_is_sent_the_same_again(given_contents: list[Content]) -> None:
    sent = [message_to_openai(render(content)) for content in given_contents]
    assert there_and_back(sent) == sent


@given(dialogues)
def test_a_dialogue_comes_back_equal_unless_the_system_speaks_without_a_name(content: DialogueContent) -> None:
    if content.role != "system" or content.name is not None or isinstance(content.text, tuple):
        assert from_openai([message_to_openai(render(content))]) == (content,)


def test_a_null_content_is_null_and_an_absent_one_left_out() -> None:
    assert message_to_openai(Message("assistant", None)) == {"role": "assistant", "content": None}
    assert message_to_openai(Message("assistant", ABSENT)) == {"role": "assistant"}


def test_calls_have_openai_s_shape_for_openai() -> None:
    message = Message("assistant", None, tool_calls=(ToolCall("call_1", "find", "{}"),))
    assert message_to_openai(message) == assistant(CALL)


def test_calls_have_our_shape_in_dicts() -> None:
    message = Message("assistant", "Wait.", "planner", (ToolCall("call_1", "find", "{}"),))
    assert message_to_dict(message) == {
        "role": "assistant",
        "content": "Wait.",
        "name": "planner",
        "tool_calls": [{"id": "call_1", "name": "find", "arguments": "{}"}],
    }


def test_a_tool_message_names_its_call_in_both_shapes() -> None:
    message = Message("tool", "", "find", tool_call_id="call_1")
    expected = {"role": "tool", "content": "", "name": "find", "tool_call_id": "call_1"}
    assert message_to_dict(message) == message_to_openai(message) == expected


@given(tool_calls)
def test_arguments_pass_verbatim(call: ToolCall) -> None:
    sent = message_to_openai(Message("assistant", None, tool_calls=(call,)))
    assert sent["tool_calls"][0]["function"]["arguments"] == call.arguments


def test_the_system_s_words_are_an_instruction() -> None:
    assert from_openai([{"role": "system", "content": "Be brief."}]) == (InstructionContent("Be brief."),)


def test_a_named_system_message_is_a_dialogue() -> None:
    message = {"role": "system", "content": "Hello.", "name": "example_user"}
    assert from_openai([message]) == (DialogueContent("system", "Hello.", "example_user"),)


def test_a_tool_message_is_a_result() -> None:
    assert from_openai([{**TOOL, "name": "find"}]) == (ToolIOContent("find", "result", "42", call_id="call_1"),)


def test_keys_that_are_null_are_dropped() -> None:
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": None, "name": None, "audio": None}
    assert there_and_back([message]) == [{"role": "assistant", "content": None}]


def test_an_empty_list_of_calls_is_dropped() -> None:
    assert there_and_back([{"role": "assistant", "content": "hi", "tool_calls": []}]) == [{"role": "assistant", "content": "hi"}]


def test_no_messages_are_no_contents() -> None:
    assert from_openai([]) == ()


def test_the_developer_role_is_refused_with_advice() -> None:
    with pytest.raises(ContentValidationError, match=r"messages\[0\]\.role: developer .* use system"):
        from_openai([{"role": "developer", "content": "Be brief."}])


def test_a_tool_s_result_in_parts_is_refused_with_advice() -> None:
    with pytest.raises(ContentValidationError, match=r"messages\[0\]\.content: .* as one string"):
        from_openai([{**TOOL, "content": [{"type": "text", "text": "hi"}]}])


PICTURE = "data:image/png;base64,iVBORw0KGgo="


def shown(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def image(url: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def test_a_list_of_parts_is_a_dialogue_of_parts() -> None:
    parts = (TextPart("What is it?"), ImagePart(data="iVBORw0KGgo=", media_type="image/png", detail="low"))
    message = shown({"type": "text", "text": "What is it?"}, image(PICTURE, detail="low"))
    assert from_openai([message]) == (DialogueContent("user", text=parts),)


@pytest.mark.parametrize(
    "message",
    [
        shown({"type": "text", "text": "one"}, {"type": "text", "text": " two "}),
        shown(image(PICTURE), image("https://a.b/c.png"), image("http://a.b", detail="original")),
        shown({"type": "text", "text": "Be brief."}, role="system"),
        {**shown({"type": "text", "text": "Wait."}, role="assistant"), "tool_calls": [CALL]},
        {**shown({"type": "text", "text": "Hi"}), "name": "ada"},
    ],
)
def test_parts_come_back_as_they_were(message: dict[str, Any]) -> None:
    assert there_and_back([message]) == [message]


def test_parts_have_their_own_fields_in_dicts() -> None:
    message = Message("user", (TextPart("hi"), ImagePart(PICTURE, detail="low"), ImagePart("https://a.b")))
    assert message_to_dict(message)["content"] == [
        {"type": "text", "text": "hi"},
        {"type": "image", "data": "iVBORw0KGgo=", "media_type": "image/png", "detail": "low"},
        {"type": "image", "url": "https://a.b"},
    ]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (shown(), ".content"),
        (shown("hi"), ".content[0]"),
        (shown({"text": "hi"}), ".content[0].type"),
        (shown({"type": ["text"]}), ".content[0].type"),
        (shown({"type": "input_audio", "input_audio": {}}), ".content[0].type"),
        (shown({"type": "file", "file": {}}), ".content[0].type"),
        (shown({"type": "refusal", "refusal": "no"}, role="assistant"), ".content[0].type"),
        (shown({"type": "text"}), ".content[0].text"),
        (shown({"type": "text", "text": " "}), ".content[0].text"),
        (shown({"type": "text", "text": 5}), ".content[0].text"),
        (shown({"type": "text", "text": "hi", "colour": "red"}), ".content[0].colour"),
        (shown({"type": "image_url"}), ".content[0].image_url"),
        (shown({"type": "image_url", "image_url": PICTURE}), ".content[0].image_url"),
        (shown(image(None)), ".content[0].image_url.url"),
        (shown(image("a.png")), ".content[0].image_url.url"),
        (shown(image("data:image/bmp;base64,AAAA")), ".content[0].image_url.url"),
        (shown(image("data:image/png;base64,A")), ".content[0].image_url.url"),
        (shown(image(PICTURE, detail="most")), ".content[0].image_url.detail"),
        (shown(image(PICTURE, width=5)), ".content[0].image_url.width"),
        (shown(image(PICTURE), role="assistant"), ".content[0]"),
    ],
)
def test_a_malformed_part_is_refused_with_its_place(message: Any, field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        from_openai([message])
    assert refusal.value.field == f"messages[0]{field}"


@pytest.mark.parametrize("kind", ["input_audio", "file"])
def test_parts_that_are_not_read_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ContentValidationError, match=f"{kind} parts are not read"):
        from_openai([shown({"type": kind, kind: {}})])


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("hi", ""),
        ({}, ".role"),
        ({"role": None, "content": "x"}, ".role"),
        ({"role": ["user"], "content": "x"}, ".role"),
        ({"role": "function", "content": "x", "name": "find"}, ".role"),
        ({"role": "user", "content": 5}, ".content"),
        ({"role": "user", "content": "\ud800"}, ".content"),
        ({"role": "system"}, ".content"),
        ({"role": "system", "content": None}, ".content"),
        ({"role": "user", "content": "x", "name": ""}, ".name"),
        ({"role": "user", "content": "x", "colour": "red"}, ".colour"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, ".tool_calls"),
        ({"role": "assistant", "content": "x", "refusal": "no"}, ".refusal"),
        ({"role": "assistant", "content": None, "audio": {"id": "a"}}, ".audio"),
        ({"role": "assistant", "content": "x", "tool_call_id": "call_1"}, ".tool_call_id"),
        ({**TOOL, "content": None}, ".content"),
        ({**TOOL, "tool_call_id": None}, ".tool_call_id"),
        ({"role": "tool", "content": "x"}, ".tool_call_id"),
        ({**TOOL, "tool_call_id": ""}, ".tool_call_id"),
        ({**TOOL, "tool_call_id": 5}, ".tool_call_id"),
        ({**TOOL, "name": "two words"}, ".name"),
        ({"role": "assistant", "tool_calls": {}}, ".tool_calls"),
        (assistant("find"), ".tool_calls[0]"),
        (assistant(CALL, {**CALL, "type": "custom"}), ".tool_calls[1].type"),
        (assistant({"id": "call_1", "function": CALL["function"]}), ".tool_calls[0].type"),
        (assistant({**CALL, "index": 0}), ".tool_calls[0].index"),
        (assistant({**CALL, "id": None}), ".tool_calls[0].id"),
        (assistant({**CALL, "id": ""}), ".tool_calls[0].id"),
        (assistant({"id": "call_1", "type": "function"}), ".tool_calls[0].function"),
        (assistant({**CALL, "function": "find"}), ".tool_calls[0].function"),
        (assistant(function(name=None)), ".tool_calls[0].function.name"),
        (assistant(function(name="two words")), ".tool_calls[0].function.name"),
        (assistant(function(arguments={})), ".tool_calls[0].function.arguments"),
        (assistant(function(strict=True)), ".tool_calls[0].function.strict"),
    ],
)
def test_a_malformed_message_is_refused_with_its_place(message: Any, field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        from_openai([{"role": "user", "content": "hi"}, message])
    assert refusal.value.field == f"messages[1]{field}"


def test_a_key_with_an_empty_list_is_dropped() -> None:
    message: dict[str, Any] = {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": []}
    assert there_and_back([message]) == [{"role": "assistant", "content": "Hello."}]


def test_the_sources_that_an_answer_quotes_are_dropped() -> None:
    message = {"role": "assistant", "content": "Hello.", "annotations": [{"type": "url_citation"}], "audio": None}
    assert there_and_back([message]) == [{"role": "assistant", "content": "Hello."}]
