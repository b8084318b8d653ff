"""The validators refuse what breaks a rule: a broken payload for each of them."""

from typing import Any

import pytest

from tests.validators import (
    ANTHROPIC_RULES,
    OPENAI_RULES,
    RejectedError,
    check_anthropic,
    check_openai,
)

CALL: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "find", "arguments": "{}"}}
ASKING: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": ""}
HI = {"role": "user", "content": "Hi"}


def shown(*parts: Any, role: str = "user") -> list[Any]:
    return [{"role": role, "content": list(parts)}]


def calling(**fields: Any) -> list[Any]:
    return [{**ASKING, "tool_calls": [{**CALL, **fields}]}, {**RESULT, "tool_call_id": fields.get("id", "a")}]


def picture(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


GOOD_OPENAI: list[list[Any]] = [
    [HI],
    [{"role": "system", "content": "Be brief."}, HI, {"role": "assistant", "content": "Hello. "}],
    [HI, ASKING, RESULT, HI],
    [ASKING, {**RESULT, "name": "find"}],
    shown({"type": "text", "text": "What is it?"}, picture("https://a.b/c.png", detail="low")),
    shown(picture("data:image/png;base64,AAAA")),
    shown({"type": "text", "text": "Hello."}, role="assistant"),
    [{**HI, "name": "Ada"}],
]

BROKEN_OPENAI: list[tuple[str, Any]] = [
    ("openai_takes_json", ({},)),
    ("openai_takes_json", [{"role": "user", "content": "\ud800"}]),
    ("openai_takes_json", [{"role": "user", "content": float("nan")}]),
    ("openai_takes_known_roles", [{"role": "robot", "content": "Hi"}]),
    ("openai_takes_known_keys", [{**HI, "tool_call_id": "a"}]),
    ("openai_needs_content_where_nothing_is_called", [{"role": "assistant", "content": None}]),
    ("openai_needs_content_where_nothing_is_called", [{"role": "user"}]),
    ("openai_takes_content_as_text_or_parts", [{"role": "user", "content": []}]),
    ("openai_takes_content_as_text_or_parts", [{"role": "user", "content": 5}]),
    ("openai_refuses_blank_words", [{"role": "user", "content": " \n"}]),
    ("openai_takes_images_of_users_and_texts_of_all", shown(picture("https://a.b"), role="assistant")),
    ("openai_takes_images_of_users_and_texts_of_all", shown({"type": "video"})),
    ("openai_takes_parts_of_their_shape", shown({"type": "text", "text": ""})),
    ("openai_takes_parts_of_their_shape", shown({"type": "text", "text": "a", "b": "c"})),
    ("openai_takes_parts_of_their_shape", shown(picture("ftp://a.b"))),
    ("openai_takes_parts_of_their_shape", shown(picture("data:image/bmp;base64,AAAA"))),
    ("openai_takes_parts_of_their_shape", shown(picture("data:image/png;base64,A"))),
    ("openai_takes_parts_of_their_shape", shown(picture("https://a.b", detail="most"))),
    ("openai_takes_names_of_one_word", [{**HI, "name": "Ada Lovelace"}]),
    ("openai_takes_names_of_one_word", [{**HI, "name": "x" * 65}]),
    ("openai_takes_calls_of_functions", calling(type="custom")),
    ("openai_takes_calls_of_functions", calling(id="")),
    ("openai_takes_calls_of_functions", calling(function={"name": "find", "arguments": {}})),
    ("openai_takes_names_of_functions", calling(function={"name": "two words", "arguments": "{}"})),
    ("openai_takes_a_list_of_calls_that_is_not_empty", [{"role": "assistant", "content": "Hi", "tool_calls": []}]),
    ("openai_takes_results_of_calls_right_before", [HI, RESULT]),
    ("openai_takes_results_of_calls_right_before", [ASKING, RESULT, RESULT]),
    ("openai_takes_results_of_calls_right_before", [ASKING, RESULT, HI, RESULT]),
    ("openai_needs_a_result_for_each_call", [ASKING]),
    ("openai_needs_a_result_for_each_call", [{**ASKING, "tool_calls": [CALL, CALL]}, RESULT]),
    ("openai_needs_a_result_for_each_call", [ASKING, HI]),
]


@pytest.mark.parametrize("messages", GOOD_OPENAI)
def test_what_openai_takes_passes(messages: list[Any]) -> None:
    check_openai(messages)


@pytest.mark.parametrize(("rule", "messages"), BROKEN_OPENAI)
def test_what_openai_refuses_is_refused_by_its_rule(rule: str, messages: list[Any]) -> None:
    with pytest.raises(RejectedError) as rejection:
        check_openai(messages)
    assert rejection.value.rule == rule


USE: dict[str, Any] = {"type": "tool_use", "id": "a", "name": "find", "input": {}}
DONE: dict[str, Any] = {"type": "tool_result", "tool_use_id": "a"}
SEEN: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
SAID = {"type": "text", "text": "Hi"}
TELL = {"role": "assistant", "content": "Hello."}


def said(*contents: Any) -> dict[str, Any]:
    """A payload of these contents, the user's first and then in turn."""
    return {"messages": [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]}


def seen(**source: Any) -> dict[str, Any]:
    return said([{"type": "image", "source": source}])


GOOD_ANTHROPIC: list[dict[str, Any]] = [
    said("Hi"),
    {"system": "Be brief.", **said("Hi", "Hello.", "Bye ")},
    said([SAID, SEEN, SAID], [SAID, SAID]),
    said("Hi", [SAID, USE], [{**DONE, "content": "22 C"}, SAID], "Warm."),
    said("Hi", [USE, {**USE, "id": "b"}], [{**DONE, "tool_use_id": "b"}, DONE]),
    seen(type="url", url="https://a.b/c.png"),
]

BROKEN_ANTHROPIC: list[tuple[str, dict[str, Any]]] = [
    ("anthropic_takes_json", said("\ud800")),
    ("anthropic_takes_system_and_messages", {"tools": [], **said("Hi")}),
    ("anthropic_refuses_a_blank_system", {"system": "", **said("Hi")}),
    ("anthropic_refuses_a_blank_system", {"system": None, **said("Hi")}),
    ("anthropic_needs_a_message", {"messages": []}),
    ("anthropic_needs_a_message", {"system": "Be brief."}),
    ("anthropic_takes_role_and_content_only", {"messages": [{"role": "system", "content": "Hi"}]}),
    ("anthropic_takes_role_and_content_only", {"messages": [{"role": "user", "content": "Hi", "name": "Ada"}]}),
    ("anthropic_needs_the_user_first", {"messages": [TELL]}),
    ("anthropic_needs_roles_to_alternate", {"messages": [HI, HI]}),
    ("anthropic_refuses_empty_content", said("Hi", [])),
    ("anthropic_refuses_empty_content", said("")),
    ("anthropic_takes_blocks_of_their_shape_and_role", said([USE])),
    ("anthropic_takes_blocks_of_their_shape_and_role", said("Hi", [SEEN])),
    ("anthropic_takes_blocks_of_their_shape_and_role", said([{**SAID, "name": "Ada"}])),
    ("anthropic_takes_blocks_of_their_shape_and_role", said([{"type": "video"}])),
    ("anthropic_refuses_blank_texts", said([SAID, {"type": "text", "text": " "}])),
    ("anthropic_refuses_blank_texts", said("\n")),
    ("anthropic_refuses_blank_results", said("Hi", [USE], [{**DONE, "content": " "}])),
    ("anthropic_refuses_blanks_at_the_end_of_a_last_answer", said("Hi", "Hello. ")),
    ("anthropic_refuses_blanks_at_the_end_of_a_last_answer", said("Hi", [SAID, {"type": "text", "text": "Hi\n"}])),
    ("anthropic_takes_images_of_four_types_or_by_https", seen(type="url", url="http://a.b")),
    ("anthropic_takes_images_of_four_types_or_by_https", seen(type="base64", media_type="image/bmp", data="AAAA")),
    ("anthropic_takes_images_of_four_types_or_by_https", seen(type="base64", media_type="image/png", data="A")),
    ("anthropic_takes_ids_of_letters_digits_and_dashes", said("Hi", [{**USE, "id": "a.b"}], [{**DONE, "tool_use_id": "a.b"}])),
    ("anthropic_takes_ids_of_letters_digits_and_dashes", said("Hi", [{**USE, "id": ""}], [{**DONE, "tool_use_id": ""}])),
    ("anthropic_needs_ids_to_be_unique", said("Hi", [USE], [DONE], [USE], [DONE])),
    ("anthropic_takes_names_of_tools_and_objects_as_input", said("Hi", [{**USE, "name": "two words"}], [DONE])),
    ("anthropic_takes_names_of_tools_and_objects_as_input", said("Hi", [{**USE, "input": "{}"}], [DONE])),
    ("anthropic_needs_results_in_the_next_message", said("Hi", [USE])),
    ("anthropic_needs_results_in_the_next_message", said("Hi", [USE], "Bye")),
    ("anthropic_needs_results_in_the_next_message", said("Hi", [USE], [DONE, DONE])),
    ("anthropic_takes_results_of_calls_right_before", said([DONE])),
    ("anthropic_takes_results_of_calls_right_before", said("Hi", [USE], [DONE], "Hi", [DONE])),
    ("anthropic_needs_results_before_other_blocks", said("Hi", [USE], [SAID, DONE])),
    ("anthropic_needs_calls_at_the_end_of_an_answer", said("Hi", [USE, SAID], [DONE])),
]


@pytest.mark.parametrize("payload", GOOD_ANTHROPIC)
def test_what_anthropic_takes_passes(payload: dict[str, Any]) -> None:
    check_anthropic(payload)


@pytest.mark.parametrize(("rule", "payload"), BROKEN_ANTHROPIC)
def test_what_anthropic_refuses_is_refused_by_its_rule(rule: str, payload: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as rejection:
        check_anthropic(payload)
    assert rejection.value.rule == rule


def test_every_rule_refuses_something_here() -> None:
    assert {rule for rule, _ in BROKEN_OPENAI + BROKEN_ANTHROPIC} == {*OPENAI_RULES, *ANTHROPIC_RULES}
