"""One suite for every `TokenCounter`."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract.domain.messages import ABSENT, Message, ToolCall
from tract.llm.counting import ApproximateCounter, SplintrCounter, default_counter
from tract.llm.protocol import TokenCounter

COUNTERS: list[TokenCounter] = [SplintrCounter(), ApproximateCounter()]

each_counter = pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: str(counter.name))


@each_counter
def test_no_text_costs_nothing(counter: TokenCounter) -> None:
    assert counter.count("") == 0


@each_counter
@given(text=st.text())
def test_the_same_text_always_costs_the_same_and_never_more_than_its_bytes(counter: TokenCounter, text: str) -> None:
    assert counter.count(text) == counter.count(text) <= len(text.encode())


@each_counter
def test_a_message_costs_three_more_than_its_role_and_text(counter: TokenCounter) -> None:
    message = Message("user", "Where is my bag?")
    assert counter.count_message(message) == 3 + counter.count("user") + counter.count("Where is my bag?")


@each_counter
def test_a_name_costs_one_more_than_its_text(counter: TokenCounter) -> None:
    named, plain = Message("user", "Hi", name="Ada Lovelace"), Message("user", "Hi")
    assert counter.count_message(named) - counter.count_message(plain) == 1 + counter.count("Ada Lovelace")


@each_counter
def test_calls_cost_their_names_and_arguments(counter: TokenCounter) -> None:
    calls = (ToolCall("a", "search", '{"q": 1}'), ToolCall("b", "book", ""))
    cost = counter.count_message(Message("assistant", "Hi", tool_calls=calls))
    texts = ("assistant", "Hi", "search", '{"q": 1}', "book")
    assert cost == 3 + sum(map(counter.count, texts))


@each_counter
def test_ids_cost_nothing(counter: TokenCounter) -> None:
    assert counter.count_message(Message("tool", "22 C", tool_call_id="call_1")) == counter.count_message(Message("tool", "22 C"))


@each_counter
@pytest.mark.parametrize("content", [None, ABSENT, ""], ids=["null", "absent", "empty"])
def test_content_that_is_not_there_costs_nothing(counter: TokenCounter, content: str | None) -> None:
    assert counter.count_message(Message("assistant", content)) == 3 + counter.count("assistant")


def test_the_exact_counter_counts_the_vocabulary_it_is_named_for() -> None:
    assert (SplintrCounter().name, SplintrCounter().count("hello world")) == ("o200k_base", 2)


def test_special_tokens_in_a_text_count_as_text() -> None:
    assert SplintrCounter().count("<|endoftext|>") > 1


def test_the_approximate_counter_rounds_a_quarter_of_the_bytes_up() -> None:
    counter = ApproximateCounter()
    assert [counter.count(text) for text in ("a", "abcd", "abcde", "\N{SNOWMAN}\N{SNOWMAN}")] == [1, 1, 2, 2]


def test_the_counter_is_exact_where_splintr_is_installed() -> None:
    assert default_counter() == SplintrCounter()


def test_the_counter_is_approximate_where_splintr_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splintr", None)
    assert default_counter() == ApproximateCounter()
