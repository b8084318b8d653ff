"""The rule of budgets: what is refused, what is told, and what is let by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tract import TokenBudget
from tract.errors import BudgetExceededError
from tract.operations.budgeting import Source, check_budget

tokens = st.integers(0, 100)
marks = st.none() | st.integers(1, 50)
actions = st.sampled_from(["warn", "reject"])
budgets = st.builds(TokenBudget, st.integers(50, 80), actions, marks)
sources = st.sampled_from(Source)


def outcome(budget: TokenBudget | None, source: Source, before: int, after: int) -> str:
    try:
        return "told" if check_budget(budget, source, before, after) else "silent"
    except BudgetExceededError:
        return "refused"


@pytest.mark.parametrize(
    ("source", "before", "after", "expected"),
    [
        (Source.CALLER, 5, 10, "silent"),
        (Source.CALLER, 5, 11, "refused"),
        (Source.CALLER, 20, 21, "refused"),
        (Source.CALLER, 20, 20, "silent"),
        (Source.CALLER, 20, 11, "silent"),
        (Source.TURN, 5, 10, "silent"),
        (Source.TURN, 5, 11, "refused"),
        (Source.TURN, 11, 11, "refused"),
        (Source.OUTCOME, 5, 10, "silent"),
        (Source.OUTCOME, 5, 11, "told"),
        (Source.OUTCOME, 20, 11, "silent"),
    ],
)
def test_a_budget_that_rejects_refuses_what_grows_beyond_it(source: Source, before: int, after: int, expected: str) -> None:
    assert outcome(TokenBudget(10, "reject"), source, before, after) == expected


@given(sources, tokens, tokens)
def test_without_a_budget_nothing_is_refused_or_told(source: Source, before: int, after: int) -> None:
    assert outcome(None, source, before, after) == "silent"


@given(st.builds(TokenBudget, st.integers(50, 80), st.just("warn"), marks), sources, tokens, tokens)
def test_a_budget_that_warns_refuses_nothing(budget: TokenBudget, source: Source, before: int, after: int) -> None:
    assert outcome(budget, source, before, after) != "refused"


@given(budgets, tokens, tokens)
def test_an_outcome_is_never_refused(budget: TokenBudget, before: int, after: int) -> None:
    assert outcome(budget, Source.OUTCOME, before, after) != "refused"


@given(budgets, st.sampled_from([Source.CALLER, Source.OUTCOME]), tokens, tokens)
def test_what_does_not_grow_is_neither_refused_nor_told(budget: TokenBudget, source: Source, one: int, other: int) -> None:
    assert outcome(budget, source, max(one, other), min(one, other)) == "silent"


@given(budgets, sources, tokens, st.integers(1, 100))
def test_growing_beyond_is_never_silent(budget: TokenBudget, source: Source, before: int, added: int) -> None:
    is_beyond = before + added > budget.max_tokens
    assert (outcome(budget, source, before, before + added) == "silent") <= (not is_beyond)


@given(st.integers(50, 80), marks, st.lists(st.integers(-40, 40), max_size=30))
def test_whatever_a_caller_writes_a_rejecting_budget_is_kept(most: int, mark: int | None, changes: list[int]) -> None:
    budget, total = TokenBudget(most, "reject", mark), 3
    for change in changes:
        after = max(3, total + change)
        if outcome(budget, Source.CALLER, total, after) != "refused":
            total = after
        assert total <= most


def test_the_error_says_how_much_and_how_to_go_on() -> None:
    assert str(BudgetExceededError(14, 13)) == (
        "The context would have 14 tokens and its budget is 13, so nothing was written or sent. "
        "Skip or shorten what stands in it, or raise the budget with configure(budget=...)."
    )
