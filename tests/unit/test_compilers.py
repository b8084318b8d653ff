"""Compilers: what they are given, and what they may make of it."""

import html
from collections import UserList
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, append, calls, histories, result
from tests.strategies import texts
from tests.unit.test_compile_laws import refuse_bad_tool_messages
from tract import ABSENT, CompiledSlot, ImagePart, Message, Priority, TextPart, ToolCall, XMLCompiler
from tract.domain.ids import CommitId
from tract.errors import CompilerError, ContentValidationError
from tract.formats.marking import mark_edited
from tract.formats.openai import message_to_openai
from tract.operations.compilers import DEFAULT, label, run
from tract.operations.folding import EMPTY, fold
from tract.operations.overlaying import overlay

Making = Callable[[Sequence[CompiledSlot]], Any]


class Made:
    """A compiler that is a function."""

    name, version = "made", 3

    def __init__(self, make: Making) -> None:
        self._make = make

    def compile(self, slots: Sequence[CompiledSlot]) -> Any:
        return self._make(slots)


def slots(*messages: Message) -> list[CompiledSlot]:
    ids = [CommitId(f"{number}") for number in range(len(messages))]
    return [CompiledSlot(id, id, "dialogue", Priority.NORMAL, None, each) for id, each in zip(ids, messages, strict=True)]


CALL = ToolCall("a", "look", "{}")
UNIT = (Message("user", "Hi"), Message("assistant", None, tool_calls=(CALL,)), Message("tool", "found", tool_call_id="a"))


def test_the_default_compiler_gives_every_message_as_it_is() -> None:
    assert (label(DEFAULT), run(DEFAULT, slots(*UNIT))) == ("tract/1", UNIT)


def test_a_compiler_may_turn_calls_and_results_into_text_as_a_whole() -> None:
    def told(given: Sequence[CompiledSlot]) -> list[Message]:
        return [Message("user" if slot.message.role == "tool" else slot.message.role, "text") for slot in given]

    assert [message.role for message in run(Made(told), slots(*UNIT))] == ["user", "assistant", "user"]


HI, CALLING, FOUND = UNIT
NONSENSE: dict[str, tuple[Any, str]] = {
    "nothing": (None, "it returned a value of type NoneType"),
    "a text": ("messages", "it returned a value of type str"),
    "a generator": ((message for message in UNIT), "it returned a value of type generator"),
    "too few": ([HI], "it made 1 messages of 3 slots"),
    "no messages": ([{}, {}, {}], "message 0 is of type dict"),
    "a role": ([Message("robot", "Hi"), CALLING, FOUND], "message 0 has a role"),
    "an odd role": ([Message(["user"], "Hi"), CALLING, FOUND], "message 0 has a role"),  # type: ignore[arg-type]
    "null calls": ([Message("user", "Hi", tool_calls=None), CALLING, FOUND], "message 0 has a tool_calls"),  # type: ignore[arg-type]
    "blank": ([Message("user", " "), CALLING, FOUND], "message 0 has a content that cannot be sent"),
    "empty": ([Message("user", ""), CALLING, FOUND], "message 0 has a content that cannot be sent"),
    "null": ([Message("user", None), CALLING, FOUND], "message 0 has a content"),
    "absent": ([Message("user", ABSENT), CALLING, FOUND], "message 0 has a content"),
    "a surrogate": ([Message("user", "\ud800"), CALLING, FOUND], "message 0 has a content"),
    "a number": ([Message("user", 5), CALLING, FOUND], "message 0 has a content"),  # type: ignore[arg-type]
    "a null result": ([HI, CALLING, Message("tool", None, tool_call_id="a")], "message 2 has a content"),
    "a name": ([Message("user", "Hi", 5), CALLING, FOUND], "message 0 has a name"),  # type: ignore[arg-type]
    "a lost call": ([HI, Message("assistant", "Hi"), FOUND], "message 2 is a result that answers no call"),
    "a lost result": ([HI, CALLING, HI], "message 2 stands between a tool call"),
    "a result lost at the end": ([HI, HI, CALLING], "its last tool call has no result"),
    "a calling user": ([Message("user", "Hi", tool_calls=(CALL,)), CALLING, FOUND], "message 0 has a tool_calls"),
    "a speaker with spaces": ([Message("user", "Hi", "Ada Lovelace"), CALLING, FOUND], "message 0 has a name"),
    "a speaker without a name": ([Message("user", "Hi", ""), CALLING, FOUND], "message 0 has a name"),
    "a user's result": ([Message("user", "Hi", tool_call_id="a"), CALLING, FOUND], "message 0 has a tool_call_id"),
    "an image of the assistant": (
        [HI, Message("assistant", (ImagePart("https://a.b"),)), FOUND],
        "message 1 has a content[0] that cannot be sent",
    ),
    "a call without an id": (
        [HI, Message("assistant", None, tool_calls=(ToolCall("", "look", "{}"),)), FOUND],
        "message 1 has a tool_calls[0].id",
    ),
    "a tool of no name": (
        [HI, Message("assistant", None, tool_calls=(ToolCall("a", "no such name!", "{}"),)), FOUND],
        "message 1 has a tool_calls[0].name",
    ),
    "calls": ([HI, Message("assistant", "Hi", tool_calls=({},)), FOUND], "message 1 has a tool_calls"),  # type: ignore[arg-type]
    "arguments": (
        [HI, Message("assistant", None, tool_calls=(ToolCall("a", "look", {}),)), FOUND],  # type: ignore[arg-type]
        "message 1 has a tool_calls[0].arguments",
    ),
}


@pytest.mark.parametrize(("made", "reason"), NONSENSE.values(), ids=NONSENSE)
def test_what_no_provider_takes_is_an_error_that_names_the_compiler(made: Any, reason: str) -> None:
    with pytest.raises(CompilerError) as caught:
        run(Made(lambda _: made), slots(*UNIT))
    assert (caught.value.compiler, caught.value.reason[: len(reason)]) == ("made/3", reason)


def test_parts_that_a_compiler_makes_as_mappings_are_parts() -> None:
    made = [Message("user", [{"type": "text", "text": "Hi"}]), CALLING, FOUND]  # type: ignore[arg-type]
    assert run(Made(lambda _: made), slots(*UNIT))[0] == Message("user", (TextPart("Hi"),))


def test_a_compiler_may_return_any_sequence() -> None:
    assert run(Made(lambda _: UserList(UNIT)), slots(*UNIT)) == UNIT


def test_a_compiler_that_raises_is_an_error_without_its_words() -> None:
    def fails(_: Sequence[CompiledSlot]) -> Any:
        raise KeyError("secret")

    with pytest.raises(CompilerError, match="'made/3' failed: it raised KeyError") as caught:
        run(Made(fails), slots(*UNIT))
    assert ("secret" in str(caught.value), type(caught.value.__cause__)) == (False, KeyError)


@given(texts)
def test_the_text_can_be_read_back_from_its_tag(text: str) -> None:
    (message,) = XMLCompiler().compile(slots(Message("user", text)))
    assert isinstance(message.content, str)
    inner = message.content.removeprefix("<dialogue>").removesuffix("</dialogue>")
    assert "<" not in inner
    assert html.unescape(inner) == text


@given(histories(size=40), st.sampled_from([DEFAULT, XMLCompiler()]))
@settings(max_examples=100, deadline=None)
def test_whatever_a_compiler_makes_of_a_history_is_accepted(history: History, compiler: Any) -> None:
    context = fold(EMPTY, history.line(list(history.steps)[-1]))
    for edit_marks in (False, True):
        shown = overlay(context.lines, compiler, edit_marks=edit_marks)
        assert len(shown.messages) == len(context.lines)
        refuse_bad_tool_messages([message_to_openai(message) for message in shown.messages])


def test_a_compiler_is_told_the_slot_the_type_and_what_stands_in_for_a_result() -> None:
    seen: list[CompiledSlot] = []

    def looks(given: Sequence[CompiledSlot]) -> list[Message]:
        seen.extend(given)
        return [slot.message for slot in given]

    context = fold(EMPTY, [append("a", priority=Priority.PINNED), calls("call", "1", "2"), result("one", "1")])
    overlay(context.lines, Made(looks), edit_marks=False)
    assert [(slot.id, slot.commit, slot.type, slot.priority) for slot in seen] == [
        ("a", "a", "dialogue", Priority.PINNED),
        ("call", "call", "dialogue", Priority.NORMAL),
        ("one", "one", "dialogue", Priority.NORMAL),
        ("call", "call", None, Priority.NORMAL),
    ]
    assert [slot.message for slot in seen] == [line.message for line in context.lines]


def test_a_mark_of_an_unknown_rendering_is_refused() -> None:
    with pytest.raises(ContentValidationError):
        mark_edited(Message("user", "Hi"), 99)
