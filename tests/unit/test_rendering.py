import pytest
from hypothesis import given

from tests.strategies import contents, dialogues, registered, tool_calls
from tract.domain import canonical
from tract.domain.commits import Priority
from tract.domain.content import (
    ArtifactContent,
    Content,
    DialogueContent,
    FreeformContent,
    InstructionContent,
    OutputContent,
    ReasoningContent,
    RegisteredContent,
    SessionContent,
    ToolIOContent,
)
from tract.domain.messages import ABSENT, Absent, Message, ToolCall
from tract.errors import ContentValidationError
from tract.formats.rendering import CLOSING_TEXT, RENDERING, close, default_priority, render


def test_an_instruction_is_a_system_message() -> None:
    assert render(InstructionContent("Be brief.")) == Message("system", "Be brief.")


@pytest.mark.parametrize("text", ["hi", "", None, ABSENT])
def test_a_dialogue_keeps_text_null_and_absent_apart(text: str | None | Absent) -> None:
    assert render(DialogueContent("assistant", text)).content is text


@given(dialogues)
def test_a_dialogue_is_the_message_of_its_fields(content: DialogueContent) -> None:
    assert render(content) == Message(content.role, content.text, content.name, content.tool_calls)


def test_a_tool_result_is_a_tool_message_with_its_text_verbatim() -> None:
    content = ToolIOContent("find", text='{"b": 1, "a": 2}', call_id="call_1", status="ok")
    assert render(content) == Message("tool", '{"b": 1, "a": 2}', "find", tool_call_id="call_1")


def test_a_tool_result_without_a_name_has_none() -> None:
    assert render(ToolIOContent(text="", call_id="call_1")).name is None


@pytest.mark.parametrize(("payload", "text"), [({"b": 1e16, "a": "é"}, '{"a":"é","b":1e+16}'), (None, "null"), ("x", '"x"')])
def test_the_payload_of_a_tool_result_is_canonical_json(payload: object, text: str) -> None:
    assert render(ToolIOContent(payload=payload, call_id="call_1")).content == text


def test_a_tool_call_is_an_assistant_message_with_null_content() -> None:
    content = ToolIOContent("find", "call", text='{"q":  1}', call_id="call_1")
    assert render(content) == Message("assistant", None, tool_calls=(ToolCall("call_1", "find", '{"q":  1}'),))


def test_the_payload_of_a_tool_call_is_its_arguments_in_canonical_json() -> None:
    content = ToolIOContent("find", "call", payload={"q": 1, "a": [True]}, call_id="call_1")
    assert render(content).tool_calls == (ToolCall("call_1", "find", '{"a":[true],"q":1}'),)


@pytest.mark.parametrize(
    "content",
    [
        ReasoningContent(" so "),
        ArtifactContent("code", " so ", "python"),
        OutputContent(" so ", "text"),
        OutputContent(" so ", "markdown"),
        OutputContent(" so ", "json"),
    ],
)
def test_reasoning_artifacts_and_outputs_are_the_assistant_s_text_verbatim(content: Content) -> None:
    assert render(content) == Message("assistant", " so ")


def test_a_freeform_content_is_canonical_json() -> None:
    assert render(FreeformContent({"b": [1.0], "a": None})) == Message("assistant", '{"a":null,"b":[1.0]}')


def test_a_session_has_a_heading_for_each_list_that_is_not_empty() -> None:
    content = SessionContent("handoff", "Half done.", ("use SQL", "no ORM"), (), ("write tests",))
    assert render(content) == Message(
        "system", "Session handoff\nHalf done.\nDecisions:\n- use SQL\n- no ORM\nNext steps:\n- write tests"
    )


def test_a_session_without_lists_is_its_type_and_summary() -> None:
    assert render(SessionContent("start", "We begin.")).content == "Session start\nWe begin."


@given(registered)
def test_a_registered_content_is_the_message_it_was_stored_with(content: RegisteredContent) -> None:
    assert render(content) is content.message


@given(contents)
def test_rendering_twice_gives_the_same_message(content: Content) -> None:
    assert render(content, RENDERING) == render(content)


@given(contents)
def test_every_text_that_is_rendered_can_be_written(content: Content) -> None:
    canonical.check(render(content).text)


@pytest.mark.parametrize("rendering", [0, RENDERING + 1])
def test_a_rendering_that_is_not_known_is_refused(rendering: int) -> None:
    with pytest.raises(ContentValidationError, match=f"rendering: number {rendering} is not known"):
        render(InstructionContent("hi"), rendering)


@given(tool_calls)
def test_a_call_without_a_result_is_closed_with_one_that_says_so(call: ToolCall) -> None:
    assert close(call, 1) == Message("tool", "[no result recorded]", None, (), call.id)


def test_the_closing_text_has_a_name() -> None:
    assert CLOSING_TEXT == "[no result recorded]"


def test_closing_with_a_rendering_that_is_not_known_is_refused() -> None:
    with pytest.raises(ContentValidationError, match="rendering: number 9"):
        close(ToolCall("call_1", "find", ""), 9)


@pytest.mark.parametrize(
    ("content", "priority"),
    [
        (InstructionContent("x"), Priority.PINNED),
        (DialogueContent("system", "x"), Priority.NORMAL),
        (DialogueContent("user", "x"), Priority.NORMAL),
        (ToolIOContent(text="x", call_id="c"), Priority.NORMAL),
        (ReasoningContent("x"), Priority.SKIP),
        (ArtifactContent("code", "x"), Priority.NORMAL),
        (OutputContent("x"), Priority.NORMAL),
        (FreeformContent(1), Priority.NORMAL),
        (SessionContent("end", "x"), Priority.PINNED),
    ],
)
def test_each_content_type_has_its_default_priority(content: Content, priority: Priority) -> None:
    assert default_priority(content) is priority
