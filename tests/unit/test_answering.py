"""What an answer is held against: the tools that were offered and the form that was asked for."""

from typing import Any

import pytest
from attrs import frozen

from tract import ModelReply, ToolCall
from tract.errors import ModelAnswerError, ModelResponseError
from tract.verbs.answering import answer_of, check_answer
from tract.verbs.offering import NOTHING, offer_of


@frozen
class Sum:
    value: int


def add(one: int, other: int) -> int:
    return one + other


RIGHT = ToolCall("a", "add", '{"one": 1, "other": 2}')
UNKNOWN = ToolCall("b", "subtract", "{}")
TORN = ToolCall("c", "add", '{"one": ')
WRONG_TYPE = ToolCall("d", "add", '{"one": "1"}')


def calling(*calls: ToolCall) -> ModelReply:
    return ModelReply(None, tool_calls=calls)


@pytest.mark.parametrize("text", [5, b"bytes", ["a"]])
def test_what_a_client_of_the_callers_gives_for_text_and_is_none_is_no_answer(text: Any) -> None:
    with pytest.raises(ModelResponseError, match="text"):
        answer_of(ModelReply(text))


@pytest.mark.parametrize("call", [UNKNOWN, TORN], ids=["unknown", "torn"])
def test_an_odd_call_among_right_ones_is_refused(call: ToolCall) -> None:
    with pytest.raises(ModelAnswerError, match=r"tool_calls\[1\]"):
        check_answer(offer_of([add], None, None), calling(RIGHT, call))


def test_arguments_that_are_an_object_are_the_tools_to_refuse() -> None:
    assert check_answer(offer_of([add], None, None), calling(RIGHT, WRONG_TYPE)) is None


@pytest.mark.parametrize("call", [UNKNOWN, TORN], ids=["unknown", "torn"])
def test_who_deals_with_odd_calls_gets_them(call: ToolCall) -> None:
    assert check_answer(offer_of([add], None, Sum, is_checked=False), calling(call)) is None


def test_who_deals_with_odd_calls_has_the_last_answer_read_all_the_same() -> None:
    assert check_answer(offer_of([add], None, Sum, is_checked=False), ModelReply('{"value": 3}')) == Sum(3)


def test_where_nothing_is_offered_nothing_is_checked() -> None:
    assert check_answer(NOTHING, calling(UNKNOWN, TORN)) is None


def test_a_call_where_no_tool_was_offered_is_not_the_form() -> None:
    with pytest.raises(ModelAnswerError, match="was offered none"):
        check_answer(offer_of(None, None, Sum), calling(RIGHT))
