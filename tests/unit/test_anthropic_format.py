from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, histories
from tests.strategies import json_values, texts, tool_names
from tests.validators import check_anthropic, check_openai
from tract.domain.content import Content, DialogueContent, InstructionContent, ToolIOContent
from tract.domain.messages import ABSENT, Message, ToolCall
from tract.domain.parts import ImagePart, TextPart
from tract.errors import ContentValidationError
from tract.formats.anthropic import messages_to_anthropic
from tract.formats.anthropic_reading import from_anthropic
from tract.formats.rendering import render
from tract.operations.compiling import CompiledContext
from tract.operations.context import EMPTY
from tract.operations.folding import fold

USER, ANSWER = Message("user", "Hi"), Message("assistant", "Hello.")
IMAGE = ImagePart(data="AAAA", media_type="image/png", detail="high")
IMAGE_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def calling(*ids: str, arguments: str = "{}", said: str | None = None) -> Message:
    return Message("assistant", said, tool_calls=tuple(ToolCall(id, "find", arguments) for id in ids))


def result(id: str, said: str = "42") -> Message:
    return Message("tool", said, "find", tool_call_id=id)


def sent(*messages: Message) -> list[Any]:
    found: list[Any] = messages_to_anthropic(messages)["messages"]
    return found


def used_ids(*messages: Message) -> tuple[list[str], list[str]]:
    blocks = [block for message in sent(*messages) if isinstance(message["content"], list) for block in message["content"]]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return calls, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]


def test_a_conversation_is_a_message_each_with_a_string() -> None:
    assert sent(USER, ANSWER, USER) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Hi"},
    ]


def test_the_systems_words_are_pulled_out_wherever_they_stand() -> None:
    said = messages_to_anthropic([Message("system", "Be brief.\n"), USER, Message("system", " Be kind.")])
    assert said == {"system": "Be brief.\n\n\n Be kind.", "messages": [{"role": "user", "content": "Hi"}]}


def test_parts_of_the_systems_are_texts_of_their_own() -> None:
    said = messages_to_anthropic([Message("system", (TextPart("a"), TextPart("b"))), USER])
    assert said["system"] == "a\n\nb"


@pytest.mark.parametrize("blank", ["", " \n", None, ABSENT])
def test_without_words_of_the_systems_there_is_no_system(blank: Any) -> None:
    assert messages_to_anthropic([Message("system", blank), USER]) == messages_to_anthropic([USER])


def test_neighbours_of_one_role_become_one_message() -> None:
    assert sent(USER, Message("system", "x"), Message("user", "You there?")) == [
        {"role": "user", "content": [text("Hi"), text("You there?")]}
    ]


def test_nobody_has_a_name() -> None:
    assert sent(Message("user", "Hi", "ada")) == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("before", [[], [Message("system", "Be brief.")], [Message("user", " ")]])
def test_a_conversation_that_an_answer_begins_gets_a_first_message(before: list[Message]) -> None:
    assert sent(*before, ANSWER, USER)[:2] == [
        {"role": "user", "content": "(start)"},
        {"role": "assistant", "content": "Hello."},
    ]


@pytest.mark.parametrize("messages", [[], [Message("system", "Be brief.")]])
def test_a_conversation_without_messages_gets_a_first_message(messages: list[Message]) -> None:
    assert sent(*messages) == [{"role": "user", "content": "(start)"}]


def test_blanks_at_the_end_are_cut_from_a_last_answer_only() -> None:
    spaced, asked = Message("assistant", " Hello. \n"), Message("user", "Hi ")
    assert sent(asked, spaced, asked, spaced) == [
        {"role": "user", "content": "Hi "},
        {"role": "assistant", "content": " Hello. \n"},
        {"role": "user", "content": "Hi "},
        {"role": "assistant", "content": " Hello."},
    ]


def test_only_the_last_block_of_a_last_answer_is_cut() -> None:
    assert sent(USER, Message("assistant", "a "), Message("assistant", "b "))[-1]["content"] == [text("a "), text("b")]


def test_a_call_and_its_result_are_blocks() -> None:
    assert sent(USER, calling("a", arguments='{"q": 1.0}', said="Wait."), result("a"), USER) == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [text("Wait."), {"type": "tool_use", "id": "a", "name": "find", "input": {"q": 1.0}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "42"}, text("Hi")]},
    ]


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_result_has_no_content(blank: str) -> None:
    assert sent(calling("a"), result("a", blank))[-1]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_a_blank_text_beside_a_call_is_left_out() -> None:
    assert [block["type"] for block in sent(calling("a", said=" "), result("a"))[1]["content"]] == ["tool_use"]


def test_results_of_parallel_calls_stand_in_one_message() -> None:
    assert len(sent(calling("a", "b"), result("b"), result("a"))) == 3


def test_an_id_that_comes_again_gets_a_number() -> None:
    units = [calling("a"), result("a"), calling("a"), result("a"), calling("a"), result("a")]
    assert used_ids(*units) == (["a", "a_2", "a_3"],) * 2


def test_equal_ids_in_one_message_are_answered_in_their_order() -> None:
    assert used_ids(calling("a", "b", "a"), result("a"), result("a"), result("b")) == (["a", "b", "a_2"], ["a", "a_2", "b"])


def test_an_id_that_a_number_made_is_not_given_twice() -> None:
    units = [calling("a", "a", "a_2"), result("a"), result("a"), result("a_2")]
    assert used_ids(*units)[0] == ["a", "a_2", "a_2_2"]


@pytest.mark.parametrize(
    ("id", "legal"), [("call.1", "call_1"), ("Ä b", "__b"), ("x" * 70, "x" * 64), ("functions.find:0", "functions_find_0")]
)
def test_an_illegal_id_is_made_legal(id: str, legal: str) -> None:
    assert used_ids(calling(id), result(id)) == ([legal], [legal])


def test_long_ids_that_are_alike_at_first_are_told_apart() -> None:
    one, other = "x" * 64 + "a", "x" * 64 + "b"
    assert used_ids(calling(one, other), result(other), result(one)) == (
        ["x" * 64, "x" * 62 + "_2"],
        ["x" * 62 + "_2", "x" * 64],
    )


def test_ids_do_not_depend_on_what_comes_later() -> None:
    before = [calling("a"), result("a"), calling("a"), result("a")]
    assert used_ids(*before, calling("a_2"), result("a_2"))[0][:2] == used_ids(*before)[0]


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{not json",
        "[1]",
        '"a"',
        "null",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 99999999999999999999}',
        '{"a":"\\ud800"}',
        "{" * 900,
    ],
)
def test_arguments_that_are_no_json_object_are_kept_as_text(arguments: str) -> None:
    use = sent(calling("a", arguments=arguments), result("a"))[1]["content"][0]
    assert use["input"] == {"_arguments": arguments}


def test_images_are_blocks_without_detail() -> None:
    message = Message("user", (TextPart("What is it?"), IMAGE, ImagePart("https://a.b/c.png")))
    by_address = {"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}
    assert sent(message) == [{"role": "user", "content": [text("What is it?"), IMAGE_BLOCK, by_address]}]


def test_an_image_that_the_provider_does_not_fetch_is_named() -> None:
    message = Message("user", (ImagePart("http://a.b/c.png"),))
    assert sent(message) == [{"role": "user", "content": "[image: http://a.b/c.png]"}]


@given(histories())
@settings(deadline=None)
def test_no_provider_rejects_what_any_history_compiles_to(history: History) -> None:
    for head in list(history.steps)[-6:]:
        compiled = CompiledContext(fold(EMPTY, history.line(head)), head, 0, "counted:none")
        check_openai(compiled.to_openai())
        check_anthropic(compiled.to_anthropic())


filled = texts.map("x{}".format)
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
inputs = st.dictionaries(texts, json_values(), max_size=3) | st.builds(lambda said: {"_arguments": said}, texts)
image_blocks = st.sampled_from([IMAGE_BLOCK, {"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}])


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a payload in the form that `to_anthropic` gives."""
    messages: list[dict[str, Any]] = []
    known = draw(st.lists(ids, unique=True, min_size=6, max_size=6))
    waiting: list[str] = []
    for number in range(draw(st.integers(1, 7))):
        if number % 2 == 0:
            blocks: list[Any] = [
                {"type": "tool_result", "tool_use_id": id} | draw(st.sampled_from([{}, {"content": "42"}]))
                for id in draw(st.permutations(waiting))
            ]
            blocks += draw(st.lists(image_blocks | filled.map(text), min_size=0 if waiting else 1, max_size=3))
            waiting = []
        else:
            last_text = filled.map(str.rstrip)
            blocks = [text(said) for said in draw(st.lists(last_text, min_size=1, max_size=2))]
            if number < 6 and draw(st.booleans()):
                waiting = [known.pop() for _ in range(draw(st.integers(1, 2)))]
                blocks += [{"type": "tool_use", "id": id, "name": draw(tool_names), "input": draw(inputs)} for id in waiting]
                blocks = blocks[draw(st.integers(0, 2)) :] if len(blocks) > 3 else blocks
        lone = len(blocks) == 1 and blocks[0]["type"] == "text"
        messages.append({"role": ("user", "assistant")[number % 2], "content": blocks[0]["text"] if lone else blocks})
    if waiting:
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id} for id in waiting]})
    system = draw(st.none() | filled)
    return {"messages": messages} if system is None else {"system": system, "messages": messages}


@given(payloads())
def test_a_payload_in_our_form_comes_back_as_it_was(payload: dict[str, Any]) -> None:
    check_anthropic(payload)
    assert messages_to_anthropic(map(render, from_anthropic(payload))) == payload


@given(histories())
@settings(deadline=None)
def test_what_was_sent_once_is_sent_the_same_again(history: History) -> None:
    head = list(history.steps)[-1]
    compiled = CompiledContext(fold(EMPTY, history.line(head)), head, 0, "counted:none")
    payload = compiled.to_anthropic()
    assert messages_to_anthropic(map(render, from_anthropic(payload))) == payload


def read(*messages: Any, **payload: Any) -> tuple[Content, ...]:
    return from_anthropic({"messages": list(messages), **payload})


def test_the_system_prompt_is_an_instruction() -> None:
    assert read(system="Be brief.") == (InstructionContent("Be brief."),)


def test_the_blocks_of_the_system_prompt_are_an_instruction_each() -> None:
    blocks = [{**text("a"), "cache_control": {"type": "ephemeral"}}, text("b"), text(" ")]
    assert read(system=blocks) == (InstructionContent("a"), InstructionContent("b"))


def test_a_message_is_a_dialogue_whether_its_text_is_a_string_or_a_block() -> None:
    one, other = {"role": "user", "content": "Hi"}, {"role": "user", "content": [text("Hi")]}
    assert read(one, other) == (DialogueContent("user", "Hi"),) * 2


def test_several_blocks_are_the_parts_of_a_dialogue() -> None:
    image = ImagePart(data="AAAA", media_type="image/png")
    assert read({"role": "user", "content": [text("a"), IMAGE_BLOCK]}) == (DialogueContent("user", text=[TextPart("a"), image]),)


def test_calls_and_results_are_read_with_their_texts() -> None:
    use = {"type": "tool_use", "id": "a", "name": "find", "input": {"b": 1, "a": 2.0}}
    done = {"type": "tool_result", "tool_use_id": "a", "content": [text("x"), text("y")], "is_error": True}
    assert read({"role": "assistant", "content": [text("Wait."), use]}, {"role": "user", "content": [done, text("Well?")]}) == (
        DialogueContent("assistant", "Wait.", tool_calls=[ToolCall("a", "find", '{"a":2.0,"b":1}')]),
        ToolIOContent(text="x\n\ny", call_id="a", status="error"),
        DialogueContent("user", "Well?"),
    )


def test_what_was_said_before_a_result_stays_before_it() -> None:
    done = {"type": "tool_result", "tool_use_id": "a"}
    assert read({"role": "user", "content": [text("Here:"), done]}) == (
        DialogueContent("user", "Here:"),
        ToolIOContent(text="", call_id="a"),
    )


@pytest.mark.parametrize("content", ["", " ", [], [text("")]])
def test_what_says_nothing_is_left_out(content: Any) -> None:
    assert read({"role": "assistant", "content": content}) == ()


def test_the_rest_of_a_request_is_not_looked_at() -> None:
    assert read({"role": "user", "content": "Hi"}, model="m", max_tokens=1, tools=[]) == (DialogueContent("user", "Hi"),)


def test_who_made_a_call_is_left_out() -> None:
    call = {"type": "tool_use", "id": "a", "name": "find", "input": {}, "caller": {"type": "direct"}}
    assert read({"role": "assistant", "content": [call]}) == (
        DialogueContent("assistant", None, tool_calls=(ToolCall("a", "find", "{}"),)),
    )


def said(**block: Any) -> dict[str, Any]:
    return {"role": "user" if block["type"] in ("tool_result", "image") else "assistant", "content": [block]}


USE = {"type": "tool_use", "id": "a", "name": "find", "input": {}}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ([], "payload"),
        ({}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [], "system": 5}, "system"),
        ({"messages": [], "system": [{"type": "image"}]}, "system[0].type"),
        ({"messages": [], "system": "\ud800"}, "system"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "Hi", "name": "ada"}]}, "messages[0].name"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [USE]}]}, "messages[0].content[0].type"),
        ({"messages": [said(type="thinking", thinking="hm", signature="x")]}, "messages[0].content[0].type"),
        ({"messages": [said(type="text")]}, "messages[0].content[0].text"),
        ({"messages": [said(type="text", text="Hi", caller={"type": "direct"})]}, "messages[0].content[0].caller"),
        ({"messages": [said(type="text", text="Hi", colour="red")]}, "messages[0].content[0].colour"),
        ({"messages": [said(**{**USE, "id": None})]}, "messages[0].content[0].id"),
        ({"messages": [said(**{**USE, "id": ""})]}, "messages[0].content[0].id"),
        ({"messages": [said(**{**USE, "name": "two words"})]}, "messages[0].content[0].name"),
        ({"messages": [said(**{**USE, "input": "{}"})]}, "messages[0].content[0].input"),
        ({"messages": [said(**{**USE, "input": {"a": 2**70}})]}, "messages[0].content[0].input"),
        ({"messages": [said(type="tool_result")]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [said(type="tool_result", tool_use_id="")]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [said(type="tool_result", tool_use_id="a", content=5)]}, "messages[0].content[0].content"),
        (
            {"messages": [said(type="tool_result", tool_use_id="a", content=[IMAGE_BLOCK])]},
            "messages[0].content[0].content[0].type",
        ),
        ({"messages": [said(type="image")]}, "messages[0].content[0].source"),
        ({"messages": [said(type="image", source={"type": "file", "file_id": "f"})]}, "messages[0].content[0].source.type"),
        ({"messages": [said(type="image", source={"type": "url", "url": "ftp://a"})]}, "messages[0].content[0].source.url"),
        (
            {"messages": [said(type="image", source={"type": "base64", "data": "AAAA", "media_type": "image/bmp"})]},
            "messages[0].content[0].source.media_type",
        ),
        (
            {"messages": [said(type="image", source={"type": "base64", "data": "A", "media_type": "image/png"})]},
            "messages[0].content[0].source.data",
        ),
        (
            {"messages": [said(type="image", source={"type": "url", "url": "https://a.b", "data": "AAAA"})]},
            "messages[0].content[0].source.data",
        ),
    ],
)
def test_a_malformed_payload_is_refused_with_its_place(payload: Any, field: str) -> None:
    with pytest.raises(ContentValidationError) as refusal:
        from_anthropic(payload)
    assert refusal.value.field == field
